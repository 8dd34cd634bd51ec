"""A wakeup: coroutines wait for it, plain code wakes them.

Two things need it: `receive` waiting for the client, and `send` waiting for the transport. Any
number may wait at once; a waiter that is cancelled takes only itself away. Nothing is created
until a coroutine waits, so a wakeup costs a request nothing.

asyncio.Event would do, but it remembers being set, which both uses would have to undo.
"""

from __future__ import annotations

import asyncio
from time import perf_counter


class Wakeup:
    """Wakes all that wait; without one that waits, `wake` does nothing."""

    __slots__ = ("_loop", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: list[asyncio.Future[None]] | None = None  # most never have any

    async def wait(self) -> None:
        """Return at the next `wake`."""
        waiter = self._loop.create_future()
        waiters = self._waiters
        if waiters is None:
            waiters = self._waiters = []
        waiters.append(waiter)
        try:
            await waiter
        finally:
            waiters.remove(waiter)

    @property
    def is_awaited(self) -> bool:
        """Whether a coroutine waits."""
        return bool(self._waiters)

    def wake(self) -> None:
        """Wake all that wait now."""
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)


class Listening(Wakeup):
    """A wakeup that knows the task that waits: of several the last one, or None."""

    __slots__ = ("since", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.task: asyncio.Task[object] | None = None
        self.since = 0.0

    async def wait(self) -> None:
        """Return at the next `wake`."""
        # Not by the clock of the loop, which is too coarse to tell one wait from the next.
        self.task, self.since = asyncio.current_task(self._loop), perf_counter()
        try:
            await super().wait()
        finally:
            self.task = None
