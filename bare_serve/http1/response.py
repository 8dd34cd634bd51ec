"""Answers as bytes: status lines, header lines, the server's own error answers.

What lives here: values in, checked bytes out. What must not: what a field may hold
(http/fields.py), the decision how a body is framed (connection.py).

HOT PATH: header lines repeat from answer to answer, so a checked line is remembered.
Benchmark: `python -m benchmarks.core`, case "answer with 4 headers".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from http import HTTPStatus

from bare_serve.clauses import mistake
from bare_serve.errors import RequestError
from bare_serve.http.date import date_line
from bare_serve.http.fields import HOP_BY_HOP, Field, check_field, check_trailer, content_length
from bare_serve.http1 import grammar

MEMO_ENTRIES = 4096
MEMO_LINE_BYTES = 256
MEMO_BLOCKS = 1024
MEMO_BLOCK_BYTES = 1024

# RFC 9110, 15: names that Python's table has in older words before 3.13.
_PHRASES = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_STANDARD = {
    status: b"HTTP/1.1 %d %s\r\n" % (status, phrase.encode("ascii"))
    for status, phrase in _PHRASES.items()
}
# Final ones whose answers are like most others: not 205 and 426, which say more (connection.py).
USUAL = {
    status: line for status, line in _STANDARD.items() if status >= 200 and status not in (205, 426)
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_OWN = HOP_BY_HOP | {b"content-length", b"date"}

_memo: dict[Field, bytes] = {}
_blocks: dict[tuple[Field, ...], ResponseFields] = {}


def status_line(status: int, reason: bytes = b"") -> bytes:
    """Return the status line of `status` (RFC 9112, 4), always HTTP/1.1 (RFC 9110, 2.5).

    Raises:
        ResponseError: the status is not 100 to 999, or the reason holds a control character.
    """
    if not reason and (line := _STANDARD.get(status)) is not None:
        return line
    if type(status) is not int or not 100 <= status <= 999:
        raise mistake(
            "http-status-range", f"the status must be an integer from 100 to 999, not {status!r}"
        )
    if grammar.REASON.fullmatch(reason) is None:
        raise mistake(
            "http-reason-phrase", f"the reason phrase holds a control character: {reason!r}"
        )
    return b"HTTP/1.1 %d %s\r\n" % (status, reason)


ReadyHead = tuple[bytes, int, bytes, int, bytes]
"""The head of an answer, but to a HEAD, on a connection that is kept, behind what it is made of:
status line, second of the date, extra lines, length. A plain tuple, which is unpacked fastest; of
the date its second, which is compared without a call. Case "hello": 14 of 967 instructions of
Python."""

NOT_READY: ReadyHead = (b"", -1, b"", -1, b"")
"""Stands for none. No answer has this length, and a comparison costs less than the question whether
there is a ready head. Case "hello": 4 of 967 instructions of Python."""


class ResponseFields:
    """The header lines of an answer, with what they mean for framing. Immutable by convention."""

    __slots__ = ("block", "close", "date", "length", "lines", "ready", "repeats", "upgrade")

    def __init__(self, headers: Iterable[Field]) -> None:
        """Encode `headers`.

        Raises:
            ResponseError: see `check_field`; also for a Content-Length that is no number,
                that is given twice differently, and for a Transfer-Encoding other than chunked.
        """
        self.length: int | None = None
        self.close = False
        self.date = False
        self.upgrade = b""
        """What the application says in `Upgrade`: only a 426 tells it."""
        self.repeats = True
        """May be remembered: it is small, and nothing in it is meant for one client."""
        self.ready: ReadyHead = NOT_READY
        """The last head of an answer with these fields, if it was a usual one."""
        self.lines: list[bytes] = []
        remembered = _memo.get
        add = self.lines.append
        for name, value in headers:
            try:
                line = remembered((name, value))
            except TypeError:  # not even hashable, such as a bytearray
                line = None
            if line:
                add(line)
            elif line is not None and self.length is None:
                self.length = int(value)  # an empty line stands for a checked Content-Length
            else:
                self._field(name, value)
        self.block = b"".join(self.lines)
        self.repeats = self.repeats and len(self.block) < MEMO_BLOCK_BYTES

    def __iter__(self) -> Iterator[Field]:
        """Yield names and values, without those that are the connection's."""
        for line in self.lines:
            name, _, value = line[:-2].partition(b": ")
            yield name, value
        if self.length is not None:
            yield b"Content-Length", b"%d" % self.length

    def with_length(self, length: int) -> ResponseFields:
        """Return these fields for a body of `length` bytes."""
        fields = copy(self)
        fields.length = length
        return fields

    def with_upgrade(self) -> ResponseFields:
        """Return these fields, and what the application said in `Upgrade`."""
        fields = copy(self)
        fields.block += fields.upgrade
        return fields

    def _field(self, name: bytes, value: bytes) -> None:
        check_field(name, value)
        line = name + b": " + value + b"\r\n"
        lower = name.lower()
        if lower in _OWN:
            self._own(lower, value, line)
            if lower != b"content-length":
                return
            line = b""
        else:
            self.lines.append(line)
        if lower == b"set-cookie":
            self.repeats = False
        elif len(line) < MEMO_LINE_BYTES:
            if len(_memo) >= MEMO_ENTRIES:
                _memo.clear()  # see parser_python.py
            _memo[(name, value)] = line

    def _own(self, lower: bytes, value: bytes, line: bytes) -> None:
        """Take a field that says something about the framing or the connection."""
        if lower == b"content-length":
            length = content_length(value)
            if self.length is not None and length != self.length:
                raise mistake(
                    "http-content-length-differs",
                    f"Content-Length is given as {self.length} and as {length}",
                )
            self.length = length
        elif lower == b"date":
            if not self.date:
                self.lines.append(line)
            self.date = True
        elif lower == b"connection":
            options = [item.strip(b" \t") for item in value.lower().split(b",")]
            self.close = self.close or b"close" in options
        elif lower == b"upgrade":
            self.upgrade = b"Upgrade: %b\r\nConnection: Upgrade\r\n" % value
        elif lower == b"transfer-encoding" and value.lower() != b"chunked":
            raise mistake(
                "http-transfer-encoding",
                f"Transfer-Encoding {value!r} cannot be applied by the server",
            )


def response_fields(headers: Iterable[Field]) -> ResponseFields:
    """See `ResponseFields`; of headers that repeat, the same object again.

    Benchmark: case "answer with 4 headers", 1.1 us.
    """
    pairs = tuple(headers)
    try:
        known = _blocks.get(pairs)
    except TypeError:  # not even hashable
        return ResponseFields(pairs)
    if known is None:
        known = ResponseFields(pairs)
        if known.repeats:
            if len(_blocks) >= MEMO_BLOCKS:
                _blocks.clear()
            _blocks[pairs] = known
    return known


def trailer_lines(headers: Iterable[Field]) -> list[bytes]:
    """Return the lines of a trailer section.

    Raises:
        ResponseError: see `check_trailer`.
    """
    lines = []
    for name, value in headers:
        check_trailer(name, value)
        lines.append(name + b": " + value + b"\r\n")
    return lines


def error_answer(error: RequestError, extra_headers: bytes, body: bool = True) -> bytes:
    """Return the server's answer to a request it refuses: short, plain, and the last one.

    `body` is False for HEAD (RFC 9110, 9.3.2): the length is told, the text is not sent.
    """
    text = error.reason.encode("utf-8") + b"\n"
    return b"".join(
        (
            status_line(error.status),
            date_line(),
            extra_headers,
            error.headers,
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n" % len(text),
            b"Connection: close\r\n\r\n",
            text if body else b"",
        )
    )
