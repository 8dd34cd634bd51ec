"""What all connections of one worker share: the application, its options, and all that are open.

What lives here: the facts a connection reads, the two sets the worker drains (open connections,
running applications), the deadline round. What must not: sockets, parsing, one request's state.

A Service is made once per worker, before the first connection; `state` is the lifespan's.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from bare_serve.asgi.admission import Admission, RequestTimeouts
from bare_serve.asgi.bursts import Bursts
from bare_serve.asgi.interfaces import OpenConnection, RunningCall, Waiting
from bare_serve.asgi.types import App
from bare_serve.counts.tally import UNCOUNTED, Noted, WebSocketCounts
from bare_serve.http import Timeouts
from bare_serve.http1 import ServerConnection
from bare_serve.logs.on_answered import OnAnswered
from bare_serve.net.forwarded import Trust
from bare_serve.websocket import WebSocketOptions

if TYPE_CHECKING:
    from bare_serve.http.direct import Direct

# In the context of each request, and of the tasks it starts: when it began, at most a second later.
# See stopping.py.
MARK: contextvars.ContextVar[float | None] = contextvars.ContextVar(
    "bare_serve.begun", default=None
)

# Requests that begin before tasks have their turn: few enough that what they are made of stays
# below the garbage collector's first threshold. From 3.12 on they run as they begin (exchange.py).
BATCH = 64 if sys.version_info < (3, 12) else sys.maxsize


class HttpOptions(NamedTuple):
    """The slice of the settings that connections need."""

    new_exchange: Callable[[], ServerConnection]
    """What makes the HTTP of a connection."""
    timeouts: Timeouts
    root_path: str = ""
    trust: Trust | None = None
    on_answered: OnAnswered | None = None
    """Is told of each answer; None for nobody."""
    concurrency: int = 0
    """The most requests the application has at once; 0 for as many as come."""
    request_seconds: float = 0.0
    """How long a request may take; 0 for as long as it likes."""
    websocket: WebSocketOptions | None = WebSocketOptions()
    """None: a request for a WebSocket is served as the HTTP it is."""
    noted: Noted = UNCOUNTED
    """Is told of refusals, of clients that leave, and of WebSockets that close."""
    direct: Direct | None = None
    """Finds answers that need no call of the application (direct.py)."""


class Service:
    """The worker as its connections see it."""

    __slots__ = (
        "_timeouts",
        "_unmarked",
        "_waiting",
        "admission",
        "app",
        "batch_ends",
        "bursts",
        "connections",
        "context",
        "draining",
        "gathers",
        "loop",
        "noted",
        "on_answered",
        "on_change",
        "options",
        "quiet",
        "requests",
        "running",
        "state",
        "websockets",
    )  # fmt: skip

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, options: HttpOptions) -> None:
        self.app = app
        self.loop = loop
        self.options = options
        self.on_answered = options.on_answered
        self.noted = options.noted
        self.state: dict[str, Any] = {}
        self.connections: set[OpenConnection] = set()
        self.on_change: Callable[[int], None] | None = None  # called with the number
        # Applications still running: also those whose client has gone or has its answer.
        self.running: set[RunningCall] = set()
        self.websockets: set[WebSocketCounts] = set()
        """Those that are open."""
        self.requests = 0
        self.batch_ends = BATCH
        """When `requests` has come to this, the next one is to `wait`."""
        self._waiting: deque[Waiting] = deque()
        self.bursts = Bursts(loop)
        self.admission: Admission | None = None
        if options.concurrency:
            self.admission = Admission(options.concurrency, loop, self.running)
        self._timeouts: RequestTimeouts | None = None
        if options.request_seconds:
            self._timeouts = RequestTimeouts(options.request_seconds, loop, self.running)
        # asyncio's writelines is no use: it joins (3.11) or ignores back-pressure (CVE-2024-12254).
        self.gathers = type(loop).__module__.startswith("uvloop")
        self.draining = False
        self.quiet = asyncio.Event()  # while draining: nothing is open or running any more
        # Each request starts in a copy of this context, wherever it is started from: asyncio
        # calls back in the context of the call that resumed reading or filled the write buffer, and
        # what one request sets in its context variables must never be seen by another.
        self.context = contextvars.copy_context()
        self._unmarked = self.context

    def wait(self, connection: Waiting) -> None:
        """Have a connection begin its request with the next batch.

        A loop hands over all that thousands of clients have sent before it runs a single task.
        Begun all at once, their requests would survive into older generations of the garbage
        collector, and leave the caches before they run. Measured with 5,000 clients that all ask,
        microseconds a request without the kernel's: 15 all at once, 8 in batches.
        """
        if not self._waiting:
            self.loop.call_soon(self._next_batch)
        self._waiting.append(connection)

    def _next_batch(self) -> None:
        self.batch_ends = self.requests + BATCH
        waiting = self._waiting
        try:
            for _ in range(min(len(waiting), BATCH)):
                waiting.popleft().go_on()
        finally:
            if waiting:
                self.loop.call_soon(self._next_batch)  # behind the tasks of this batch

    def gone(self, connection: OpenConnection) -> None:
        """Forget a connection, which is closed."""
        self.connections.discard(connection)
        if self.on_change is not None:
            self.on_change(len(self.connections))
        if self.draining:
            self.look_whether_quiet()

    def ended(self, call: RunningCall) -> None:
        """Forget a call, whose application has returned."""
        self.running.discard(call)
        if not self._waiting:  # tasks have their turn
            self.batch_ends = self.requests + BATCH
        if self.admission is not None:
            self.admission.leave(call)
        if self.draining:
            self.look_whether_quiet()

    def look_whether_quiet(self) -> None:
        """Wake a drain that waits when nothing is left to wait for."""
        if not self.connections and not self.running:
            self.quiet.set()

    def check_deadlines(self, now: float) -> None:
        """Go once over all connections; the worker's tick calls it at least once a second."""
        self.context = self._unmarked.copy()
        self.context.run(MARK.set, now)
        self.sweep()
        for connection in list(self.connections):
            connection.check(now)

    def end(self) -> None:
        """Leave no timer on the loop; for the end, when nothing is served any more."""
        for part in (self.admission, self._timeouts):
            if part is not None:
                part.end()

    def sweep(self) -> None:
        """Settle calls whose task was cancelled before it began: no code of theirs ever runs."""
        for call in list(self.running):
            if call.task is not None and call.task.done():
                call.never_ran()
