"""A client's connection: its socket and the HTTP on it, for a loop that hands itself off.

What lives here: reading without waiting (for the loop) and with waiting (for a thread inside an
application call), and waiting for a client that does not take its answer. What must not: epoll,
threads, leadership; the application; what is kept of the output (output.py), the ways in which a
connection ends (closing.py).

While an application is still producing, no more than `HIGH_WATER` bytes are kept: then its thread
waits, and reports that to its `client_waits`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, Protocol

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import BODY, IDLE, Deadlines, Output, RequestHead, Timeouts
from bare_serve.http1 import NEED_DATA, ServerConnection
from bare_serve.net.forwarded import Trust
from bare_serve.system import forks
from bare_serve.wsgi.burst import BURST_SECONDS, SMALL, Burst
from bare_serve.wsgi.carrying import Carrying
from bare_serve.wsgi.closing import READ_BYTES
from bare_serve.wsgi.peer import has_left, untaken

HIGH_WATER: Final = 1 << 18
"""Bytes that may wait for a client while its application goes on."""
LONGEST_WAIT: Final = 1.0
"""Seconds that a thread waits for its client at a time."""


class ClientWaits(Protocol):
    """What a worker does beside the threads that are in calls: connections report to it that a
    thread waits for a client, so that others are served, and have it send bursts."""

    @property
    def later(self) -> Callable[[Callable[[], None]], None] | None:
        """What has another thread call a function within 6 ms; None if there is no such thread."""

    def begins(self, connection: Connection) -> None:
        """Report that the thread which serves this connection begins to wait for its client."""

    def goes_on(self) -> float:
        """Report that it still waits, at least once a second; return the seconds until the next
        report at most."""

    def ends(self, connection: Connection) -> None:
        """Report that it waits no more."""


class _UnreportedWaits:
    """Reports to nothing: the waits of a connection that belongs to no worker."""

    later: Callable[[Callable[[], None]], None] | None = None

    def begins(self, connection: Connection) -> None:
        """See `ClientWaits`."""

    def goes_on(self) -> float:
        """See `ClientWaits`."""
        return LONGEST_WAIT

    def ends(self, connection: Connection) -> None:
        """See `ClientWaits`."""


_UNREPORTED: Final = _UnreportedWaits()


class Connection(Carrying):
    """One client. Used by one thread at a time: its owner (workers/wsgi/serving.py)."""

    __slots__ = (
        "_began",
        "_deadlines",
        "busy",
        "client",
        "client_waits",
        "collected",
        "events",
        "idle_at",
        "last_environ",
        "last_head",
        "next_head",
        "queued",
        "started",
        "trust",
        "waits_since",
    )

    def __init__(
        self,
        sock: socket.SocketType,
        http: ServerConnection,
        timeouts: Timeouts,
        environ: dict[str, Any],
    ) -> None:
        super().__init__(sock, http)
        self._timeouts = timeouts
        self._began = time.monotonic()
        self._deadlines: Deadlines | None = None  # made at the first look: most never see one
        environ["wsgi.early_hints"] = None  # each request has its own
        environ["bare_serve.client_disconnected"] = self.client_disconnected
        environ["waitress.client_disconnected"] = self.client_disconnected
        self.environ = environ
        """The part of the environ that all requests of this connection share."""
        self.client: str = environ["REMOTE_ADDR"]
        self.trust: Trust | None = None
        """Set if the other end is a proxy that is believed."""
        self.last_head: RequestHead | None = None
        self.last_environ: dict[str, Any] = environ
        self.started = 0.0
        """When the call began, by time.perf_counter(); 0.0 if nobody wants to know."""
        self.collected: Any = None
        """A file or list in which the loop gathers a body, before the application is called."""
        self.busy = False
        """A request is being served; only the serving thread may touch the connection."""
        self.events = 0
        """What the poller watches for."""
        self.idle_at = -1
        """While draining: its requests when it was idle last; -1 if it was not."""
        self.waits_since = 0.0
        """While the serving thread waits for the client: when it began, or saw it move last."""
        self.client_waits: ClientWaits = _UNREPORTED
        self.queued = 0.0
        """Since when it waits, with a request to be served, behind others that are ready."""
        self.upgraded = None
        self.next_head: RequestHead | None = None
        """The request with which it is to go on, if it is queued in the middle of several."""

    # ------------------------------------------------------------ for the loop

    @property
    def idle(self) -> bool:
        """Whether the client is owed nothing, and has sent nothing that was not answered."""
        resting = not (self.busy or self.unsent or self.linger_until)
        return resting and self.http.phase == IDLE

    def can_be_read(self) -> bool:
        """Return whether something has come that was not read yet."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def read(self) -> bool | None:
        """Take what the client has sent; return False when there was nothing to take.

        None: something has come, but nothing that HTTP is to hear of.

        Raises:
            OSError: the connection is broken.
        """
        try:
            data = self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if data:
            self.http.receive_data(data)
        else:
            self.http.receive_eof()
        return True

    def has_word(self) -> bool:
        """Return whether something can be read that is not the end.

        Raises:
            OSError: the connection is broken.
        """
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except (BlockingIOError, InterruptedError):
            return False

    @property
    def owed(self) -> RequestHead | None:
        """The request whose answer the client has not been given whole; None if there is none."""
        whole = self.http.whole and not (self.unsent or self.held)
        return None if whole else self.http.head

    def close(self) -> None:
        """Close the socket, and let go of whatever leads back here."""
        self.environ = self.last_environ = {}
        if self._file_parts:
            self.drop_output()
        self.forget_collected()
        if self.upgraded is not None:
            self.upgraded.finish()
        if forks.happened and not self.aborted:  # another process may have it open as well
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def forget_collected(self) -> None:
        """Let go of a body that was gathered and that no application will read."""
        body, self.collected = self.collected, None
        if body is not None:
            with contextlib.suppress(OSError):  # what it holds cannot even be written down
                body.close()

    # --------------------------------------- for the thread that serves a request

    def transmit(self, output: Output, last: bool) -> None:
        """Write `output`; wait for a slow client only while there is more to come.

        Raises:
            ClientGone: the client has left, or takes nothing.
        """
        try:
            if type(output) is bytes and not self._out:
                if last:
                    self.held = output
                elif output:
                    self._send(output)
            else:
                for piece in (output,) if isinstance(output, bytes) else output:
                    self._keep(memoryview(piece))
                self.flush()
        except OSError as error:
            raise self._left(error) from error
        if not last and self.unsent > HIGH_WATER:
            self._wait_until_taken(HIGH_WATER // 2)

    def send_piece(self, data: bytes) -> None:
        """See `interfaces.Transport`. For an answer of which nothing but pieces has been sent."""
        out = self._out
        if not out:
            later = self.client_waits.later
            if later is not None and len(data) < SMALL:
                now = time.monotonic()
                if now - self._piece_at < BURST_SECONDS and self.http.response_started:
                    burst = Burst(self._emit, data, now)
                    out.append(burst)
                    later(burst.send)
                    return
                self._piece_at = now
        elif isinstance(first := out[0], Burst):
            if len(data) < SMALL:
                if first.add(data):
                    return
                data = b""
            if kept := self.take_kept():
                self._piece_at = time.monotonic()
                self.transmit(self.http.send_body(kept, True), False)
        if data:
            self.transmit(self.http.send_body(data, True), False)

    def take_kept(self) -> bytes:
        """See `interfaces.Transport`."""
        out = self._out
        if out and isinstance(burst := out[0], Burst):
            kept = burst.take()
            out.popleft()  # the other thread may have left something behind it until then
            return kept
        return b""

    def _emit(self, kept: bytes) -> None:
        """Send what is kept of a burst, in the place of the thread of the call."""
        if not self.given_up:
            output = self.http.send_body(kept, True)
            assert isinstance(output, bytes)  # it is not that much
            self._send(output)

    def send_file(self, fd: int, offset: int, count: int) -> None:
        """See `interfaces.Transport`. As far as Content-Length says (PEP 3333, "Optional
        Platform-Specific File Handling")."""
        head, count = self.http.send_external(count, at_most=True)
        self.transmit(head, False)
        if count:
            self.transmit_file(fd, offset, count)

    def _wait_until_taken(self, rest: int) -> None:
        """Wait until no more than `rest` bytes are kept, or the client's time is over."""
        if isinstance(self.failure, ClientGone):
            raise self.failure  # an application that goes on regardless is not to wait again
        if self.unsent <= rest:
            return
        with self._waiting():
            while self.unsent > rest:
                self._wait_for(select.POLLOUT)
                before = self.unsent
                try:
                    self.flush()
                except OSError as error:
                    raise self._left(error) from error
                now = time.monotonic()
                if self.unsent < before:
                    self.waits_since = now
                if self.overdue(now):
                    raise self._left(None)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self.waits_since = time.monotonic()
        self.client_waits.begins(self)
        try:
            yield
        finally:
            self.waits_since = 0.0
            self.client_waits.ends(self)

    def overdue(self, now: float) -> RequestError | Literal["close", "abort"] | None:
        """See `Deadlines.overdue`.

        What the client's kernel has is what the client has taken: the buffers of our own kernel
        may hold megabytes, and take more in large lumps only.
        """
        unsent = self.unsent
        if unsent:
            unsent += untaken(self.fd)
        return self._overdue(now, unsent)

    def _overdue(self, now: float, unsent: int) -> RequestError | Literal["close", "abort"] | None:
        deadlines = self._deadlines
        if deadlines is None:
            deadlines = self._deadlines = Deadlines(self._timeouts, self._began)
        return deadlines.overdue(self.http, now, unsent=unsent)

    def _wait_for(self, event: int) -> None:
        """Wait for the client, but no longer than a second at a time."""
        seconds = self.client_waits.goes_on()
        poll = select.poll()
        poll.register(self.fd, event)
        poll.poll(seconds * 1000)

    def client_disconnected(self) -> bool:
        """`bare_serve.client_disconnected`: True if the client will not take the answer.

        Asks the kernel, and neither reads nor writes. A client that has ended its own side only
        counts as gone, though it is answered by an application that goes on all the same.
        """
        return self.aborted or isinstance(self.failure, ClientGone) or has_left(self.sock)

    def receive_body(self) -> bytes:
        """Return the next piece of a body that is still arriving, once it is there; b"" at its end.

        Raises:
            RequestError: the body is malformed, too large or too slow.
            ClientGone: the client left in the middle of it.
        """
        if self.failure is not None:
            raise self.failure  # and never an end that looks like one
        http = self.http
        if http.response_complete:
            return b""  # what comes now may belong to the next request
        try:
            if output := http.continue_expected():
                self.transmit(output, False)
            while (event := http.next_event()) is NEED_DATA:
                self._wait_for_bytes()
        except (RequestError, ClientGone) as error:
            self.failure = error
            http.keep_alive = False  # also if the application swallows it, and answers
            raise
        if self.failure is not None:
            raise self.failure  # given up meanwhile, by another thread
        return event if isinstance(event, bytes) else b""

    def _wait_for_bytes(self) -> None:
        try:
            if self.read():
                return
            with self._waiting():
                while not self.read():
                    if self.failure is not None:
                        raise self.failure
                    if self.http.phase == BODY:
                        verdict = self._overdue(time.monotonic(), 0)
                        if isinstance(verdict, RequestError):
                            raise verdict
                    self._wait_for(select.POLLIN)
        except OSError as error:
            raise self._left(error) from error
