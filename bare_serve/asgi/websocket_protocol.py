"""An open WebSocket on its transport: the asyncio protocol that follows the HTTP one.

What lives here: bytes between transport and session, flow control both ways, pings, deadlines, and
the decisions about the socket. What must not: frames (websocket/), the application's messages
(websocket.py).

Nothing here sets a timer: the worker's tick calls `check`. Reading pauses while the application
has messages enough; writing makes `send` wait while the client does not take what it is sent.
"""

from __future__ import annotations

import asyncio
import logging
import math
from time import perf_counter
from typing import NamedTuple, Protocol

from bare_serve.asgi.service import Service
from bare_serve.asgi.wakeup import Wakeup
from bare_serve.http.log_text import describe_target
from bare_serve.system import forks
from bare_serve.websocket import HIGH_WATER, WebSocketOptions
from bare_serve.websocket.session import CLOSED, CLOSING, OPEN, Session

logger = logging.getLogger("bare_serve.websocket")

# What the closing handshake, or the client's own close after it, may take.
CLOSE_SECONDS = 5.0
# After a fault: bytes that are still read, lest a reset destroys the close frame on its way.
LINGER_BYTES = 1 << 20
# Bytes a second at which a frame makes progress.
MIN_RATE = 500

RESTARTING = 1012
_NO_PONG = 1011


class Opening:
    """The request that a WebSocket began with, as observers of answers see it."""

    __slots__ = ("client", "headers", "logged", "started_at", "target")

    method = "WEBSOCKET"
    version = "1.1"
    has_body = False

    def __init__(
        self,
        client: str,
        target: bytes,
        started_at: float,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """`headers`: those that tell its id; others are not kept for as long as it is open."""
        self.headers = headers
        self.client = client
        self.target = target
        self.started_at = started_at
        self.logged: str | None = None


class Closing(NamedTuple):
    """Its end, as observers of answers see it in the place of an answer."""

    status: int
    bytes_sent: int
    answer_lines: tuple[bytes, ...] = ()


class LeavableCall(Protocol):
    """The application's call, as far as it has to know."""

    def client_left(self) -> None: ...


class WebSocketProtocol(asyncio.Protocol):
    """The protocol of a socket that has become a WebSocket."""

    __slots__ = (
        "_close_by", "_discard", "_expected", "_late_pong", "_opening", "_options", "_ping_at",
        "_pinged", "_reading_paused", "_since", "_taken", "_transport", "_unread", "arrived",
        "call", "closing", "drained", "goes_on", "lost", "queue", "service", "session",
        "write_paused",
    )  # fmt: skip

    def __init__(
        self, service: Service, session: Session, transport: asyncio.Transport, opening: Opening
    ) -> None:
        options = service.options.websocket
        assert options is not None
        now = service.loop.time()
        self.service = service
        self.session = session
        service.websockets.add(session)
        # Messages the application has not taken, the next one last; None stands for
        # websocket.connect. A deque would be 700 bytes more, of 6 KiB that an idle socket costs.
        self.queue: list[str | bytes | None] = []
        self.call: LeavableCall | None = None
        self.arrived = Wakeup(service.loop)
        self.drained = Wakeup(service.loop)
        self.write_paused = False
        self.closing = False  # nothing is read or written any more, but the transport is open
        self.lost = False
        self.goes_on = False  # with what is held, by itself, when others have had their turn
        self._transport = transport
        self._options: WebSocketOptions = options
        self._opening = opening
        self._reading_paused = False
        self._unread = 0  # bytes that have come since the queue was last empty
        self._late_pong = b""  # to be sent when the client takes something again
        self._ping_at = now + options.ping_interval if options.ping_interval else math.inf
        self._pinged = 0.0  # when, by perf_counter
        self._close_by = math.inf
        self._discard = 0  # closing: bytes that may still be read
        self._taken = 0  # what the client had taken at the last look
        self._since = now  # when it last took something
        self._expected = 0  # what a frame lacked when its pong was due

    # ------------------------------------------------------------------ asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if self.closing:
            self._discard -= len(data)
            if self._discard <= 0:
                self._transport.close()
            return
        self._unread += len(data)
        self._absorb(data)

    def _absorb(self, data: bytes) -> None:
        session = self.session
        messages = session.receive(data)
        if messages:
            messages.reverse()
            self.queue[:0] = messages
            self.arrived.wake()
        if session.news:
            self._look_at_news()
        if session.held or self._unread > HIGH_WATER:
            if self.queue and session.state == OPEN:
                self._pause_reading(True)
            elif session.held:
                self._let_others_go_first()
            else:
                self._unread = 0

    def _let_others_go_first(self) -> None:
        """There is more that no application takes: control frames, fragments, what is ignored."""
        self._pause_reading(True)
        if not self.goes_on:
            self.goes_on = True
            self.service.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.goes_on = False
        if self.session.held and not (self.queue and self.session.state == OPEN):
            self.more()

    def eof_received(self) -> bool:
        """Let the transport close: a WebSocket has no half-closed state."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if forks.happened:
            forks.hang_up(self._transport)
        self.lost = self.closing = True
        self.write_paused = False
        if not self.session.held:
            self.session.receive_eof()
        self._report()
        call, self.call = self.call, None
        if call is not None:
            call.client_left()
        self.arrived.wake()
        self.drained.wake()
        self.service.gone(self)

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._late_pong and self.session.state == OPEN:
            self._transport.write(self._late_pong)
        self._late_pong = b""
        self.drained.wake()

    # ------------------------------------------------------------------ for the application's side

    def start(self, answer: bytes, rest: bytes) -> None:
        """Say yes, and take what the client has sent right behind its request."""
        self.service.connections.add(self)
        self._transport.write(answer)
        if rest:
            self.data_received(rest)
        if self.service.draining:
            self.drain()

    def write(self, data: str | bytes) -> None:
        """Write a message to the client; the caller has waited while `write_paused`."""
        output = self.session.encode(data)
        if isinstance(output, bytes):
            self._transport.write(output)
        elif self.service.gathers:
            self._transport.writelines(output)
        else:
            self._transport.write(b"".join(output))

    def taken(self) -> None:
        """Read on: the application has taken the last message of the queue."""
        self._unread = 0
        if not self.session.held:
            self._pause_reading(False)

    def more(self) -> None:
        """Queue messages that the session holds back: the application asks for more."""
        self._absorb(b"")
        if self.lost and not self.session.held:
            self.session.receive_eof()
            self.arrived.wake()
        if not self.queue:
            self.taken()

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; harmless where that has been done."""
        if self.closing or self.session.state != OPEN:
            return
        self._transport.write(self.session.close(code, reason))
        self._look_at_news()

    # ------------------------------------------------------------------ the session's news

    def _look_at_news(self) -> None:
        """Handle pongs, close frames, faults: whatever is no message."""
        session = self.session
        session.news = False
        replies = session.replies
        if replies and not self.lost:
            if self.write_paused and session.state != CLOSED:
                # RFC 6455, 5.5.3: a pong for the latest ping is enough. So pings that come
                # while nothing is taken do not pile up here.
                self._late_pong = replies[-1]
            else:
                self._transport.write(b"".join(replies))
            replies.clear()
        if self._pinged and not session.awaits_pong:
            milliseconds = (perf_counter() - self._pinged) * 1000
            logger.debug("%s: pong after %.1f ms.", self, milliseconds)
            self._pinged = 0.0
            self._ping_at = self.service.loop.time() + self._options.ping_interval
        if session.state == OPEN:
            return
        self.arrived.wake()
        self.drained.wake()
        if session.state == CLOSING:
            if self._close_by == math.inf:
                self._be_patient()
            # Messages are not wanted any more, but the client's close frame is.
            if session.held:
                self._let_others_go_first()
            else:
                self._pause_reading(False)
        else:
            self._close()

    def _pause_reading(self, pause: bool) -> None:
        if pause is self._reading_paused or self._transport.is_closing():
            return
        self._reading_paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _close(self) -> None:
        """Close the transport behind the last frame: the server is first (RFC 6455, 7.1.1)."""
        if self.closing:
            return
        self.closing = True
        self._be_patient()
        transport = self._transport
        if self.session.failed:
            logger.info("%s: failed with %d.", self, self.session.close_code)
            if transport.can_write_eof():
                self._discard = LINGER_BYTES
                transport.write_eof()
                self._pause_reading(False)
                return
        transport.close()

    def fileno(self) -> int:
        """See `Connection.fileno`."""
        sock = self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    # ------------------------------------------------------------------ the worker's tick

    def check(self, now: float) -> None:
        """Act on deadlines; called at least once a second."""
        unsent = self._transport.get_write_buffer_size()
        taken = self.session.bytes_out - unsent
        if taken > self._taken or not unsent:
            self._taken, self._since = taken, now
            if unsent and self._close_by < math.inf:
                self._be_patient()
        self.session.controls = 0
        if self.session.faulty:  # and the application does not ask for more
            self._absorb(b"")
        write = self.service.options.timeouts.write
        if unsent and write and now - self._since >= write:
            self._abort("takes nothing of what it is sent")
        elif now >= self._close_by:
            self._abort("does not close")
        elif now >= self._ping_at and self.session.state == OPEN and not (unsent and write):
            self._keep_alive(now)  # a ping could not overtake what is not taken yet

    def _keep_alive(self, now: float) -> None:
        """Send a ping when it is time, or end what is too late with its pong."""
        options = self._options
        session = self.session
        if self._reading_paused:
            self._ping_at = now + options.ping_interval  # a pong would not be read either
        elif not session.awaits_pong:
            self._transport.write(session.ping())
            self._pinged = perf_counter()
            self._ping_at = now + options.ping_timeout if options.ping_timeout else math.inf
            self._expected = session.expected
        elif session.expected and (
            abs(self._expected - session.expected) >= MIN_RATE * options.ping_timeout
        ):
            # A pong cannot come in the middle of a frame, and this one makes progress.
            self._expected = session.expected
            self._ping_at = now + options.ping_timeout
        else:
            logger.info("%s: no pong within %g s.", self, options.ping_timeout)
            self.close(_NO_PONG, "No pong came in time.")
            self._close_by = now  # it does not answer: the next tick gives up

    def drain(self) -> None:
        """Close with 1012, by which the client may come back to another worker."""
        self.close(RESTARTING, "The server is stopping.")

    def wind_down(self, *, fresh: bool) -> None:
        """Do nothing: `drain` has closed it."""

    def cut(self) -> None:
        """Break the connection off: the grace period is over."""
        if not self.lost:
            self._abort("is cut off")

    def _be_patient(self) -> None:
        self._close_by = self.service.loop.time() + CLOSE_SECONDS

    def _abort(self, why: str) -> None:
        logger.info("%s: the client %s; aborted.", self, why)
        self.closing = True
        self.session.receive_eof()
        self._transport.abort()

    # ------------------------------------------------------------------ its end, as others see it

    def _report(self) -> None:
        session, opening = self.session, self._opening
        self.service.websockets.discard(session)
        self.service.noted.websocket_closed(session)
        on_answered = self.service.on_answered
        if on_answered is None:
            return
        received = f"in={session.messages_in}/{session.bytes_in}"
        sent = f"out={session.messages_out}/{session.bytes_out}"
        seconds = perf_counter() - opening.started_at
        closing = Closing(session.close_code, session.bytes_out)
        on_answered(opening.client, opening, closing, seconds, f"{received} {sent}")

    def __str__(self) -> str:
        return f"WebSocket {describe_target(self._opening.target)}"
