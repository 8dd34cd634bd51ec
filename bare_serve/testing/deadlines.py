"""Many deadlines of one event loop, with one timer.

What lives here: when a wait of a test is over. What must not: what is said about it.

A wait that ends in time costs no timer: the one that runs is for the first deadline of all, and
looks then which ones are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


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
