"""One thread of the WSGI worker: leads the loop, serves requests, stands by.

What lives here: the loop, the queue of connections that wait for their turn or for a thread, the
deadlines, the rounds of a drain. What must not: what is done with one connection (serving.py), the
call of the application (caller.py), the worker's life (worker.py).

A connection is *queued*, busy all the while, if it had its turn and has more requests, or if its
request came while no thread was free to call the application.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from bare_serve.errors import RequestError
from bare_serve.system import forks
from bare_serve.workers.accept_balance import STEP
from bare_serve.workers.wsgi.leadership import Follower, Leadership
from bare_serve.workers.wsgi.serving import ConnectionServer
from bare_serve.workers.wsgi.shared import Shared
from bare_serve.wsgi.connection import Connection

# Seconds that the leader waits for readiness at a time, and while it drains.
_POLL_SECONDS: Final = 0.5
_DRAIN_POLL_SECONDS: Final = 0.02

logger = logging.getLogger("bare_serve.worker")


class WorkerThread(ConnectionServer):
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

    # ------------------------------------------------------------------ the queue

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
