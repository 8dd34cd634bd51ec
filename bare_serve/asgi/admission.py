"""How many requests the application has at once, and how long each of them may take.

What lives here: the queue in front of a worker that is busy, and the clock over requests. What
must not: what the client is told (exchange.py), idle connections (they are no requests).

Both are off unless asked for. A request that finds the worker full waits a moment in a short
queue, for bursts; then it is refused with 503, for load that lasts. The clock looks at running
requests now and then, so that a request which comes and goes between two looks costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from bare_serve.asgi.interfaces import Request

# A request waits no longer than this for its turn.
QUEUE_SECONDS = 1.0
# Times the limit: so many requests whose clients have left do not count. Not any number, or clients
# that come and leave could have the application do more than it can.
_FORSAKEN_TIMES = 8
# After it was cancelled for its time, an application may clean up and answer by itself.
_LAST_SECONDS = 1.0


class Admission:
    """Lets at most `limit` requests in, and as many again wait.

    Those whose clients have left do not count, even if the application goes on with them.
    """

    def __init__(
        self, limit: int, loop: asyncio.AbstractEventLoop, running: Collection[object]
    ) -> None:
        """Set the limit; `running` is the collection that each started request is put into."""
        self._limit = limit
        self._loop = loop
        self._running = running
        self._forsaken: set[Request] = set()
        self._queue: deque[tuple[Request, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, request: Request) -> None:
        """Let the request in, now or soon, or refuse it."""
        if self._has_room() and not self._queue:
            self._start(request)
        elif len(self._queue) < self._limit:
            self._queue.append((request, self._loop.time() + QUEUE_SECONDS))
            if self._timer is None:
                self._timer = self._loop.call_later(QUEUE_SECONDS, self._expire)
        else:
            request.refuse()

    def _has_room(self) -> bool:
        uncounted = min(len(self._forsaken), self._limit * _FORSAKEN_TIMES)
        return len(self._running) - uncounted < self._limit

    def _start(self, request: Request) -> None:
        request.start()
        if request.left:  # before it began
            self.forsaken(request)

    def forsaken(self, request: Request) -> None:
        """Free the place of a request whose client has left."""
        if request in self._running:
            self._forsaken.add(request)
            self._go_on()

    def leave(self, request: Request) -> None:
        """Free the place of a request that has ended: those that wait have their turn."""
        self._forsaken.discard(request)
        self._go_on()

    def _go_on(self) -> None:
        if self._queue:
            self._loop.call_soon(self._let_in)  # this is the stack of the one that ended

    def _let_in(self) -> None:
        while self._queue and self._has_room():
            request, _ = self._queue.popleft()
            if request.gone:
                request.refuse()
            else:
                self._start(request)

    def close(self) -> None:
        """Start none of those that wait any more."""
        while self._queue:
            self._queue.popleft()[0].refuse()

    def end(self) -> None:
        """Refuse those that wait, and leave no timer."""
        self.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        now = self._loop.time()
        while self._queue and self._queue[0][1] <= now:
            self._queue.popleft()[0].refuse()
        self._timer = None
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][1], self._expire)


class RequestTimeouts:
    """Ends requests that take longer than `seconds`."""

    def __init__(
        self, seconds: float, loop: asyncio.AbstractEventLoop, running: Collection[Request]
    ) -> None:
        self._seconds = seconds
        self._loop = loop
        self._running = running
        # A tenth late at the most, and a second.
        self._period = min(1.0, max(seconds / 20, 0.02))
        self._timer = loop.call_later(self._period, self._look)

    def end(self) -> None:
        """Look at no more requests."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._period, self._look)
        now = self._loop.time()
        for request in list(self._running):
            if not request.timed:
                continue
            if not request.begun:
                request.begun = now
            elif request.cancelled:
                if now - request.cancelled >= _LAST_SECONDS:
                    request.answer_late()
            elif now - request.begun >= self._seconds:
                request.cancelled = now
                request.cancel_late()
