"""The ASGI worker: on one event loop it accepts, serves, and drains.

What lives here: accepting, the tick, and the order of a worker's life: lifespan startup, ready,
serve, drain, lifespan shutdown. What must not: connections (asgi/), which loop it is and its end
(event_loop.py), processes and signals (lifecycle.py).

`AsgiWorker` leaves the loop as it was found, since the loop may be a program's own;
`run_asgi_worker` gives one a loop of its own, and ends that.

A drain always ends: no more accepting; idle connections close, calls that only listen are told and
those without a client cancelled (asgi/stopping.py), answers say `Connection: close`; shortly before
the end of the grace period what still runs is cancelled; then everything is cut, and the lifespan's
shutdown has what is left, since the master kills then. A startup that is told to stop ends at once
(startup.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from socket import socket
from threading import get_ident

from bare_serve.app import LoadedApp
from bare_serve.asgi import (
    Connection,
    HttpOptions,
    Looks,
    asgi2_to_asgi3,
    listening_address,
    websocket_imports,
)
from bare_serve.counts.tally import UNCOUNTED, Tally
from bare_serve.system import forks
from bare_serve.workers.asgi.acceptor import Acceptor, Protocols
from bare_serve.workers.asgi.bounded_acceptor import BoundedAcceptor, Gate
from bare_serve.workers.asgi.event_loop import close_loop, new_loop
from bare_serve.workers.asgi.gauges import gauges
from bare_serve.workers.asgi.inflight import calls, in_flight, running, starting, tasks
from bare_serve.workers.asgi.loop_watchdog import LoopWatchdog
from bare_serve.workers.asgi.parts import parts
from bare_serve.workers.asgi.startup import Starting
from bare_serve.workers.asgi.waiting import first_of
from bare_serve.workers.counting import Counting, Gauges
from bare_serve.workers.exchanges import attaching, can_attach, exchanges, worker_xray
from bare_serve.workers.idle_rounds import Rounds
from bare_serve.workers.observers import answer_observer, slow_requests
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.service_life import ServiceLife

logger = logging.getLogger("bare_serve.worker")

TICK = 1.0
# By then the first requests, which may have waited for this worker, are answered.
WEBSOCKETS_AFTER = 0.5
# Between two pieces of that code, so that requests are answered.
_BETWEEN_IMPORTS = 0.01
# The master kills half a second after the grace period, so its last part, at most these seconds,
# is kept for what has to happen then: cancelled requests clean up, the lifespan shuts down.
_RESERVE = 2.0
# What a startup that is cancelled may take to clean up.
_ABANDON_SECONDS = 0.75
# What each of these may take when the time is over already.
_LEAST_SECONDS = 0.1


def run_asgi_worker(
    loaded: LoadedApp, listeners: Sequence[socket], lifecycle: ServiceLife, options: ServeOptions
) -> None:
    """Serve `loaded` on `listeners` until told to stop; returns when drained.

    Raises:
        UsageError: the loop or the parser asked for is not installed.
        AppLoadError: the lifespan startup failed.
    """
    loop, loop_name = new_loop(options.loop)
    let_go = xray = None
    try:
        asyncio.set_event_loop(loop)
        worker = AsgiWorker(loaded, lifecycle, options, loop)
        xray = worker.xray
        let_go = forks.holds(worker.descriptors, partial(_end_copies, loop))
        loop.run_until_complete(worker.run(listeners, loop_name))
    finally:
        forks.end_copy()
        if let_go is not None:
            let_go()
        if xray is not None:
            xray.close()
        close_loop(loop, lifecycle, lifecycle.grace)


def _end_copies(loop: asyncio.AbstractEventLoop) -> None:
    """In a process that the application forks: it ends when its code comes back to the loop, or
    to a thread that reports to the loop."""

    def end(*_: object, **__: object) -> None:
        forks.end_copy()

    setattr(loop, "call_soon_threadsafe", end)
    loop.call_soon(end)


class AsgiWorker:
    """One worker's life on a loop, which `run` leaves as it was found."""

    def __init__(
        self,
        loaded: LoadedApp,
        lifecycle: ServiceLife,
        options: ServeOptions,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        app = asgi2_to_asgi3(loaded.app) if loaded.interface == "asgi2" else loaded.app
        xray = worker_xray(options, loaded.target)
        made = exchanges(options, xray)
        tally = Tally() if options.counts else None
        self._slow = slow_requests(options)
        http = HttpOptions(
            new_exchange=made.new_exchange,
            timeouts=options.timeouts,
            root_path=options.root_path,
            trust=options.trust,
            on_answered=answer_observer(options, tally, self._slow),
            noted=tally or UNCOUNTED,
            concurrency=options.limit_concurrency,
            request_seconds=options.timeout_request,
            websocket=options.websocket,
            direct=None if options.root_path else loaded.direct,
        )
        self._loaded = loaded
        self._options = options
        self._lifecycle = lifecycle
        self._access_log = options.access_log
        self._warn_blocked = options.warn_blocked
        self._loop = loop
        self._exchanges = made
        self.xray = xray
        made_of = parts(app, loop, http, options.lifespan, xray)
        self.service, self._lifespan = made_of[1:]
        self.connection: Callable[..., Connection] = made_of[0]
        """What makes connections."""
        self._starting = Starting()
        self._tick_due = 0.0
        self._lag = 0.0
        """Seconds that the last tick was late."""
        if tally is not None:
            counting = Counting(
                lifecycle.slot, tally, options.access_log,
                lambda: self.service.requests, self._gauges, self.service.websockets,
            )  # fmt: skip
            lifecycle.publish = counting.publish
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._acceptors: list[Acceptor] = []
        self._watch: LoopWatchdog | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        """What is due next, by the name of what is done then."""

    def descriptors(self) -> Iterator[int]:
        """Of the clients' connections."""
        for connection in self.service.connections:
            yield connection.fileno()

    async def run(self, listeners: Sequence[socket], loop_name: str) -> None:
        """Live the whole life, in order.

        Raises:
            AppLoadError: the lifespan startup failed.
            BareServeError: the system gives no thread for the access log.
        """
        try:
            await self._live(listeners, loop_name)
        finally:
            for acceptor in self._acceptors:
                acceptor.stop()
            if self._watch is not None:
                self._watch.stop()
            if self._slow is not None:
                self._slow.stop()
            for connection in list(self.service.connections):  # if the drain was cancelled
                connection.cut()
            for timer in self._timers.values():
                timer.cancel()
            self.service.end()

    async def _live(self, listeners: Sequence[socket], loop_name: str) -> None:
        loop = self._loop
        self._lifecycle.install(self._wake, self._starting.told_to_stop)
        self._lifecycle.in_progress = lambda: starting(self._lifespan.task)
        self._lifecycle.beside = lambda: tasks(loop)
        self._look_at_signals()
        self._tick()
        if not await self._start_lifespan():
            return
        service = self.service
        service.state = self._lifespan.state
        self._lifecycle.in_progress = lambda: calls(service.running)
        self._lifecycle.in_flight = lambda: in_flight(service.running, loop)
        if self._access_log is not None:
            self._access_log.start()
        self._lifecycle.has_booted()
        self._accept_on(listeners)
        if self._warn_blocked:
            self._watch = LoopWatchdog(loop, self._warn_blocked)
        if self._slow is not None:
            self._slow.watch(partial(running, service.running, loop, get_ident()))
        self._lifecycle.keep_handlers()  # the startup may have set its own
        self._lifecycle.slot.offer_xray(can_attach(self.xray))
        self._lifecycle.slot.ready(self._facts(loop_name))
        if service.options.websocket is not None:
            self._later(WEBSOCKETS_AFTER, self._prepare_websockets, websocket_imports())
        await self._stop.wait()
        for acceptor in self._acceptors:
            acceptor.stop()
        if self._lifecycle.share is not None:
            self._lifecycle.share.leave()
        deadline = loop.time() + self._lifecycle.grace
        await self._drain(deadline)
        await self._lifespan.shutdown(self._seconds_until(deadline))
        if self._access_log is not None:
            self._access_log.flush()

    def _later(self, seconds: float, what: Callable[..., None], *args: object) -> None:
        """Have something done later, in the place of what was due of the same name."""
        self._timers[what.__name__] = self._loop.call_later(seconds, what, *args)

    def _prepare_websockets(self, imports: Iterator[str], again: bool = False) -> None:
        try:
            more = next(imports, None) is not None
        except OSError as error:  # out of descriptors
            if not again:
                logger.warning("Cannot read the code for WebSockets yet: %s.", error.strerror)
            self._later(TICK, self._prepare_websockets, websocket_imports(), True)
        else:
            if more:
                self._later(_BETWEEN_IMPORTS, self._prepare_websockets, imports, again)

    def _accept_on(self, listeners: Sequence[socket]) -> None:
        service, share = self.service, self._lifecycle.share
        if share is not None:
            service.on_change = share.hold
            share.enter()
        make: Callable[..., Acceptor] = Acceptor
        if self._options.limit_connections:
            gate = Gate(self._options.limit_connections, share, service.connections)
            service.on_change = gate.change
            make = partial(BoundedAcceptor, gate=gate)
        self._acceptors = [
            make(service, sock, self._protocols(sock), share, self._options.proxy_protocol_peers)
            for sock in listeners
        ]
        for acceptor in self._acceptors:
            acceptor.start()

    def _protocols(self, listener: socket) -> Protocols:
        """Return a factory of protocols for connections, by the role of their listener."""
        service, options = self.service, self._options
        address = listening_address(listener)
        role = options.roles.get(listener.fileno())
        if role == "redirect":
            new_redirect = self._exchanges.new_redirect
            return partial(self.connection, service, address, new_exchange=new_redirect)
        if role == "tls":  # late, since without TLS ssl would only take memory
            link = import_module("bare_serve.asgi.tls_protocol").TlsProtocol
            made = partial(link, service, options.certificates, address)
            return partial(made, connection=self.connection)
        return partial(self.connection, service, address)

    async def _start_lifespan(self) -> bool:
        """Return whether the app is up; False if the worker was told to stop meanwhile."""
        startup = self._loop.create_task(self._lifespan.startup())
        await first_of(self._loop, startup, self._stop.wait())
        if not self._stop.is_set():
            await startup
        else:
            startup.cancel()
            await asyncio.wait((startup,))
            if not startup.cancelled():
                startup.exception()  # seen: it is of no interest any more
        self._starting.heard = True
        if self._stop.is_set():
            await self._lifespan.abandon(_ABANDON_SECONDS)
            return False
        return True

    async def _drain(self, deadline: float) -> None:
        """Let what runs come to its end, until shortly before `deadline`, then end it."""
        service = self.service
        grace = self._lifecycle.grace
        reserve = min(_RESERVE, grace / 10)
        for acceptor in self._acceptors:
            await acceptor.settle()
        # Not before: what is still being adopted is not counted, and all might seem quiet.
        service.draining = True
        for connection in list(service.connections):
            connection.drain()
        looks = Looks(service, grace)
        looks.look()
        # One round of the loop later, what has already arrived has been read.
        now = self._loop.time()
        rounds = Rounds(now)
        self._later(rounds.due - now, self._wind_down, rounds, looks)
        service.look_whether_quiet()
        quiet = self._quiet_within(deadline - reserve - self._loop.time())
        await first_of(self._loop, quiet, self._hurry.wait())
        if service.running:
            await self._cancel_running(deadline - reserve / 2)
            if not self._hurry.is_set():
                await self._quiet_within(_LEAST_SECONDS)  # last answers are on their way
        for connection in list(service.connections):
            connection.cut()
        await self._quiet_within(_LEAST_SECONDS)

    async def _cancel_running(self, deadline: float) -> None:
        if self.service.admission is not None:
            self.service.admission.close()
        tasks = [call.task for call in self.service.running if call.task is not None]
        if tasks:
            logger.warning("Cancelling %d running requests.", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=self._seconds_until(deadline))
            self.service.sweep()

    def _seconds_until(self, deadline: float) -> float:
        """Return the seconds left until `deadline`, none in a hurry; and a little at least."""
        left = 0.0 if self._hurry.is_set() else deadline - self._loop.time()
        return max(left, _LEAST_SECONDS)

    def _wind_down(self, rounds: Rounds, looks: Looks) -> None:
        """Close idle connections in rounds until the worker ends."""
        now = self._loop.time()
        if rounds.begin(now):
            fresh = rounds.fresh(now)
            for connection in list(self.service.connections):
                connection.wind_down(fresh=fresh)
        looks.look()
        self._later(rounds.due - now, self._wind_down, rounds, looks)

    async def _quiet_within(self, seconds: float) -> None:
        """Wait until nothing is left, or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self.service.quiet.wait()

    def _wake(self) -> None:
        """Wake the loop, in a signal handler or another thread."""
        self._loop.call_soon_threadsafe(self._look_at_signals)

    def _look_at_signals(self) -> None:
        """Apply what signals have asked for, in the loop: after a signal, on every tick."""
        if self._lifecycle.stopping:
            self._starting.heard = True
            self._stop.set()
        if self._lifecycle.hurry:
            self._hurry.set()
        self._lifecycle.heed_orders(
            self._loaded.target, self._exchanges.parser,
            *attaching(self.xray, "bare_serve.workers.asgi.xray_attached", self),
        )  # fmt: skip

    def make_connections_by(self, connection: Callable[..., Connection]) -> None:
        """Have new connections be made by this."""
        self.connection = connection
        for acceptor in self._acceptors:
            acceptor.make_protocol = self._protocols(acceptor.listener)

    def _tick(self) -> None:
        """Once a second: a sign of life, and the deadlines."""
        now = self._loop.time()
        self._lag = max(0.0, now - self._tick_due) if self._tick_due else 0.0
        self._tick_due = now + TICK
        self._later(TICK, self._tick)
        service = self.service
        self._lifecycle.tick(len(service.connections), service.requests)
        self._look_at_signals()
        self._lifecycle.reopen_if_asked(self._access_log)
        if self._options.certificates is not None:
            self._options.certificates.tick()
        service.check_deadlines(self._loop.time())

    def _gauges(self) -> Gauges:
        return gauges(self.service, self._options, self._lag)

    def _facts(self, loop_name: str) -> dict[str, str]:
        loaded = self._loaded
        return {
            "interface": "ASGI 2" if loaded.interface == "asgi2" else "ASGI 3",
            "target": loaded.target,
            "detected": loaded.how,
            "parser": self._exchanges.parser,
            "loop": loop_name,
            "lifespan": self._lifespan.status,
        }
