"""WebSockets of members in tests: what they got, and clients that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class FakeSocket:
    """A member's WebSocket; `reads = False` is a client that takes one message, and no more."""

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
    async with asyncio.timeout(timeout):
        while not fact():
            await asyncio.sleep(0.005)
