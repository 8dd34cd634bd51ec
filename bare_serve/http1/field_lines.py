"""Field lines that were read before, for both parsers and all connections of the process.

What lives here: which lines are remembered, and reading one. What must not: the grammar of a line,
and what a field means.

HOT PATH. A line repeats from request to request, so it is read once and then looked up. Of a head
that was never seen each line is read, and of most heads one is, the cookie: so all that is done for
a line is done here, without a call in Python.
Benchmark: `python -m benchmarks.core`, cases "14 headers" and "14 headers, strangers".
"""

from __future__ import annotations

from bare_serve.http.fields import NAME_BYTES, REPEATS_BYTES, Field, harmless
from bare_serve.http.grammar import FIELD_VALUE, TOKEN
from bare_serve.http.memo import Memo, Remembered
from bare_serve.http1.head import malformed_line


def _name(name: bytes) -> tuple[bytes, bool]:
    """Return a field name in lower case, and whether its fields may be remembered.

    Raises:
        RequestError: 400, it is no token (RFC 9110, 5.1).
    """
    if TOKEN.fullmatch(name) is None:
        raise malformed_line()
    name = name.lower()
    return name, harmless(name)


# Names repeat even where values do not: so of such a line a pattern sees the value alone.
_names: Memo[bytes, tuple[bytes, bool]] = Memo(_name, lambda name: len(name) < NAME_BYTES, 1024)

_match_value = FIELD_VALUE.fullmatch


class FieldLines(Remembered[bytes, Field]):
    """The fields of lines, as `parse_field_line` reads them, which is the law."""

    __slots__ = ()

    def read(self, line: bytes) -> Field:
        """Return the field of `line`, which `get` does not give; remember one that repeats.

        No secret is remembered (see `harmless`), and no line that is long or has a long name.

        Raises:
            RequestError: 400, the line is malformed.
        """
        name, colon, value = line.partition(b":")
        name, repeats = _names[name]
        if not colon or _match_value(value) is None:
            raise malformed_line()
        field = (name, value.strip(b" \t"))
        if repeats and len(line) < REPEATS_BYTES:
            if len(self) >= self.most:
                self.clear()
            self[line] = field
        return field


field_lines = FieldLines()

# What a parser asks for each line, bound once: `remembered(line) or read(line)`.
remembered = field_lines.get
read = field_lines.read
