"""The event loop of WSGI: one thread of the process, started by the first call that needs it.

What lives here: the thread, and calls into its loop. What must not: what runs there. It is imported
only where an application with `async def` is served by WSGI; asyncio comes with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        """Start the thread."""
        self.loop: asyncio.AbstractEventLoop = _new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="bare-loop", daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, _Value]) -> _Value:
        """Run a coroutine there, and wait for what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
