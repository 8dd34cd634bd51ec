"""The reading half of a connection: bytes in, events out.

What lives here: where a request begins and ends, pipelining, the fate of an unread body, and
which fault ends it all. What must not: answers (connection.py), grammar and framing rules.

Reading is pulled: `receive_data` stores bytes, `next_event` says what they mean, one event at
a time, so a fault behind good pipelined requests is met after those were answered, and no more
than one request is ever in the making.

HOT PATH. Each trick names its case in `python -m benchmarks.core`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NoReturn

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http.head import RequestHead
from bare_serve.http.phases import BODY, CLOSED, HEAD, RESPONSE
from bare_serve.http1.grammar import USUAL_HEAD
from bare_serve.http1.head import build_head, changed_fields
from bare_serve.http1.scanner import HeadScanner
from bare_serve.http1.state import ConnectionState

_MAX_EMPTY_LINES = 8
_COMPARED = frozenset((1, 2, 4, 8))  # after as many heads in a row that were unlike
_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}


class Event(Enum):
    """What `next_event` may say besides a head and a piece of body."""

    NEED_DATA = "nothing more until more bytes come"
    PAUSED = "the request is complete, its answer is not"
    END_OF_BODY = "the body is complete"
    MUST_CLOSE = "this connection has served its last request"


NEED_DATA: Final = Event.NEED_DATA
PAUSED: Final = Event.PAUSED
END_OF_BODY: Final = Event.END_OF_BODY
MUST_CLOSE: Final = Event.MUST_CLOSE


class RequestReader(ConnectionState):
    """Turns bytes into heads and bodies. `ServerConnection` adds the answers."""

    __slots__ = ()

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._position:
            self._buffer = self._buffer[self._position :]
            self._position = 0
        if not self._buffer:
            self._buffer = data
        elif self._state == CLOSED:
            pass  # nobody will look at it
        elif type(self._buffer) is bytearray:
            self._buffer += data
        else:
            self._buffer = bytearray(self._buffer) + data

    def receive_eof(self) -> None:
        """Note that the client will send nothing more."""
        self._eof = True

    def next_event(self) -> RequestHead | bytes | Event:
        """Return what the bytes received so far mean.

        Raises:
            RequestError: the request must be refused: `error_response`, then close.
            ClientGone: the client closed in the middle of a request.
        """
        if self._state == RESPONSE:
            if self._end_pending:
                self._end_pending = False
                return END_OF_BODY
            if not self.response_complete:
                return PAUSED
            self._state = HEAD if self.keep_alive else CLOSED
        if self._state == HEAD:
            # The usual end of an exchange. Case "hello, block memo hit": 0.3 us.
            if not self._buffer and not self._eof:
                return NEED_DATA
            return self._read_head()
        if self._state == BODY:
            return self._drain() if self.response_complete else self._read_body()
        self.linger = self.linger or (not self._eof and self.buffered > 0)
        return MUST_CLOSE

    def _read_head(self) -> RequestHead | Event:
        buffer = self._buffer
        last = self._last_head
        tried: bytes | None = None
        if last is not None and not self._position and self._scanner is None:
            # A keep-alive client repeats its head: compare, and parse nothing.
            # Case "hello, block memo hit" against "hello, path varies".
            if buffer == self._last_raw:
                self._buffer = b""
                return self._begin(last)
            if type(buffer) is bytes:
                tried = buffer
                if (head := self._similar(buffer, last)) is not None:
                    self._buffer = b""
                    return self._begin(head)
        if self._position:
            buffer = self._buffer = buffer[self._position :]
            self._position = 0
        if buffer and buffer[0] in b"\r\n":
            buffer = self._skip_empty_lines()
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            return self._incomplete_head()
        raw = bytes(buffer[: end + 4])
        if last is None or raw != self._last_raw:
            similar = None if last is None or raw is tried else self._similar(raw, last)
            last = similar or self._another(raw)
        self._position = len(raw)
        self._searched = 0
        self._scanner = None
        return self._begin(last)

    def _similar(self, raw: bytes, last: RequestHead) -> RequestHead | None:
        """Return the head in `raw`, kept as the last one, if it is one and much like `last`.

        A client that goes from one resource to the next mostly repeats all but the request line,
        and of the clients that share a proxy's connection most differ in some values only. Each
        limit and rule has passed the rest once. A blank line in the middle is a field line that
        differs and is malformed, so what is returned is one whole head.
        """
        size, limits = self._last_fields, self._limits
        if not size or len(raw) > limits.request_line or len(raw) > limits.header_size:
            return None
        match = USUAL_HEAD.fullmatch(raw)
        if match is None:
            return None
        token, target, path, query, block = match.groups(b"")
        method = _METHODS.get(token)
        if method is None:
            return None
        changes = None
        if len(block) != size or not self._last_raw.endswith(block):
            if len(block) > 2 * size:  # several, most likely
                return None
            if self._last_lines is None:
                self._last_lines = self._last_raw[-size:].split(b"\r\n")
            lines = block.split(b"\r\n")
            changes = changed_fields(last, lines, self._last_lines)
            if changes is None:
                return None
            self._last_lines = lines
            self._last_fields = len(block)
        self._unlike = 0
        self._last_raw = raw
        self._last_head = head = last.similar(method, target, path, query, changes)
        return head

    def _another(self, raw: bytes) -> RequestHead:
        """Return the head in `raw`, and keep it as the last one.

        A comparison in vain costs a third of what parsing does. So of the heads of a connection
        whose clients have nothing in common, ever fewer are compared. Case "strangers".
        """
        head = self._parse(raw)
        self._last_raw = raw
        self._last_head = head
        self._last_lines = None
        self._unlike = unlike = self._unlike + 1
        usual = not head.is_http10 and head.target.startswith(b"/")
        compared = usual and (unlike in _COMPARED or not unlike % 16)
        self._last_fields = len(raw) - raw.find(b"\r\n") if compared else 0
        return head

    def _skip_empty_lines(self) -> bytes | bytearray:
        """RFC 9112, 2.2: an empty line before the request line is ignored; eight are enough."""
        buffer = self._buffer
        request, count = self._empty_lines
        if request != self.requests:
            count = 0
        while count < _MAX_EMPTY_LINES and buffer.startswith(b"\r\n"):
            buffer = buffer[2:]
            count += 1
        self._empty_lines = (self.requests, count)
        self._searched = 0
        self._scanner = None
        if buffer and buffer[0] in b"\r\n" and buffer != b"\r":
            self._fail(RequestError(400, "The request line is malformed."))
        self._buffer = buffer
        return buffer

    def _incomplete_head(self) -> Event:
        """Nothing yet, or part of a head: judged as far as it goes."""
        buffer = self._buffer
        begun = len(buffer) > 0 and buffer != b"\r"
        if begun:
            if self._scanner is None:
                self._scanner = HeadScanner(self._limits)
            try:
                self._scanner.scan(buffer)
            except RequestError as error:
                self._fail(error)
            self._searched = max(0, len(buffer) - 3)
        if self._eof:
            self._state = CLOSED
            if begun:
                raise ClientGone("the client closed the connection in the middle of a request")
            return MUST_CLOSE
        return NEED_DATA

    def _parse(self, raw: bytes) -> RequestHead:
        """Return the head in `raw`: by the parser, or where that is unsure, by the scanner."""
        limits = self._limits
        try:
            tokens = None
            if len(raw) <= limits.request_line and len(raw) <= limits.header_size:
                tokens = self._parser.parse(raw)
            if tokens is None or len(tokens[3]) > limits.headers:
                tokens = HeadScanner(limits).tokens(raw)
            head = build_head(*tokens)
            if not self._persistent:  # here, where a repeated head does not come by
                head.keep_alive = False
            if head.content_length is not None and head.content_length > limits.body:
                raise limits.exceeded("body", asked=head)
        except RequestError as error:
            self._fail(error)
        return head

    def _fail(self, error: RequestError) -> NoReturn:
        """Nothing behind a fault is read (RFC 9112, 2.2); the error's answer is the last one."""
        if self._state == HEAD:
            self.head = None
            self._refused_head = self._buffer.startswith(b"HEAD ")
            self.response_started = self.response_complete = False
        self._state = CLOSED
        self.linger = True
        self.keep_alive = False
        self._buffer, self._position = b"", 0
        raise error

    def take_body_received(self) -> int:
        """Return the bytes of request bodies that have come since this was asked last."""
        before, self._body_told = self._body_told, self.body_received
        return self.body_received - before

    def _read_body(self) -> bytes | Event:
        """Return the next piece of the body, or END_OF_BODY behind the last one."""
        body = self._body
        assert body is not None
        if not self.buffered:
            return self._no_more_body()
        data = bytes(memoryview(self._buffer)[self._position :] if self._position else self._buffer)
        try:
            piece, used = body.feed(data)
        except RequestError as error:
            self._fail(error)
        self._buffer, self._position = (b"", 0) if used == len(data) else (data, used)
        self.body_received += len(piece)
        if body.complete:
            self._state = RESPONSE
            self._body = None
            if not piece:
                return END_OF_BODY
            self._end_pending = True
        return piece or self._no_more_body()

    def _no_more_body(self) -> Event:
        """There is no content in what has come so far."""
        if self._eof:
            self._state = CLOSED
            raise ClientGone("the client closed the connection in the middle of a body")
        return NEED_DATA

    def _drain(self) -> RequestHead | bytes | Event:
        """Drop the rest of a body that is not read, to find the next request behind it."""
        if not self.keep_alive or self.body_left_over():
            return self._give_up()
        try:
            while self._state == BODY:
                if self._read_body() is NEED_DATA:
                    return NEED_DATA
                if self.body_received > self._drain_until:
                    return self._give_up()
        except (RequestError, ClientGone):
            return self._give_up()
        self._end_pending = False
        return self.next_event()

    def body_left_over(self) -> bool:
        """Return whether the rest of the body is known to be too much to drain."""
        left = self._body.remaining if self._body is not None else 0
        return left is not None and left > self._limits.drain

    def _give_up(self) -> Event:
        self._state = CLOSED
        self.keep_alive = False
        self.linger = not self._eof
        self._buffer, self._position = b"", 0
        return MUST_CLOSE
