"""Exchanges that are streams of one connection, as in HTTP/2, in a framing of these tests.

What lives here: `Stream`, which an exchange of ASGI or WSGI drives like `http1.ServerConnection`,
with a window of its own, and `frames`, which reads what was written. What must not: transports.

A frame is `kind stream length` and a line feed, then so many bytes. Kinds: H head, I interim head,
D data, T trailers, E end of the stream, R reset of the stream. Anything else is a fault.
"""

from __future__ import annotations

from collections.abc import Iterable

from bare_serve.errors import RequestError, ResponseError
from bare_serve.http import Field, Limits, RequestHead
from bare_serve.http.fields import check_field, content_length
from bare_serve.http1 import ServerConnection, select_parser

Frame = tuple[str, int, bytes]


def head_of(raw: bytes) -> RequestHead:
    """The head in `raw`, which is HTTP/1.1 only because that is at hand."""
    connection = ServerConnection(select_parser("python").make(), Limits())
    connection.receive_data(raw)
    head = connection.next_event()
    assert isinstance(head, RequestHead)
    return head


def frames(wire: bytes) -> list[Frame]:
    """What is on the wire. A byte outside of a frame raises."""
    found = []
    while wire:
        line, _, wire = wire.partition(b"\n")
        kind, number, length = line.split(b" ")
        assert kind in (b"H", b"I", b"D", b"T", b"E", b"R"), line
        payload, wire = wire[: int(length)], wire[int(length) :]
        assert len(payload) == int(length), "cut off"
        found.append((kind.decode(), int(number), payload))
    return found


def data(found: Iterable[Frame], number: int) -> bytes:
    """The body of one stream."""
    return b"".join(payload for kind, of, payload in found if (kind, of) == ("D", number))


def kinds(found: Iterable[Frame], number: int | None = None) -> str:
    """The kinds of frames in a row, of one stream or with the numbers of all: `H1 H2 D1`."""
    if number is None:
        return " ".join(f"{kind}{of}" for kind, of, _ in found)
    return " ".join(kind for kind, of, _ in found if of == number)


def _lines(fields: Iterable[Field]) -> list[bytes]:
    lines = []
    for name, value in fields:
        check_field(name, value)
        lines.append(b"%b: %b\n" % (name, value))
    return lines


class Stream:
    """One request and its answer. No more data leaves than the window takes; the rest waits."""

    raw_files = False
    keep_alive = True

    def __init__(self, number: int, head: RequestHead, window: int = 14) -> None:
        self.number = number
        self.head = head
        self.window = window
        self.requests = 1
        self.status = 0
        self.bytes_sent = 0
        self.response_started = self.response_complete = False
        self.overrun = self.short = False
        self.was_reset = False
        self._fields: list[Field] | None = None
        self._length: int | None = None  # declared
        self._left: int | None = None
        self._waiting = bytearray()
        self._end: tuple[bytes, ...] | None = None  # frames that end it, once all data has left

    # ------------------------------------------------------------------ for the exchange

    @property
    def open_ended(self) -> bool:
        return self._fields is not None and self._length is None

    @property
    def answer_lines(self) -> list[bytes]:
        return [] if self._fields is None else _lines(self._fields)

    def take_body_received(self) -> int:
        return 0

    def continue_expected(self) -> bytes:
        return b""

    def probe(self) -> bytes:
        return b""

    def informational(self, status: int, headers: Iterable[Field]) -> bytes:
        if self.response_started:
            raise ResponseError("an informational answer must come before the final one")
        return self._frame(b"I", b"%d\n" % status, *_lines(headers))

    def start_response(self, status: int, headers: Iterable[Field], reason: bytes = b"") -> None:
        if self.response_started:
            raise ResponseError("the response has already started")
        self._fields = fields = list(headers)
        lengths = [value for name, value in fields if name.lower() == b"content-length"]
        self._length = content_length(lengths[0]) if lengths else None
        self.status = status

    def send_body(self, data: bytes, more: bool) -> bytes:
        if self.response_complete:
            raise ResponseError("the response is already complete")
        output = b"" if self.response_started else self._head()
        if self.head.method == "HEAD":
            data = b""
        if self._left is not None:
            self.overrun = self.overrun or len(data) > self._left
            data = data[: self._left]
            self._left -= len(data)
        self.bytes_sent += len(data)
        self._waiting += data
        if not more:
            self._finish(self._frame(b"E"))
        return output + self._take()

    def send_trailers(self, headers: Iterable[Field]) -> bytes:
        if not self.response_started or self.response_complete:
            raise ResponseError("trailers come at the end of a response body")
        lines = _lines(headers)
        self._finish(*([self._frame(b"T", *lines)] if lines else []), self._frame(b"E"))
        return self._take()

    def error_response(self, error: RequestError) -> bytes:
        if self.response_started:
            return b""
        self.start_response(error.status, ())
        return self.send_body(error.reason.encode(), False)

    def break_off(self) -> bool:
        """The client can always tell: `reset` gives the frame that says so."""
        self.response_complete = True
        return True

    # ------------------------------------------------------------------ for who has the connection

    @property
    def blocked(self) -> bool:
        """Data waits for the window."""
        return bool(self._waiting)

    @property
    def over(self) -> bool:
        """All has left, or nothing more will."""
        return self.was_reset or (self.response_complete and self._end is None)

    def enlarge(self, count: int) -> bytes:
        """The client takes `count` bytes more: what can leave now."""
        self.window += count
        return self._take()

    def reset(self) -> bytes:
        """The frame that ends the stream in the middle; what waits is forgotten."""
        self.was_reset = self.response_complete = True
        self._waiting.clear()
        self._end = None
        return self._frame(b"R")

    # ------------------------------------------------------------------ frames

    def _frame(self, kind: bytes, *payload: bytes) -> bytes:
        content = b"".join(payload)
        return b"%b %d %d\n%b" % (kind, self.number, len(content), content)

    def _head(self) -> bytes:
        if self._fields is None:
            raise ResponseError("the response body was sent before the response was started")
        self.response_started = True
        self._left = None if self.head.method == "HEAD" else self._length
        return self._frame(b"H", b"%d\n" % self.status, *_lines(self._fields))

    def _finish(self, *end: bytes) -> None:
        self.response_complete = True
        self.short = bool(self._left)
        self._end = end

    def _take(self) -> bytes:
        count = min(self.window, len(self._waiting))
        taken, self._waiting = bytes(self._waiting[:count]), self._waiting[count:]
        self.window -= count
        output = self._frame(b"D", taken) if taken else b""
        if self._end is not None and not self._waiting:
            output, self._end = output + b"".join(self._end), None
        return output
