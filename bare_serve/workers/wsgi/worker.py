"""The WSGI worker: one loop over all connections, led by one thread at a time.

What lives here: the life of a worker (boot, drain, end) and what its threads share. What must not:
HTTP (http1), the application's side (wsgi), who leads (leadership.py), the loop (leader.py).

The leader polls, parses, calls the application inline and writes the answer: one thread, no
switches. If a call takes too long, leadership passes to another thread and the late one finishes
alone. With one thread the main thread leads; with more, the main thread is the monitor.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import math
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from bare_serve.app import LoadedApp
from bare_serve.errors import BareServeError
from bare_serve.http1 import select_parser
from bare_serve.system import forks
from bare_serve.workers.idle_rounds import FRESH_LINGER, Rounds
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.poller import READ, Poller, make_poller
from bare_serve.workers.shutdown import ServersThread
from bare_serve.workers.wsgi.acceptor import Acceptor
from bare_serve.workers.wsgi.bounded_acceptor import BoundedAcceptor
from bare_serve.workers.wsgi.client_waits import (
    MOST_WAITING,
    CountedWaits,
    OneThreadWaits,
    QueueWarning,
)
from bare_serve.workers.wsgi.compute_gate import ComputeGate
from bare_serve.workers.wsgi.inflight import served
from bare_serve.workers.wsgi.leader import WorkerThread
from bare_serve.workers.wsgi.leadership import Follower, Leadership
from bare_serve.workers.wsgi.request_timeout import RequestTimeouts, tell
from bare_serve.workers.wsgi.slow_calls import SlowCalls
from bare_serve.workers.wsgi.spool import Spool
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.forked import make_copies
from bare_serve.wsgi.service import Service, describe

# A computing view meets the convoy of the GIL: each system call of the leader gives the GIL away
# for a whole interval. A tenth of a millisecond doubles what the others get, beside the default of
# five it is tenfold, and costs nothing measurable elsewhere. Case "mixed-compute".
SWITCH_INTERVAL: Final = 0.0001
# How long the end waits for threads that are through with the application.
_MOMENT: Final = 0.1

logger = logging.getLogger("bare_serve.worker")


class WsgiWorker:
    """What the threads of one worker share."""

    def __init__(
        self,
        loaded: LoadedApp,
        listeners: Sequence[socket.socket],
        lifecycle: Lifecycle,
        options: ServeOptions,
        poller: Poller | None = None,
    ) -> None:
        self.lifecycle = lifecycle
        self.options = options
        self.access_log = options.access_log
        self.service = Service(loaded.app, options.root_path, options.access_log)
        self.slow = SlowCalls()
        self.compute_gate = ComputeGate()
        self.spool = Spool(options.limit_spool)
        self.poller = poller or make_poller()
        self._parser = select_parser(options.parser)
        self.acceptor = self._make_acceptor(listeners)
        self.connections = self.acceptor.connections
        self.park_lock = threading.Lock()
        """Held by whoever changes what is watched of a connection that is or may be busy."""
        self.queue: deque[Connection] = deque()
        """Connections with a request to be served, once those that are ready had their turn, or
        once a thread is free; the first to come first."""
        self.worker_threads: list[WorkerThread] = []
        self.numbers = itertools.count(1)
        self._past_requests = 0
        """Calls of threads that have ended."""
        self._overtime: RequestTimeouts | None = None
        if options.timeout_request:
            self._overtime = RequestTimeouts(options.timeout_request, self.worker_threads)
        self.leadership: Leadership | None = None
        if options.threads > 1 or self._overtime is not None:
            # Calls are not late by more than a look of those who wait for them to be.
            nap = self._overtime.period if self._overtime is not None else 1.0
            several = options.threads > 1
            self.leadership = Leadership(
                options.threads, self._spawn, nap=nap, room=self._wake_leader,
                spare=int(several), most_waiting=MOST_WAITING if several else 0,
            )  # fmt: skip
            self._patience = CountedWaits(
                self.leadership, self.compute_gate, self.worker_threads, self.connections
            )
            self.acceptor.client_waits = self._patience
        else:
            self.acceptor.client_waits = OneThreadWaits(self._tick_if_due, self._seconds_left)
        self._impatience = QueueWarning(options.threads)
        self._knocked_since = 0.0
        self.over = False
        self.draining = False
        self.rounds = Rounds(0.0)
        """While draining: when idle connections are looked at."""
        self.next_tick = 0.0
        self._next_beat = 0.0
        self._fault: BaseException | None = None
        self._deadline = 0.0
        self.wake_reader, self._wake_writer = socket.socketpair()
        for end in (self.wake_reader, self._wake_writer):
            end.setblocking(False)

    # ------------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until the lifecycle says stop and all requests are answered or out of time."""
        self.poller.watch(self.wake_reader.fileno(), READ)
        self.acceptor.open()
        self.lifecycle.install(self._wake)
        self.lifecycle.in_progress = lambda: served(self.worker_threads)
        if self.access_log is not None:
            self.access_log.start()
        gc.collect()
        gc.freeze()  # what the boot made stays: the collector need not look at it again
        self.lifecycle.slot.ready(self._facts())
        self._beat(time.monotonic())
        let_go = forks.holds(self._descriptors, partial(make_copies, self.connections))
        try:
            if self.leadership is None:
                self.worker_threads.append(WorkerThread(self))
                self.worker_threads[0].lead()
            else:
                self._lead_by_threads(self.leadership)
        finally:
            forks.end_copy()
            let_go()
            self._end()
        if self._fault is not None:
            raise self._fault

    def _make_acceptor(self, listeners: Sequence[socket.socket]) -> Acceptor:
        options, share = self.options, self.lifecycle.share
        if not options.limit_connections:
            return Acceptor(listeners, self.poller, share, options, self._parser)
        wake = self._wake_leader
        return BoundedAcceptor(listeners, self.poller, share, options, self._parser, wake)

    def _descriptors(self) -> Iterator[int]:
        """Yield the descriptors that a process forked by the application closes."""
        yield from self.acceptor.descriptors()
        for each in (self.poller, self.wake_reader, self._wake_writer):
            yield each.fileno()

    def _lead_by_threads(self, leadership: Leadership) -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            if not leadership.start():
                raise BareServeError("the system gives no thread to serve with; try --threads 1")
            leadership.monitor(self._is_over)
        finally:
            leadership.close()
            sys.setswitchinterval(before)

    def _facts(self) -> dict[str, str]:
        threads = self.options.threads
        count = f"up to {threads} threads" if threads > 1 else "1 thread"
        return {"parser": self._parser.name, "loop": f"{self.poller.name}, {count}"}

    def _wake(self) -> None:
        """Wake the leading thread and the monitor, in signal handlers."""
        if self.leadership is not None:
            self.leadership.ring()
        self._wake_writer.send(b"\0")

    def _wake_leader(self) -> None:
        with contextlib.suppress(OSError):  # it is full: whoever leads has been woken
            self._wake_writer.send(b"\0")

    def put_in_queue(self, connection: Connection, worker_thread: WorkerThread, now: float) -> None:
        """Queue a connection, still busy, for its turn; by the thread that owns it."""
        worker_thread.serving = None
        leadership = self.leadership
        with self.park_lock:
            if self.over:
                connection.close()  # nobody else knows of it any more
                return
            connection.queued = now
            self.queue.append(connection)
        if leadership is not None:
            if not worker_thread.leads:
                self._wake_leader()
            elif leadership.crowded:
                leadership.ring()  # the monitor makes room

    def retire(self, worker_thread: WorkerThread) -> None:
        """Remove a thread that ends, and keep the number of its requests."""
        self._past_requests += worker_thread.requests
        with contextlib.suppress(ValueError):
            self.worker_threads.remove(worker_thread)

    def _spawn(self, follower: Follower) -> None:
        assert self.leadership is not None
        worker_thread = WorkerThread(self)
        name = f"bare-serve-{worker_thread.number}"
        work = (self.leadership, follower)
        ServersThread(target=worker_thread.run, args=work, name=name).start()
        self.worker_threads.append(worker_thread)

    def _is_over(self) -> bool:
        """Return whether the worker is over, and show signs of life, in the monitor's thread."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._beat(now)
        if self.over or self.leadership is None:
            return True
        self._patience.look(now)
        if self._overtime is not None:
            self._end_request_timeouts(self._overtime, now)
        return self.out_of_time(now) and self.leadership.end_leadership()

    def _end_request_timeouts(self, request_timeouts: RequestTimeouts, now: float) -> None:
        """Answer in the place of calls that are overdue; end a worker with stuck threads."""
        limit = self.options.timeout_request
        for call, connection in request_timeouts.look(now):
            head = connection.http.head
            if head is None:
                continue
            number = call.requests
            tell(call, head, limit)
            with self.park_lock:
                still = call.requests == number and connection.busy
                if not still or connection.http.response_complete:
                    continue  # it has come to its end meanwhile
                if self.connections.get(connection.fd) is connection:
                    del self.connections[connection.fd]
                if connection.events:
                    self.poller.forget(connection.fd)
                    connection.events = 0
                self.service.give_up(connection, head, limit)
            if self.lifecycle.has_master:
                logger.warning("The worker is replaced once its other requests are answered.")
                self.lifecycle.stop()
        if request_timeouts.stuck >= self.options.threads and self.lifecycle.stopping:
            self.lifecycle.hurry = True  # nobody is left to answer the others

    def break_down(self, error: BaseException) -> None:
        """End the worker after a failure of the loop itself; its master starts another."""
        self._fault = error
        self.over = True

    def may_stream(self) -> bool:
        """Return whether one more thread may wait for the body of its request, piece by piece.

        Clients can be as slow as they like: half of the threads at most may depend on them.
        """
        streaming = sum(worker_thread.streams for worker_thread in self.worker_threads)
        return streaming < self.options.threads // 2

    def tick(self, now: float) -> None:
        """Once a second, by the loop."""
        self.next_tick = now + 1.0
        self.lifecycle.reopen_if_asked(self.access_log)
        if self.options.certificates is not None:
            self.options.certificates.tick()
        if self.leadership is None:
            self._beat(now)
        else:
            self._look_at_queue(now, held=self.leadership.held)

    def _tick_if_due(self) -> None:
        """Tick, by the only thread, while it waits for its client."""
        now = time.monotonic()
        if now >= self.next_tick:
            self.worker_threads[0].tick(now)

    def _seconds_left(self) -> float:
        """Return the seconds a stop leaves to requests; infinite while none is asked for."""
        lifecycle = self.lifecycle
        if not lifecycle.stopping:
            return math.inf
        return 0.0 if lifecycle.hurry else lifecycle.leave_by - time.monotonic()

    def _look_at_queue(self, now: float, *, held: bool) -> None:
        """Return whether somebody has waited for a thread for long."""
        waiting = len(self.queue) if held else 0
        since = self.queue[0].queued if waiting else now
        if (
            held and self.acceptor.rests and self.acceptor.knocks
        ):  # new ones, and no other worker helps
            self._knocked_since = self._knocked_since or now
            waiting, since = waiting + 1, min(since, self._knocked_since)
        else:
            self._knocked_since = 0.0
        self._impatience.look(waiting, since, now)

    def _beat(self, now: float) -> None:
        self._next_beat = now + 1.0
        requests = sum(worker_thread.requests for worker_thread in list(self.worker_threads))
        requests += self._past_requests
        self.lifecycle.tick(len(self.connections), requests, alive=self._is_alive(now))

    def _is_alive(self, now: float) -> bool:
        """Return whether the loop goes round, or its leader is in a call, however long."""
        if now < self.next_tick + 1.0:
            return True
        return self.leadership is not None and self.leadership.in_call

    def begin_drain(self, now: float) -> None:
        """Accept no more; close each connection after the answer it is owed."""
        self.draining = True
        # A request may be on its way on any of them, and is answered if it comes in time.
        self.rounds = Rounds(now, FRESH_LINGER)
        self._deadline = now + self.options.graceful_shutdown
        self.acceptor.close()
        for connection in list(self.connections.values()):
            connection.http.close_after = True
            connection.idle_at = connection.http.requests if connection.idle else -1

    def out_of_time(self, now: float) -> bool:
        """Return whether the grace period is over, or was cut short."""
        if not self.lifecycle.stopping:
            return False
        if self.lifecycle.hurry:
            return True
        if not self._deadline:  # nobody has begun to drain: all threads are busy
            self._deadline = now + self.options.graceful_shutdown
        return now >= self._deadline

    def _end(self) -> None:
        self._let_finish()
        with self.park_lock:  # from here on a late thread touches neither poller nor table
            self.over = True
        for connection in list(self.connections.values()):
            if (head := connection.owed) is not None:
                if connection.busy or connection.unsent:  # else its body has not come yet
                    logger.warning("Given up at shutdown: %s", describe(head))
                connection.abort()
            connection.close()
        self.connections.clear()
        self.acceptor.handshakes.dismiss_all()
        if self.access_log is not None:
            self.access_log.flush()
        self.lifecycle.restore()
        self.poller.close()
        self.wake_reader.close()
        self._wake_writer.close()

    def _let_finish(self) -> None:
        """Late threads whose answers are complete are about to give their connections back: they
        are waited for, a moment, so that no answer is cut that needs no more than being sent."""
        deadline = time.monotonic() + _MOMENT
        while time.monotonic() < deadline:
            busy = [each for each in list(self.connections.values()) if each.busy]
            if not any(each.http.whole and not each.queued for each in busy):
                return
            time.sleep(_MOMENT / 100)

    def close(self, connection: Connection) -> None:
        """Close and forget a connection; by the thread that owns it."""
        connection.queued = 0.0
        with self.park_lock:
            if self.over:
                connection.close()
                return
            self.acceptor.forget(connection)
            if connection.events:
                self.poller.forget(connection.fd)
                connection.events = 0
        connection.close()
        if self.draining and not self.connections:
            with contextlib.suppress(OSError):  # the leader may be waiting for this very one
                self._wake_writer.send(b"\0")


def run_wsgi_worker(
    loaded: LoadedApp,
    listeners: Sequence[socket.socket],
    lifecycle: Lifecycle,
    options: ServeOptions,
) -> None:
    """Serve `loaded` on `listeners` until the lifecycle says stop; return when drained."""
    WsgiWorker(loaded, listeners, lifecycle, options).run()
