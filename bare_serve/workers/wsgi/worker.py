"""The life of a WSGI worker: it boots, has its threads serve, drains and ends.

What lives here: what is made at boot, the tick, signs of life, the end. What must not: HTTP
(http1), the application's side (wsgi), what threads share (shared.py), who leads (leadership.py),
the loop (leader.py), calls that are late (monitor.py).

The leader polls, parses, calls the application inline and writes the answer: one thread, no
switches. If a call takes too long, leadership passes to another thread and the late one finishes
alone. With one thread the main thread leads; with more, the main thread is the monitor.
"""

from __future__ import annotations

import logging
import socket
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Final

from bare_serve.app import LoadedApp
from bare_serve.counts.tally import UNCOUNTED, Tally
from bare_serve.errors import RequestError
from bare_serve.http.log_text import describe
from bare_serve.system import forks
from bare_serve.workers.counting import Counting, Gauges
from bare_serve.workers.exchanges import attaching, can_attach, exchanges, worker_xray
from bare_serve.workers.observers import answer_observer, slow_requests
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.poller import READ, Poller, make_poller
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.shutdown import ServersThread
from bare_serve.workers.wsgi.acceptor import Acceptor
from bare_serve.workers.wsgi.bounded_acceptor import BoundedAcceptor
from bare_serve.workers.wsgi.client_waits import MOST_WAITING, OneThreadWaits, QueueWarning
from bare_serve.workers.wsgi.inflight import in_flight, running, served
from bare_serve.workers.wsgi.leader import WorkerThread
from bare_serve.workers.wsgi.leadership import Follower, Leadership, ThreadLimits
from bare_serve.workers.wsgi.monitor import Monitor
from bare_serve.workers.wsgi.request_timeout import look_seconds
from bare_serve.workers.wsgi.shared import Shared
from bare_serve.workers.wsgi.wake_up import WakeUp
from bare_serve.wsgi.forked import make_copies
from bare_serve.wsgi.service import Service

# Seconds that the end of the worker waits for threads that are through with the application.
_MOMENT: Final = 0.1

_STOPPING: Final = RequestError(503, "The server is stopping.")

logger = logging.getLogger("bare_serve.worker")


class WsgiWorker:
    """One per process; owns its threads and what they share."""

    def __init__(
        self,
        loaded: LoadedApp,
        listeners: Sequence[socket.socket],
        lifecycle: ServiceLife,
        options: ServeOptions,
        poller: Poller | None = None,
    ) -> None:
        self._lifecycle = lifecycle
        self._options = options
        self._target = loaded.target
        self._xray = worker_xray(options, loaded.target)
        self._exchanges = exchanges(options, self._xray)
        self._poller = poller or make_poller()
        self._wake_up = WakeUp()
        self._leadership = self._make_leadership()
        tally = Tally() if options.counts else None
        self._slow = slow_requests(options)
        observer = answer_observer(options, tally, self._slow)
        kind: Callable[..., Service] = Service
        if self._xray is not None:
            kind = import_module("bare_serve.wsgi.traced").TracedService
        elif loaded.direct is not None and not options.root_path:
            direct = import_module("bare_serve.wsgi.direct")
            kind = partial(direct.DirectService, loaded.direct)
        service = kind(loaded.app, options.root_path, observer, tally or UNCOUNTED)
        self.shared = Shared(
            service, self._make_acceptor(listeners), self._poller, self._leadership,
            lifecycle, options, self._wake_up,
        )  # fmt: skip
        if tally is not None:
            counting = Counting(
                lifecycle.slot, tally, options.access_log,
                lambda: self.shared.requests, self._gauges,
            )  # fmt: skip
            lifecycle.publish = counting.publish
        self._queue_warning = QueueWarning(options.threads)
        self._threads: weakref.WeakSet[ServersThread] = weakref.WeakSet()
        self._backlog_since = 0.0
        self._next_beat = 0.0

    def _make_leadership(self) -> Leadership | None:
        """Return None where one thread is all, and no call is to be given up."""
        threads, limit = self._options.threads, self._options.timeout_request
        several = threads > 1
        if not (several or limit):
            return None
        limits = ThreadLimits(threads)
        if several:
            limits = ThreadLimits(threads, spare=1, waiting=MOST_WAITING)
        # A call is found overdue no later than a look after it is.
        nap = look_seconds(limit) if limit else 1.0
        return Leadership(limits, self._spawn, room=self._wake_up.wake, nap=nap)

    def _make_acceptor(self, listeners: Sequence[socket.socket]) -> Acceptor:
        options, share = self._options, self._lifecycle.share
        if not options.limit_connections:
            return Acceptor(listeners, self._poller, share, options, self._exchanges)
        wake = self._wake_up.wake
        return BoundedAcceptor(listeners, self._poller, share, options, self._exchanges, wake)

    # ------------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until the lifecycle says stop and all requests are answered or out of time."""
        shared, lifecycle = self.shared, self._lifecycle
        self._poller.watch(self._wake_up.fd, READ)
        shared.acceptor.open()
        lifecycle.install(self._wake)
        lifecycle.in_progress = lambda: served(shared.calls)
        lifecycle.in_flight = lambda: in_flight(shared.calls)
        if self._options.access_log is not None:
            self._options.access_log.start()
        if self._xray is not None:
            self._xray.start()
        if self._slow is not None:
            self._slow.watch(lambda: running(shared.calls))
        lifecycle.has_booted(None if self._leadership is None else shared.compute_gate.interval)
        lifecycle.slot.offer_xray(can_attach(self._xray))
        lifecycle.slot.ready(self._facts())
        self._beat(time.monotonic())
        let_go = forks.holds(self._descriptors, partial(make_copies, shared.connections))
        try:
            self._serve()
        finally:
            forks.end_copy()
            let_go()
            self._end()
        if shared.fault is not None:
            raise shared.fault

    def _serve(self) -> None:
        """Have one thread serve, this one, or several while this one is the monitor."""
        shared, acceptor = self.shared, self.shared.acceptor
        if self._leadership is None:
            thread = WorkerThread(shared, self._tick)
            shared.calls.append(thread.call)
            acceptor.client_waits = OneThreadWaits(thread.tick_if_due, shared.drain.seconds_left)
            thread.lead()
        else:
            monitor = Monitor(shared, self._leadership, self._beat_if_due)
            acceptor.client_waits = monitor.client_waits
            monitor.run()

    def _spawn(self, follower: Follower) -> None:
        """Start one more thread, which waits until it is to lead."""
        assert self._leadership is not None
        thread = WorkerThread(self.shared, self._tick)
        name = f"bare-serve-{thread.call.number}"
        work = (self._leadership, follower)
        runner = ServersThread(target=thread.run, args=work, name=name)
        runner.start()
        self._threads.add(runner)
        self.shared.calls.append(thread.call)

    def _facts(self) -> dict[str, str]:
        threads = self._options.threads
        count = f"up to {threads} threads" if threads > 1 else "1 thread"
        return {"parser": self._exchanges.parser, "loop": f"{self._poller.name}, {count}"}

    def _descriptors(self) -> Iterator[int]:
        """Yield what a process that the application forks lets go of."""
        yield from self.shared.acceptor.descriptors()
        yield self._poller.fileno()
        yield from self._wake_up.descriptors()

    def _wake(self) -> None:
        """Wake those that wait, in a signal handler; the leader ticks."""
        self.shared.next_tick = min(self.shared.next_tick, time.monotonic())
        if self._leadership is not None:
            self._leadership.ring()
        self._wake_up.wake()

    # ------------------------------------------------------------------ time

    def _tick(self, now: float) -> None:
        """Do what is due once a second, in the thread that leads."""
        self.shared.next_tick = now + 1.0
        self._lifecycle.reopen_if_asked(self._options.access_log)
        if self._options.certificates is not None:
            self._options.certificates.tick()
        self._lifecycle.heed_orders(
            self._target, self._exchanges.parser,
            *attaching(self._xray, "bare_serve.workers.wsgi.xray_attached", self.shared),
        )  # fmt: skip
        if self._leadership is None:
            self._beat(now)
        else:
            self._look_at_queue(now, held=self._leadership.held)

    def _look_at_queue(self, now: float, *, held: bool) -> None:
        """Warn if requests have waited long for a thread; `held`: no more calls may be made."""
        queue, acceptor = self.shared.queue, self.shared.acceptor
        waiting = len(queue) if held else 0
        since = queue[0].queued if waiting else now
        if held and acceptor.rests and acceptor.has_backlog:  # no other worker takes them, either
            self._backlog_since = self._backlog_since or now
            waiting, since = waiting + 1, min(since, self._backlog_since)
        else:
            self._backlog_since = 0.0
        self._queue_warning.look(waiting, since, now)

    def _beat_if_due(self, now: float) -> None:
        if now >= self._next_beat:
            self._beat(now)

    def _beat(self, now: float) -> None:
        """Show a sign of life, and what the worker has done."""
        self._next_beat = now + 1.0
        shared = self.shared
        alive = self._is_alive(now)
        self._lifecycle.tick(len(shared.connections), shared.requests, alive=alive)

    def _is_alive(self, now: float) -> bool:
        """Return True while the loop goes round, or its leader is in a call, however long."""
        if now < self.shared.next_tick + 1.0:
            return True
        return self._leadership is not None and self._leadership.in_call

    def _gauges(self) -> Gauges:
        calls = list(self.shared.calls)
        busy = sum(each.serving is not None and each.serving.busy for each in calls)
        return Gauges(
            in_flight=busy,
            threads_busy=busy,
            threads_limit=self._options.threads,
            queue=len(self.shared.queue),
            connections_limit=self._options.limit_connections,
        )

    # ------------------------------------------------------------------ the end

    def _end(self) -> None:
        shared = self.shared
        self._let_finish()
        if self._slow is not None:
            self._slow.stop()
        with shared.park_lock:  # from here on a late thread touches neither poller nor table
            shared.over = True
        for connection in list(shared.connections.values()):
            if (head := connection.owed) is not None:
                busy = connection.busy
                if busy or connection.unsent:  # else its body has not come yet
                    logger.warning("Given up at shutdown: %s", describe(head))
                if busy and not connection.http.response_complete and connection.upgraded is None:
                    shared.service.give_up(connection, head, _STOPPING, "the server is stopping")
                    continue  # what waits to be sent, and the descriptor, are its thread's
                connection.abort()
            connection.close()
        shared.connections.clear()
        shared.acceptor.handshakes.dismiss_all()
        if self._options.access_log is not None:
            self._options.access_log.flush()
        if self._xray is not None:
            self._xray.close()
        self._lifecycle.restore()
        self._poller.close()
        self._wake_up.close()
        self._join_threads()

    def _join_threads(self) -> None:
        """Wait a moment for threads that stand by, which end now; a late one may take for ever."""
        deadline = time.monotonic() + _MOMENT
        for thread in list(self._threads):
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _let_finish(self) -> None:
        """Late threads whose answers are complete are about to give their connections back: they
        are waited for, a moment, so that no answer is cut that needs no more than being sent."""
        connections = self.shared.connections
        deadline = time.monotonic() + _MOMENT
        while time.monotonic() < deadline:
            busy = [each for each in list(connections.values()) if each.busy]
            if not any(each.http.whole and not each.queued for each in busy):
                return
            time.sleep(_MOMENT / 100)


def run_wsgi_worker(
    loaded: LoadedApp,
    listeners: Sequence[socket.socket],
    lifecycle: ServiceLife,
    options: ServeOptions,
) -> None:
    """Serve `loaded` on `listeners` until the lifecycle says stop; return when drained."""
    WsgiWorker(loaded, listeners, lifecycle, options).run()
