"""One thread of the WSGI worker: leads the loop, serves requests, stands by.

What lives here: from readiness to events, and who may touch a connection. What must not: the
worker's life (worker.py), the call of the application (caller.py), bytes (wsgi/connection.py).

A connection belongs to the leader, except while its request is served by a thread that has lost
the lead: then it is *busy*, and an event on it only makes the leader stop watching it. The late
thread watches it again as its last act. Wherever an application may have been called, the caller
looks at `_leading` before it touches anything else.

A connection with more requests than one turn of the loop has time for is *queued*, busy all the
while, behind all others that are ready; so is one whose request came while no thread was free.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http1 import (
    END_OF_BODY,
    MUST_CLOSE,
    NEED_DATA,
    PAUSED,
    RequestHead,
)
from bare_serve.system import forks
from bare_serve.workers.accept_balance import STEP
from bare_serve.workers.poller import READ, WRITE
from bare_serve.workers.wsgi.caller import Caller
from bare_serve.workers.wsgi.leadership import Follower, Leadership
from bare_serve.workers.wsgi.shared import Shared
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.input import NO_INPUT

# What one connection may take of a turn of the loop, before it waits behind those that are ready:
# one request, or as many as fit. The first is not measured, since mostly it is the only one.
TURN_SECONDS: Final = 0.001
_POLL_SECONDS: Final = 0.5
_DRAIN_POLL_SECONDS: Final = 0.02

logger = logging.getLogger("bare_serve.worker")


class WorkerThread(Caller):
    """One per thread."""

    def __init__(self, shared: Shared, tick: Callable[[float], None]) -> None:
        """`tick(now)` does what the worker has to do once a second; the leader calls it."""
        super().__init__(shared)
        self._tick_worker = tick
        self._holds = False
        """Whether this thread leads, but may make no calls."""
        self._meet = self._ready
        """What is done with a connection that can be read or written."""

    def run(self, leadership: Leadership, follower: Follower) -> None:
        """Wait for the lead, lead, be late, stand by; until the worker is over."""
        shared = self._shared
        goes_on = follower.wait()
        while goes_on:
            self._leading = True
            try:
                self.lead()
            except BaseException as error:
                forks.end_copy()
                if self._leading:
                    shared.break_down(error)
                else:
                    logger.exception("A fault of the server, in a thread that served one request.")
            self.call.serving = None
            goes_on = not shared.over and leadership.stand_by(follower)
        shared.retire(self.call)
        leadership.ring()

    # ------------------------------------------------------------------ the loop

    def lead(self) -> None:
        """Poll and serve until the lead is lost or the worker is over."""
        self.call.ident = threading.get_ident()
        shared = self._shared
        acceptor, connections, poll = shared.acceptor, shared.connections, shared.poller.poll
        lifecycle, queue = shared.lifecycle, shared.queue
        poll_seconds = _DRAIN_POLL_SECONDS if shared.drain.begun else _POLL_SECONDS
        self._hold_if_crowded()
        while True:
            for fd, _ in poll(
                self._nap(poll_seconds) if queue or acceptor.should_yield else poll_seconds
            ):
                connection = connections.get(fd)
                if connection is None:
                    self._look_at(fd)
                else:
                    self._meet(connection)
                if not self._leading:
                    return  # what else was ready, the new leader is told as well
            if queue or self._holds:
                self._serve_queue()
                if not self._leading:
                    return
            now = time.monotonic()
            if acceptor.should_yield:
                acceptor.listen_again(now)
            if now >= shared.next_tick:
                self.tick(now)
            if lifecycle.stopping:
                poll_seconds = _DRAIN_POLL_SECONDS
                if self._drained(now):
                    shared.over = True
                    return
            if not self._leading:
                return

    def _nap(self, poll_seconds: float) -> float:
        """Return the seconds to wait for readiness while something else waits as well."""
        if self._shared.queue and not self._holds:
            return 0.0
        return STEP if self._shared.acceptor.should_yield else poll_seconds

    def _look_at(self, fd: int) -> None:
        """Attend to a listener, the wake-up, a proxy that has not named its client, or a
        connection that another thread has closed meanwhile."""
        shared = self._shared
        acceptor = shared.acceptor
        if fd in acceptor.listeners:
            for connection in acceptor.take(fd):
                self._meet(connection)
                if not self._leading:
                    return
        elif fd == shared.wake_up.fd:
            shared.wake_up.clear()
            acceptor.look()
        elif (introduced := acceptor.begin_handshake(fd)) is not None:
            self._meet(introduced)

    def _ready(self, connection: Connection) -> None:
        """Go on with a connection that can be read or written, or is broken."""
        if connection.busy:
            self._park(connection)
            return
        try:
            if connection.linger_until:
                if connection.discard():
                    self._close(connection)
                return
            if connection.unsent:
                connection.flush()
            else:
                taken = connection.read()
                if taken is None or not (taken or connection.events):
                    self._settle(connection)
                    return
        except OSError:
            self._close(connection)
            return
        self._go_on(connection)

    def _go_on(self, connection: Connection, head: RequestHead | None = None) -> None:
        """Go on with what has been received, or with `head`; no failure leaves."""
        try:
            if head is None:
                self._advance(connection)
            else:
                until = time.monotonic() + TURN_SECONDS
                self._begin(connection, head)
                self._advance(connection, until, True)
        except ClientGone:
            self._close(connection)
        except Exception:
            # Nothing a client sends may end a worker; and nothing of ours is swallowed unseen.
            logger.exception("A fault of the server: this connection is closed.")
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        """Close a connection, of which nothing is served any more."""
        self.call.serving = None
        self._shared.close(connection)

    def _park(self, connection: Connection) -> None:
        """Stop watching a busy connection, until its thread gives it back."""
        with self._shared.park_lock:
            if connection.busy and connection.events:
                self._shared.poller.forget(connection.fd)
                connection.events = 0

    def _advance(self, connection: Connection, until: float = 0.0, served: bool = False) -> None:
        """Go through what the connection has received, as far as it can be answered now.

        `until`: when its turn is over; 0.0 if that is still to be found out. `served`: one
        request has been, in this turn.

        Raises:
            ClientGone: there is nobody to go on for.
        """
        next_event = connection.http.next_event
        while True:
            if connection.held:
                connection.release()
            if connection.unsent:
                break
            try:
                event = next_event()
            except RequestError as error:
                self._service.refuse(connection, error)  # a gathered body too: without a call
                continue
            if event is NEED_DATA:
                break
            if type(event) is RequestHead:
                if served:
                    now = time.monotonic()
                    if not self._leading or now > (until := until or now + TURN_SECONDS):
                        connection.next_head = event
                        self.call.serving = None
                        self._shared.put_in_queue(connection, now, leads=self._leading)
                        return
                served = True
                if event.has_body:
                    self._begin_body(connection, event)
                else:
                    self._serve(connection, event, NO_INPUT)
            elif event is END_OF_BODY:
                # Otherwise the application has read it itself, by length: all but the end.
                if connection.collected is not None:
                    self._serve_collected(connection)
            elif event is MUST_CLOSE:
                if not (connection.http.linger and connection.start_lingering()):
                    self._close(connection)
                    return
                break
            elif isinstance(event, bytes):
                self._collect(connection, event)
            else:
                assert event is PAUSED
                break
        self._settle(connection)

    def _settle(self, connection: Connection) -> None:
        """Watch for what comes next and, if the connection was busy, give it back."""
        wanted = WRITE if connection.unsent else READ
        if self._leading:
            connection.busy = False
            if connection.events != wanted:
                self._rewatch(connection, wanted)
            return
        with self._shared.park_lock:
            if self._shared.over:
                connection.close()  # nobody else knows of it any more
            else:
                self._rewatch(connection, wanted)
                connection.busy = False

    def _rewatch(self, connection: Connection, wanted: int) -> None:
        if not connection.events:
            self._shared.poller.watch(connection.fd, wanted)
        elif connection.events != wanted:
            self._shared.poller.change(connection.fd, wanted)
        connection.events = wanted

    # ------------------------------------------------------------------ those who wait

    def _hold_if_crowded(self) -> bool:
        """Find out whether this thread leads, but may make no calls; return that."""
        leadership = self._leadership
        self._holds = leadership is not None and not leadership.may_call()
        if self._holds:
            self._shared.acceptor.rest()
            self._meet = self._hold
        else:
            self._shared.acceptor.resume()
            self._meet = self._ready
        return self._holds

    def _serve_queue(self) -> None:
        """Give each queued connection its turn, if there is a thread to serve them."""
        shared = self._shared
        if self._holds:
            assert self._leadership is not None
            if self._leadership.held:
                return
            if self._hold_if_crowded():
                return
        queue = shared.queue
        for _ in range(len(queue)):
            connection = queue.popleft()
            if not connection.queued:
                continue  # closed meanwhile
            connection.queued = 0.0
            connection.busy = False
            head, connection.next_head = connection.next_head, None
            if head is not None or connection.http.buffered:
                self._go_on(connection, head)
            else:
                self._ready(connection)
            if not self._leading:
                return

    def _hold(self, connection: Connection) -> None:
        """Do all but the application's calls, in the place of `_ready` while no thread is free."""
        if connection.busy or connection.linger_until:
            self._ready(connection)
            return
        if not connection.events:
            self._settle(connection)  # it is new: whether it says anything is seen later
            return
        try:
            if connection.unsent:
                connection.flush()
                if connection.unsent:
                    return
                if not connection.http.buffered:
                    self._go_on(connection)  # at rest, or closed
                    return
            elif not (connection.http.buffered or connection.has_word()):
                self._ready(connection)  # an end, and no request
                return
        except OSError:
            self._close(connection)
            return
        connection.busy = True
        self._park(connection)
        self.call.serving = None
        self._shared.put_in_queue(connection, time.monotonic(), leads=self._leading)

    # ------------------------------------------------------------------ time

    def tick_if_due(self) -> None:
        """Tick when a second has passed; by the only thread, while it waits for its client."""
        now = time.monotonic()
        if now >= self._shared.next_tick:
            self.tick(now)

    def tick(self, now: float) -> None:
        """Do what is due once a second, the deadlines of clients among it."""
        shared = self._shared
        self._tick_worker(now)
        shared.acceptor.tick(now)
        for connection in list(shared.connections.values()):
            if connection.busy:
                continue
            if connection.linger_until:
                if now >= connection.linger_until:
                    shared.close(connection)
                continue
            verdict = connection.overdue(now)
            if verdict is None:
                continue
            if isinstance(verdict, RequestError):
                self._service.refuse(connection, verdict)
                self._go_on(connection)  # nothing is left in it but the end
            elif verdict == "abort":
                connection.abort()
                shared.close(connection)
            elif not (connection.idle and connection.can_be_read()):
                shared.close(connection)  # else a request has come meanwhile

    def _drained(self, now: float) -> bool:
        """Return True when no client is owed an answer any more, or the time is over."""
        shared = self._shared
        drain = shared.drain
        if not drain.begun:
            shared.begin_drain(now)
        if now >= drain.rounds.due and drain.rounds.begin(now):
            self._round(now)
            if not self._leading:
                return False
        return shared.acceptor.is_empty or drain.out_of_time(now)

    def _round(self, now: float) -> None:
        """Close connections that were idle in the last round as well, while draining.

        Each is read from once more, right before: a request that has arrived is served.
        """
        shared = self._shared
        fresh = shared.drain.rounds.fresh(now)
        for connection in list(shared.connections.values()):
            self._meet(connection)
            if not self._leading:
                return  # the next round, by the new leader, goes over all of them
            requests = connection.http.requests if connection.idle else -1
            if requests == connection.idle_at and (requests > 0 or (fresh and not requests)):
                shared.close(connection)
            connection.idle_at = requests
        if fresh:
            shared.acceptor.handshakes.dismiss_all()
