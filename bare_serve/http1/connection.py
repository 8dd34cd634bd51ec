"""One HTTP/1.1 connection as a server sees it, without a socket: the answering half.

What lives here: every decision about an answer's framing, once for WSGI and ASGI: keep-alive, HEAD,
204 and 304, length or chunks, 100-continue, declared lengths held. Reading is in reader.py.
What must not: sockets, threads, time, logging, and the application.

`start_response` takes status and fields, `send_body` gives back the bytes to write now: the
head is held until the first piece of body, so a small answer is one write.

HOT PATH. Each trick names its case in `python -m benchmarks.core`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from bare_serve.clauses import mistake
from bare_serve.errors import RequestError
from bare_serve.http import BODY, CLOSED, HEAD, RESPONSE, Field, Limits, Output, RequestHead
from bare_serve.http.date import date_line, wall_clock
from bare_serve.http1.interim import InterimAnswers
from bare_serve.http1.parser import HeadParser
from bare_serve.http1.response import (
    USUAL,
    ResponseFields,
    error_answer,
    response_fields,
    status_line,
    trailer_lines,
)

# Data from here on is written beside its framing instead of being copied into one piece.
LARGE: Final = 1 << 16


class ServerConnection(InterimAnswers):
    """The state machine. One per connection; not thread-safe: one caller at a time."""

    notes: Any  # of an x-ray, and set only while there is one (traced.py)
    raw_files = True  # a file may leave without this: see `send_external`, `external_piece`

    __slots__ = (
        "_chunked", "_extra", "_left", "_status_line", "_swallow",
        "notes", "short",
    )  # fmt: skip

    def __init__(
        self,
        parser: HeadParser,
        limits: Limits,
        extra_headers: bytes = b"",
        persistent: bool = True,
    ) -> None:
        """`extra_headers`: ready header lines, with their CRLFs, for every answer;
        `persistent`: if False, each request is taken as one with `Connection: close`."""
        super().__init__(parser, limits, persistent)
        self._extra = extra_headers
        self._status_line = b""
        self._chunked = False
        self._swallow = False  # HEAD, 204, 304: the body is not sent
        self._left: int | None = None  # bytes of declared length not sent yet
        self.short = False
        """The application sent less than its Content-Length: the connection must break off."""

    @property
    def open_ended(self) -> bool:
        """The answer was started without a declared length: only its sender knows its end."""
        return self._fields is not None and self._fields.length is None

    @property
    def whole(self) -> bool:
        """The client has been given all of this answer, whatever its sender still does."""
        return self.response_complete or (self.response_started and self._left == 0)

    @property
    def answer_lines(self) -> list[bytes]:
        """The header lines that the application gave for this answer."""
        fields = self._fields
        if fields is None:
            return []
        if fields.length is None:
            return fields.lines
        return [*fields.lines, b"Content-Length: %d\r\n" % fields.length]

    def start_response(
        self, status: int, headers: Iterable[Field] | ResponseFields, reason: bytes = b""
    ) -> None:
        """Take status and headers; they leave with the first piece of body.

        May be called again until then: the later call counts.

        Raises:
            ResponseError: the answer has started, or something in it must not be sent.
        """
        if self.response_started:
            raise mistake("http-answer-once", "the response has already started")
        line = None if reason else USUAL.get(status)
        fields = headers if type(headers) is ResponseFields else response_fields(headers)
        if line is None:
            line = status_line(status, reason)
            if status < 200:
                raise mistake("http-status-final", f"a final status is 200 to 999, not {status}")
            if status == 205:  # RFC 9110, 15.3.6: no content, and it is said so
                fields = fields.with_length(0)
            elif status == 426:  # RFC 9110, 15.5.22: it must say to what
                fields = fields.with_upgrade()
        self._fields = fields
        self._status_line = line
        self.status = status

    def send_body(self, data: bytes, more: bool) -> Output:
        """Return what to write for the next piece of body; `more` is False for the last one.

        The first call puts the head in front. A tuple stands for pieces to be written in
        a row, where joining them would copy a large one.

        Raises:
            ResponseError: no response was started, or it is already complete.
        """
        if more:
            if self._chunked and 0 < len(data) < LARGE:  # a stream: 0.5 us become 0.3
                if self.response_started and not self.response_complete:
                    self.bytes_sent += len(data)
                    return b"%x\r\n%b\r\n" % (len(data), data)
        elif not self.response_started:
            fields, request = self._fields, self.head
            if fields is not None and request is not None:
                line, second, extra, size, head = fields.ready
                if (  # The answer of a moment ago but for its body: case "hello".
                    size == len(data) < LARGE
                    and line is self._status_line
                    and extra is self._extra
                    and self.keep_alive
                    and self._state == RESPONSE
                    and request.method != "HEAD"
                    and not (self._eof or self.close_after or request.is_http10)
                    and second == int(wall_clock())
                ):
                    self.response_started = self.response_complete = True
                    self._chunked = self._swallow = False
                    self._left = 0
                    self.bytes_sent = size
                    return head + data
        return self._frame(data, more)

    def _frame(self, data: bytes, more: bool) -> Output:
        """Do as `send_body`, for any piece of any answer."""
        if self.response_started:
            if self.response_complete:
                raise mistake("http-answer-once", "the response is already complete")
            if data:
                data = self._account(data)
            head = b""
        else:
            head = self._response_head(size := len(data), more)
            if size == self._left:  # the whole body, as most are: case "hello"
                self._left = 0
                self.bytes_sent = size
            elif data:
                data = self._account(data)
        tail = b""
        if self._chunked:
            if data:
                head = b"%s%x\r\n" % (head, len(data))
                tail = b"\r\n"
            if not more:
                tail += b"0\r\n\r\n"
        if not more:
            self._finish()
        if len(data) >= LARGE:
            return (head, data, tail) if tail else (head, data) if head else data
        return head + data + tail if tail else head + data

    def send_external(self, count: int, *, at_most: bool = False) -> tuple[bytes, int]:
        """Announce a body of `count` bytes that the caller writes itself, as by sendfile.

        Gives back what to write before it, and how many bytes to write: none for HEAD, and no
        more than a declared Content-Length, which is an overrun unless `at_most`. The caller counts
        them (`count_external`). To be ended by `send_body(b"", False)`.

        Raises:
            ResponseError: the answer has already started, or was not started at all.
        """
        if self.response_started:
            raise mistake("http-answer-once", "the response has already started")
        if self._fields is not None and self._fields.length is None:
            self._fields = self._fields.with_length(count)
        head = self._response_head(count, False)
        if self._swallow:
            return head, 0
        left = self._left or 0
        if count > left:
            self.overrun = not at_most
            count = left
        self._left = left - count
        return head, count

    def external_piece(self, count: int) -> tuple[bytes, int, bytes]:
        """Do as `send_external`, for one piece at any place of a body: return what to write before
        the piece, how many of its bytes to write, and what to write behind it."""
        if self.response_complete:
            raise mistake("http-answer-once", "the response is already complete")
        before = b"" if self.response_started else self._response_head(count, True)
        if self._swallow:
            return before, 0, b""
        if self._left is not None:
            if count > self._left:
                self.overrun = True
                count = self._left
            self._left -= count
        if self._chunked and count:
            return b"%s%x\r\n" % (before, count), count, b"\r\n"
        return before, count, b""

    def count_external(self, count: int) -> None:
        """Count bytes that the caller writes itself; negative: counted, and never sent."""
        self.bytes_sent += count

    def send_trailers(self, headers: Iterable[Field]) -> bytes:
        """End a body with a trailer section (RFC 9112, 7.1.2), or without if it has no chunks.

        To be offered only to a client that has said `TE: trailers` (RFC 9110, 6.5.1).

        Raises:
            ResponseError: no body was sent, or a field must not be sent there.
        """
        if not self.response_started or self.response_complete:
            raise mistake("http-answer-once", "trailers come at the end of a response body")
        lines = trailer_lines(headers)
        self._finish()
        return b"".join((b"0\r\n", *lines, b"\r\n")) if self._chunked else b""

    def upgrade(self, protocol: bytes, headers: Iterable[Field]) -> tuple[bytes, bytes]:
        """End HTTP here (RFC 9110, 7.8): the 101 answer, and what came behind the request.

        Raises:
            ResponseError: the answer has started, or a header must not be sent.
        """
        if self.response_started:
            raise mistake("http-answer-once", "the response has already started")
        lines = ResponseFields(headers).lines
        self.response_started = self.response_complete = True
        self.keep_alive = False
        self.status = 101
        self._state = CLOSED
        rest = bytes(self._buffer[self._position :])
        self._buffer, self._position = b"", 0
        switch = b"Upgrade: %b\r\nConnection: Upgrade\r\n\r\n" % protocol
        return b"".join((status_line(101), date_line(), self._extra, *lines, switch)), rest

    def break_off(self) -> bool:
        """End the connection in the middle of an answer that cannot be completed.

        False if the client would take the end of the connection for that of the body (RFC 9112, 8),
        so that only a reset tells that something is missing.
        """
        framed = self._chunked or self._swallow or self._left is not None
        visible = framed or not self.response_started
        self._state = CLOSED
        self.keep_alive = False
        self.response_complete = True
        return visible

    def error_response(self, error: RequestError) -> bytes:
        """Return the whole answer to a request that is refused, and end the connection.

        Nothing if an answer has started: the connection can only be broken off.
        """
        if self.phase <= HEAD:  # a head that is late: the last exchange is over
            self._refused_head = self._buffer.startswith(b"HEAD ", self._position)
            self.head = None
            self.response_started = False
        started = self.response_started
        self._state = CLOSED
        self.keep_alive = False
        self.linger = True
        self.response_complete = True
        if started:
            return b""
        self.response_started = True
        self.status, self._fields = error.status, None
        body = not self._refused_head if self.head is None else self.head.method != "HEAD"
        answer = error_answer(error, self._extra, body)
        self.bytes_sent = len(error.reason.encode()) + 1 if body else 0
        return answer

    def _response_head(self, first: int, more: bool) -> bytes:
        """Decide the framing (RFC 9112, 6.1 to 6.3) and return the head."""
        fields, head = self._fields, self.head
        if fields is None or head is None:
            raise mistake("http-answer-once", "a body was sent before the response was started")
        self.response_started = True
        self._chunked = False
        length = fields.length
        status = self.status
        framing = b""
        if head.method == "HEAD" or status == 204 or status == 304:
            self._swallow = True
            if length is None and first and not more and status != 304:
                length = first
            if status == 204:  # RFC 9110, 8.6: no Content-Length in a 204
                length = None
            self._left = None
        else:
            self._swallow = False
            if length is None and not more:
                length = first
            self._left = length
            if length is None:
                if head.is_http10:  # RFC 9112, 6.3: the end of the connection is that of the body
                    self.keep_alive = False
                else:
                    self._chunked = True
                    framing = b"Transfer-Encoding: chunked\r\n"
        if length is not None:
            framing = b"Content-Length: %d\r\n" % length
        if self.keep_alive:
            if self._state == BODY or self._eof or fields.close or self.close_after:
                self.keep_alive = self._may_persist(fields.close, more)
            if self.keep_alive:
                if head.is_http10:
                    framing += b"Connection: keep-alive\r\n"
            else:
                framing += b"Connection: close\r\n"
        else:
            framing += b"Connection: close\r\n"
        second = int(wall_clock())  # before the date is made: at worst the head is never ready
        date = b"" if fields.date else date_line()
        line, extra = self._status_line, self._extra
        whole = b"".join((line, date, extra, fields.block, framing, b"\r\n"))
        if date and length is not None and fields.repeats and self._is_usual(head):
            fields.ready = (line, second, extra, length, whole)
        return whole

    def _is_usual(self, head: RequestHead) -> bool:
        """Return whether the head of this answer depends on nothing but what `ReadyHead` has."""
        kept = self.keep_alive and self._state == RESPONSE and not (self._eof or self.close_after)
        return kept and head.method != "HEAD" and not head.is_http10

    def _may_persist(self, close_asked: bool, more: bool) -> bool:
        """Return whether another request can follow on this connection."""
        if close_asked or self.close_after or (self._eof and not self.buffered):
            return False
        if self._state != BODY or self.head is None:
            return True
        if self.head.expect_continue and not self._continue_sent:
            return False  # nobody can know whether the body comes (RFC 9110, 10.1.1)
        return more or not self.body_left_over()

    def _account(self, data: bytes) -> bytes:
        """Return `data` as far as it fits into this answer."""
        if self._swallow:
            return b""
        if self._left is not None:
            if len(data) > self._left:
                self.overrun = True
                data = data[: self._left]
            self._left -= len(data)
        self.bytes_sent += len(data)
        return data

    def _finish(self) -> None:
        self.response_complete = True
        if self._state == BODY:
            self._drain_until = self.body_received + self._limits.drain
        if self._left:
            self.short = True
            self.keep_alive = False


if TYPE_CHECKING:  # What the interfaces and the deadlines ask for is here.
    from bare_serve.http import ServerExchange, Timed

    _exchange: type[ServerExchange] = ServerConnection
    _timed: type[Timed] = ServerConnection
