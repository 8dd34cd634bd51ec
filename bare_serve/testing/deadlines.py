"""Many deadlines of one event loop, with one timer.

What lives here: when a wait of a test is over. What must not: what is said about it.

A wait that ends in time costs no timer: the one that runs is for the first deadline of all, and
looks then which ones are left.

A request whose application never waits needs no turn of the loop, which would cost as much as the
request. But what else runs on the loop must go on beside a test that makes request after request.
So `wants_turn` is asked: of asyncio's own loops it sees whether a callback is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_MOST_SKIPPED = 16
"""Requests in one turn of the loop: of timers and sockets only a turn finds out."""


class Deadline:
    """One of them; `expire` is called when it has come."""

    __slots__ = ("at", "expire")

    def __init__(self, at: float, expire: Callable[[], None]) -> None:
        self.at = at
        self.expire = expire


class Deadlines:
    """Those of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._ready: Any = getattr(loop, "_ready", None)  # not of loops that are written in C
        self._skipped = 0
        self._waiting: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def add(self, seconds: float, expire: Callable[[], None]) -> Deadline:
        """Have `expire` called in so many seconds; give it back with `discard`."""
        deadline = Deadline(self.loop.time() + seconds, expire)
        self._waiting.add(deadline)
        if self._timer is None or deadline.at < self._timer_at:
            self._set(deadline.at)
        return deadline

    def discard(self, deadline: Deadline) -> None:
        """Forget a deadline."""
        self._waiting.discard(deadline)

    def wants_turn(self) -> bool:
        """Return whether the loop should go round before the next request."""
        self._skipped += 1
        if self._ready is not None and not self._ready and self._skipped < _MOST_SKIPPED:
            return False
        self._skipped = 0
        return True

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at: float) -> None:
        self.close()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        for deadline in [each for each in self._waiting if each.at <= now]:
            self._waiting.discard(deadline)
            deadline.expire()
        if self._waiting and self._timer is None:
            self._set(min(each.at for each in self._waiting))
