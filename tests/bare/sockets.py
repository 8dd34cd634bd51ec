"""WebSockets of members in tests: what they got, and clients that do not read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


class FakeSocket:
    """A member's WebSocket; `reads = False` is a client that takes one message, and no more."""

    accepted = True

    def __init__(self, *, reads: bool = True) -> None:
        self.got: list[str | bytes] = []
        self.closed: list[tuple[int, str]] = []
        self.left: BaseException | None = None
        self._may_go = asyncio.Event()
        self.reads = reads

    @property
    def reads(self) -> bool:
        """Whether the client reads."""
        return self._may_go.is_set()

    @reads.setter
    def reads(self, value: bool) -> None:
        (self._may_go.set if value else self._may_go.clear)()

    async def send(self, data: str | bytes) -> None:
        if self.left is not None:
            raise self.left
        self.got.append(data)
        await self._may_go.wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed.append((code, reason))


async def turns(number: int = 5) -> None:
    """Lets everybody have some turns of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until(fact: Callable[[], Any], timeout: float = 20) -> None:
    """Waits for a fact."""
    deadline = time.monotonic() + timeout
    while not fact():
        if time.monotonic() > deadline:
            for task in asyncio.all_tasks():
                task.print_stack()  # what the others wait for
            raise AssertionError(f"not within {timeout} s")
        await asyncio.sleep(0.005)
