"""What the threads of one WSGI worker share, and the stop in which all of them take part.

What lives here: the objects that each thread uses, the connections and the queue of those that wait
for their turn, and how the thread that owns a connection closes it or queues it. What must not: the
worker's boot and end (worker.py), the loop (leader.py), who leads (leadership.py).

All attributes are set before the first thread starts, except those whose comment says who sets
them.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections import deque

from bare_serve.workers.idle_rounds import FRESH_LINGER, Rounds
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.poller import Poller
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.wsgi.acceptor import Acceptor
from bare_serve.workers.wsgi.call import Call
from bare_serve.workers.wsgi.compute_gate import ComputeGate
from bare_serve.workers.wsgi.leadership import Leadership
from bare_serve.workers.wsgi.slow_calls import SlowCalls
from bare_serve.workers.wsgi.spool import Spool
from bare_serve.workers.wsgi.wake_up import WakeUp
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.service import Service


class Drain:
    """The stop of one worker: whether the leader has begun to drain, and until when it may.

    That is `leave_by` of the life, a little before the end of the grace: a worker that goes on to
    that end is killed, on a busy machine, before it has answered those whom it gives up.
    Times are in seconds of `time.monotonic`.
    """

    __slots__ = ("_lifecycle", "begun", "rounds")

    def __init__(self, lifecycle: ServiceLife) -> None:
        self._lifecycle = lifecycle
        self.begun = False
        """Whether the worker accepts no more. Set by the leader."""
        self.rounds = Rounds(0.0)
        """When idle connections are looked at. Set by the leader, once it drains."""

    def begin(self, now: float) -> None:
        """Start the rounds over idle connections."""
        self.begun = True
        # A request may be on its way on any of them, and is answered if it comes in time.
        self.rounds = Rounds(now, FRESH_LINGER)

    def out_of_time(self, now: float) -> bool:
        """Return True when the grace period is over, or was cut short."""
        lifecycle = self._lifecycle
        return lifecycle.stopping and (lifecycle.hurry or now >= lifecycle.leave_by)

    def seconds_left(self) -> float:
        """Return how long requests may still take; infinite while no stop is wanted."""
        lifecycle = self._lifecycle
        if not lifecycle.stopping:
            return math.inf
        return 0.0 if lifecycle.hurry else lifecycle.leave_by - time.monotonic()


class Shared:
    """One per worker."""

    def __init__(
        self,
        service: Service,
        acceptor: Acceptor,
        poller: Poller,
        leadership: Leadership | None,
        lifecycle: ServiceLife,
        options: ServeOptions,
        wake_up: WakeUp,
    ) -> None:
        """`leadership`: None if one thread is all, and no call is to be overtaken."""
        self.service = service
        self.acceptor = acceptor
        self.connections = acceptor.connections
        """Those that were accepted and are not closed yet, by their descriptors."""
        self.poller = poller
        self.leadership = leadership
        self.lifecycle = lifecycle
        self.options = options
        self.wake_up = wake_up
        self.drain = Drain(lifecycle)
        self.slow_calls = SlowCalls()
        self.compute_gate = ComputeGate()
        self.spool = Spool(options.limit_spool)
        self.park_lock = threading.Lock()
        """Held by a thread that changes what is watched of a connection that is or may be busy."""
        self.queue: deque[Connection] = deque()
        """Connections with a request to be served, once those that are ready had their turn, or
        once a thread is free; the first to come first."""
        self.calls: list[Call] = []
        """Those of all threads, whether the thread is in a call now or not."""
        self.next_tick = 0.0
        """When the leader ticks next. Set by the tick."""
        self.over = False
        """No thread serves any more. Set once, by the leader or at the end of the worker."""
        self.fault: BaseException | None = None
        """What ended the loop, if it failed. Set by the thread that led."""
        self._numbers = itertools.count(1)
        self._past_requests = 0

    # ------------------------------------------------------------------ threads

    def new_call(self) -> Call:
        """Make the `Call` of one more thread, which `calls` does not have yet."""
        return Call(next(self._numbers))

    def retire(self, call: Call) -> None:
        """Take the call of a thread that ends off `calls`; its requests count on."""
        self._past_requests += call.requests
        with contextlib.suppress(ValueError):
            self.calls.remove(call)

    @property
    def requests(self) -> int:
        """Calls of the application that all threads have begun, ended threads included."""
        return sum(call.requests for call in list(self.calls)) + self._past_requests

    def may_stream(self) -> bool:
        """Return whether one more thread may wait for the body of its request, piece by piece.

        Clients can be as slow as they like: half of the threads at most may depend on them.
        """
        return sum(call.streams for call in self.calls) < self.options.threads // 2

    def break_down(self, error: BaseException) -> None:
        """End the worker because the loop failed; the master starts another one."""
        self.fault = error
        self.over = True

    # ------------------------------------------------------------------ connections

    def put_in_queue(self, connection: Connection, now: float, *, leads: bool) -> None:
        """Queue a connection, busy, until its turn comes again; for the thread that owns it.

        `leads`: whether that thread leads.
        """
        leadership = self.leadership
        with self.park_lock:
            if self.over:
                connection.close()  # no other thread has it in its hands
                return
            connection.queued = now
            self.queue.append(connection)
        if leadership is not None:
            if not leads:
                self.wake_up.wake()
            elif leadership.crowded:
                leadership.ring()  # the monitor makes room

    def close(self, connection: Connection) -> None:
        """Close a connection and forget it; for the thread that owns it."""
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
        if not self.connections and self.drain.begun:
            self.wake_up.wake()  # the leader may be waiting for this very one

    def begin_drain(self, now: float) -> None:
        """Accept no more; every connection closes after the answer it is owed."""
        self.drain.begin(now)
        self.acceptor.close()
        for connection in list(self.connections.values()):
            connection.http.close_after = True
            if connection.upgraded is not None:
                connection.upgraded.end()
            connection.idle_at = connection.http.requests if connection.idle else -1
