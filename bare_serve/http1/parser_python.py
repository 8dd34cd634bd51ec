"""The pure-Python parser: one regex for the request line, `split` for the rest.

What lives here: the fast way through a well-formed head, and the memo of lines. What must not:
verdicts; a head that does not fit returns None and the scanner says why.

HOT PATH. Header lines repeat from request to request, so a line is checked once and then
remembered with its name and value, for all connections of the process. The memo is a pure
function remembered: it can be emptied at any moment, and is, when it is full.
Benchmark: `python -m benchmarks.core`, case "14 headers, block memo missed".
"""

from __future__ import annotations

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field
from bare_serve.http1.grammar import REQUEST_LINE
from bare_serve.http1.head import parse_field_line

MEMO_ENTRIES = 4096
MEMO_LINE_BYTES = 256

# Values that are secrets, or that differ for each client and would only fill the memo.
NEVER_REMEMBERED = frozenset((b"cookie", b"authorization", b"proxy-authorization"))

_memo: dict[bytes, Field] = {}


def _field(line: bytes) -> Field:
    """`parse_field_line`, remembered in the memo where that is allowed."""
    field = parse_field_line(line)
    if len(line) < MEMO_LINE_BYTES and field[0] not in NEVER_REMEMBERED:
        if len(_memo) >= MEMO_ENTRIES:
            _memo.clear()  # better than to stop growing: nobody can fill it for good
        _memo[line] = field
    return field


class PythonHeadParser:
    """Stateless; one instance could serve all connections."""

    __slots__ = ()

    def parse(self, block: bytes) -> tuple[bytes, bytes, int, list[Field]] | None:
        """See `HeadParser.parse`."""
        lines = block.split(b"\r\n")
        match = REQUEST_LINE.fullmatch(lines[0])
        if match is None or match[3] != b"1":
            return None
        remembered = _memo.get
        try:
            headers = [remembered(line) or _field(line) for line in lines[1:-2]]
        except RequestError:
            return None
        return match[1], match[2], 0 if match[4] == b"0" else 1, headers
