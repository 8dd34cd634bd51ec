"""The pure-Python parser: one regex for the request line, `split` for the rest.

What lives here: the fast way through a well-formed head. What must not: verdicts; a head that does
not fit returns None and the scanner says why.

HOT PATH. All lines of a head are looked up in one call; see field_lines.py.
Benchmark: `python -m benchmarks.core`, case "parse python: 14 headers".
"""

from __future__ import annotations

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field
from bare_serve.http1.field_lines import read, remembered
from bare_serve.http1.grammar import REQUEST_LINE


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
            headers = [remembered(line) or read(line) for line in lines[1:-2]]
        except RequestError:
            return None
        return match[1], match[2], 0 if match[4] == b"0" else 1, headers
