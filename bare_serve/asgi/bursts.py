"""The callback that sends what answers have kept of their bursts, for all connections of a worker.

What lives here: who has kept something in this turn of the loop. What must not: what is kept, and
why (streaming.py). One callback for all costs less than one for each of a thousand listeners.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Streaming(Protocol):
    """A call that keeps pieces of its answer."""

    def send_kept(self) -> None:
        """Send them, if there are any, and somebody who takes them."""


class Bursts:
    """One per worker."""

    __slots__ = ("_calls", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: list[Streaming] = []

    def begin(self, call: Streaming) -> None:
        """Have what this call keeps sent when the loop comes round."""
        if not self._calls:
            self._loop.call_soon(self._send)
        self._calls.append(call)

    def _send(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            call.send_kept()
