"""What one HTTP/1.1 connection remembers, and what each exchange begins with.

What lives here: the state that its two halves share, the fields that only one of them has where an
exchange resets them, and what the state says of itself. What must not: reading (reader.py),
answering (connection.py).

HOT PATH. An exchange is begun at one place: a call for the half of the answers would cost more than
all that it sets. Case "hello": 13 of 967 instructions of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bare_serve.http.head import RequestHead
from bare_serve.http.limits import Limits
from bare_serve.http.phases import BODY, HEAD, IDLE, RESPONSE
from bare_serve.http1.body import ChunkedBody, LengthBody
from bare_serve.http1.parser import HeadParser
from bare_serve.http1.scanner import HeadScanner

if TYPE_CHECKING:
    from bare_serve.http1.response import ResponseFields


class ConnectionState:
    """The state of one connection, between two exchanges and in one of them."""

    __slots__ = (
        "_body",
        "_body_told",
        "_buffer",
        "_continue_sent",
        "_drain_until",
        "_empty_lines",
        "_end_pending",
        "_eof",
        "_fields",
        "_last_fields",
        "_last_head",
        "_last_lines",
        "_last_raw",
        "_limits",
        "_parser",
        "_persistent",
        "_position",
        "_refused_head",
        "_scanner",
        "_searched",
        "_state",
        "_unlike",
        "body_received",
        "bytes_sent",
        "close_after",
        "head",
        "keep_alive",
        "linger",
        "overrun",
        "requests",
        "response_complete",
        "response_started",
        "status",
    )

    def __init__(self, parser: HeadParser, limits: Limits, persistent: bool = True) -> None:
        self._parser = parser
        self._limits = limits
        self._persistent = persistent
        self._buffer: bytes | bytearray = b""
        self._position = 0  # bytes of the buffer already used up
        self._searched = 0  # up to here no blank line was found
        self._scanner: HeadScanner | None = None
        self._eof = False
        self._state: int = HEAD  # HEAD, BODY, RESPONSE (nothing to read) or CLOSED
        self._body: LengthBody | ChunkedBody | None = None
        self._end_pending = False
        self._empty_lines = (0, 0)  # before which request, and how many
        self._drain_until = 0
        self._refused_head = False  # the request refused was a HEAD
        self._last_raw: bytes = b""
        self._last_fields = 0  # bytes of it behind the request line; 0: the next is not compared
        self._last_lines: list[bytes] | None = None  # these, split: while clients share this
        self._unlike = 0  # heads in a row that nothing of the head before could be used for
        self._last_head: RequestHead | None = None
        self.head: RequestHead | None = None
        """The request being answered."""
        self.requests = 0
        """Heads received so far."""
        self._body_told = self.body_received = 0
        """Bytes of body received for all requests so far: a measure of progress."""
        self._fields: ResponseFields | None = None
        self._continue_sent = False
        self.status = 0
        self.bytes_sent = 0
        """Bytes of body sent in this answer, without framing."""
        self.overrun = False
        """The application sent more than its Content-Length; what was too much is cut."""
        self.response_started = False
        """Bytes of this answer have left."""
        self.response_complete = False
        self.keep_alive = True
        """The connection outlives this answer (settled when the answer's head leaves)."""
        self.close_after = False
        """Set from outside, at a drain: the next answer is to be the last, and says so. A client
        that was told nothing may ask once more: to close meanwhile is the skin's decision."""
        self.linger = False
        """The client may still be sending: close only after reading some more (RFC 9112, 9.6)."""

    @property
    def buffered(self) -> int:
        """Bytes received that are not yet part of an event."""
        return len(self._buffer) - self._position

    @property
    def phase(self) -> int:
        """IDLE, HEAD, BODY, RESPONSE or CLOSED: what the connection is waiting for."""
        state = self._state
        if state == RESPONSE and self.response_complete and self.keep_alive:
            state = HEAD
        if state == HEAD and not self.buffered:
            return IDLE
        return state

    @property
    def at_rest(self) -> bool:
        """The request is read to its end, nothing has come behind it, and more may follow."""
        return self.keep_alive and self._state != BODY and self._position == len(self._buffer)

    @property
    def goes_on(self) -> bool:
        """Behind the last piece of the body there is more at hand: `next_event` has it, but
        whoever serves others as well should serve them first."""
        return self._body is not None and self._body.paused

    def _begin(self, head: RequestHead) -> RequestHead:
        """Begin a new exchange, for which `short` need not be reset: it ends the connection."""
        self.head = head
        self.requests += 1
        self.response_started = self.response_complete = self.overrun = False
        self._fields = None
        self.bytes_sent = self.status = 0
        self.keep_alive = head.keep_alive
        if head.has_body:
            self._continue_sent = False
            self._state = BODY
            length = head.content_length
            self._body = ChunkedBody(self._limits) if length is None else LengthBody(length)
        else:
            self._state = RESPONSE
        return head
