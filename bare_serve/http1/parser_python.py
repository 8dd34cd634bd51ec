"""The pure-Python parser: one regex for the request line, `split` for the rest.

What lives here: the fast way through a well-formed head, and the memo of lines. What must not:
verdicts; a head that does not fit returns None and the scanner says why.

HOT PATH. Header lines repeat from request to request, so a line is checked once and then
remembered with its name and value, for all connections of the process (http/memo.py), and all
lines of a head are looked up in one call.
Benchmark: `python -m benchmarks.core`, cases "path varies" and "all varies".
"""

from __future__ import annotations

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field, repeats
from bare_serve.http.memo import Memo
from bare_serve.http1.grammar import REQUEST_LINE
from bare_serve.http1.head import parse_field_line

_LINE_BYTES = 260  # with white space around the value, of which there may be any amount


def new_memo(most: int = 4096) -> Memo[bytes, Field]:
    """Return a memo of field lines."""
    return Memo(
        parse_field_line,
        lambda line, field: len(line) < _LINE_BYTES and repeats(*field),
        most,
    )


_memo = new_memo()


class PythonHeadParser:
    """Stateless; one instance could serve all connections."""

    __slots__ = ()

    def parse(self, block: bytes) -> tuple[bytes, bytes, int, list[Field]] | None:
        """See `HeadParser.parse`."""
        lines = block.split(b"\r\n")
        match = REQUEST_LINE.fullmatch(lines[0])
        if match is None or match[3] != b"1":
            return None
        try:
            headers = list(map(_memo.__getitem__, lines[1:-2]))
        except RequestError:
            return None
        return match[1], match[2], 0 if match[4] == b"0" else 1, headers
