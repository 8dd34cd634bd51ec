"""Waiting for the first of several things, on the loop of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from bare_serve.workers.asgi.inflight import WORKERS_TASK


async def first_of(
    loop: asyncio.AbstractEventLoop, *waits: Coroutine[Any, Any, Any] | asyncio.Task[Any]
) -> None:
    """Wait for one of them; coroutines that lose are cancelled, tasks are left alone."""
    own = [loop.create_task(w, name=WORKERS_TASK) for w in waits if not isinstance(w, asyncio.Task)]
    given = [w for w in waits if isinstance(w, asyncio.Task)]
    await asyncio.wait((*own, *given), return_when=asyncio.FIRST_COMPLETED)
    for task in own:
        task.cancel()
    if own:
        await asyncio.wait(own)
