"""The event loop of an ASGI worker: which one it is, and how it is closed.

What lives here: the choice between asyncio's loop and uvloop, and the end of what the application
has left running on it. What must not: what runs on it while it serves (worker.py), threads and
processes that are left running (workers/shutdown.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from bare_serve.errors import UsageError
from bare_serve.workers.asgi.inflight import WORKERS_TASK, tasks
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.shutdown import BEFORE_WE_SAY, say_who_is_waited_for

try:
    import uvloop
except ImportError:  # no wheel for this platform: asyncio's own loop serves
    uvloop = None  # type: ignore[assignment]

logger = logging.getLogger("bare_serve.worker")

# What each step of the end may take when the time is over already.
_LEAST_SECONDS = 0.1
# How often it is looked whether there is a hurry.
_LOOK = 0.05


def new_loop(name: str) -> tuple[asyncio.AbstractEventLoop, str]:
    """Return a loop and its name; `auto` takes uvloop where it is installed.

    Raises:
        UsageError: uvloop is asked for and not installed, or the name is unknown.
    """
    if name not in ("auto", "uvloop", "asyncio"):
        raise UsageError(f"unknown loop {name!r}: choose auto, uvloop or asyncio")
    if name == "asyncio" or (name == "auto" and uvloop is None):
        return asyncio.new_event_loop(), "asyncio"
    if uvloop is None:
        raise UsageError("uvloop is not installed: run `pip install uvloop`, or use --loop asyncio")
    return uvloop.new_event_loop(), "uvloop"


def close_loop(loop: asyncio.AbstractEventLoop, lifecycle: ServiceLife, grace: float) -> None:
    """Do what asyncio.run() does at its end, for as long as there is time.

    Cancels the tasks that the application has left running, and waits for them and for the jobs of
    the default executor: `grace` seconds at the most, not beyond `lifecycle.leave_by`, and not for
    long if there is a hurry. After a second the log says which threads are waited for.
    """
    until = min(lifecycle.leave_by, time.monotonic() + grace)
    try:
        stray = asyncio.all_tasks(loop)
        if said := "; ".join(tasks(loop)):
            logger.info("Cancelling tasks that the application has left running: %s.", said)
        for task in stray:
            task.cancel()
        if stray:
            _run_until(loop, lifecycle, until, asyncio.wait(stray))
            if said := "; ".join(tasks(loop)):
                logger.warning("Given up at the end: %s.", said)
        _run_until(loop, lifecycle, until, loop.shutdown_asyncgens())
        # Jobs may need the loop to come to their end. One that does not is not waited for here.
        _run_until(loop, lifecycle, until, loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _run_until(
    loop: asyncio.AbstractEventLoop,
    lifecycle: ServiceLife,
    until: float,
    what: Coroutine[Any, Any, Any],
) -> None:
    """Run the loop until that is done, or the time is over; it is not cancelled then, since to
    cancel the end of an executor is to wait for it."""
    least = time.monotonic() + _LEAST_SECONDS

    async def wait() -> None:
        said = time.monotonic() + BEFORE_WE_SAY
        task = loop.create_task(what, name=WORKERS_TASK)
        while not task.done():
            now = time.monotonic()
            left = max(now if lifecycle.hurry else until, least) - now
            if left <= 0:
                return
            if now >= said:
                said = until + BEFORE_WE_SAY  # once
                say_who_is_waited_for(left)
            await asyncio.wait((task,), timeout=min(left, _LOOK))
        task.result()

    loop.run_until_complete(wait())
