"""The law of heads: reads line by line, and names the earliest fault.

What lives here: the limits of a head, its line ends, and the order in which faults are found.
What must not: framing rules (head.py), speed. The two parsers take a complete head at once and
are faster; whatever they refuse comes here for the verdict, and a head that arrives in pieces is
watched from here while it grows, so that a fault is answered before its end comes.

Each line is judged when its LF is there, or when it is too long without one. So the verdict is the
same for any segmentation, and a head that comes byte by byte costs no more than its length.
"""

from __future__ import annotations

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field
from bare_serve.http.head import RequestHead
from bare_serve.http.limits import Limits
from bare_serve.http1 import grammar
from bare_serve.http1.head import parse_field_line, parse_request_line

_HANDSHAKE = 22  # RFC 8446, 5.1: how a client begins that speaks TLS
_TLS = "This address speaks plain HTTP, and the client TLS: use http:// in the place of https://."
# What a log tells of a request line that is too long.
_TOLD_BYTES = 200


class HeadScanner:
    """Judges one growing head. Feed it the same growing buffer each time."""

    __slots__ = ("_limits", "_next", "_seen", "_start", "headers", "request_line")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._next = 0  # where the next line begins
        self._seen = 0  # up to here no LF was found
        self._start = 0  # where the field lines begin
        self.request_line: tuple[bytes, bytes, int] | None = None
        self.headers: list[Field] = []

    def scan(self, buffer: bytes | bytearray) -> bool:
        """Read what is new in `buffer`; True when the blank line has been reached.

        Raises:
            RequestError: the earliest fault (400, 414, 431, 505).
        """
        if buffer and self._next == 0 and grammar.TOKEN_START.match(buffer) is None:
            tls = buffer[0] == _HANDSHAKE
            raise RequestError(400, _TLS if tls else "The request line is malformed.")
        while (end := buffer.find(b"\n", self._seen)) >= 0:
            self._seen = end + 1
            if self._line(buffer, end):
                return True
            self._next = end + 1
        seen, self._seen = self._seen, len(buffer)
        self._bare_cr(buffer, max(self._next, seen - 1), len(buffer) - 1)
        self._unfinished(len(buffer) - self._next, buffer)
        return False

    def tokens(self, block: bytes) -> tuple[bytes, bytes, int, list[Field]]:
        """Return method, target, minor version and fields of a complete head.

        Raises:
            RequestError: see `scan`.
        """
        self.scan(block)
        assert self.request_line is not None
        return (*self.request_line, self.headers)

    def _line(self, buffer: bytes | bytearray, end: int) -> bool:
        """Judge the line whose LF is at `end`; return True for the blank line."""
        limits = self._limits
        cut = end - 1 if end > self._next and buffer[end - 1] == 13 else end
        self._bare_cr(buffer, self._next, cut)
        if self.request_line is None:
            if cut - self._next > limits.request_line:
                raise self._exceeded("request_line", buffer)
        elif end + 1 - self._start > limits.header_size and cut > self._next:
            raise self._exceeded("header_size", buffer)
        if cut == end:
            raise RequestError(400, "A line ends with a bare LF.")
        line = bytes(buffer[self._next : cut])
        if self.request_line is None:
            self.request_line = parse_request_line(line)
            self._start = end + 1
        elif not line:
            return True
        elif len(self.headers) == limits.headers:
            raise self._exceeded("headers", buffer)
        else:
            self.headers.append(parse_field_line(line))
        return False

    def _bare_cr(self, buffer: bytes | bytearray, start: int, end: int) -> None:
        """Refuse a CR in this part of a line, unless a limit is met before it."""
        if self.request_line is None:
            reach = self._limits.request_line
        else:
            reach = max(0, self._limits.header_size - (self._next - self._start) - 2)
        if buffer.find(b"\r", start, min(end, self._next + reach + 1)) >= 0:
            raise RequestError(400, "A line holds a bare CR.")

    def _unfinished(self, length: int, buffer: bytes | bytearray) -> None:
        """Judge a line without its LF by its length alone: one byte of it may be a CR."""
        if self.request_line is None:
            if length > self._limits.request_line + 1:
                raise self._exceeded("request_line", buffer)
        elif self._seen - self._start >= self._limits.header_size and length > 1:
            raise self._exceeded("header_size", buffer)

    def _exceeded(self, limit: str, buffer: bytes | bytearray) -> RequestError:
        """Return the refusal of this head, with what it asked for, as far as that was read."""
        error = self._limits.exceeded(limit)
        if self.request_line is not None:
            method, target, minor = self.request_line
            error.asked = RequestHead(method, target, f"1.{min(minor, 1)}", self.headers)
        elif (begun := grammar.LINE_BEGUN.match(buffer[:_TOLD_BYTES])) is not None:
            error.asked = RequestHead(begun[1], begun[2] + b"...", "1.1", [])
        return error
