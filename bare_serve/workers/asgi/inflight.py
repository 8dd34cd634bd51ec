"""What an ASGI worker has in progress, one line each: requests, the lifespan's startup, tasks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

from bare_serve.asgi.states import DONE
from bare_serve.version import PACKAGE
from bare_serve.workers.inflight import Running, describe, flight_line, innermost, outwards

if TYPE_CHECKING:
    import asyncio

WORKERS_TASK = "bare-serve worker"
"""The name of tasks by which a worker waits for something."""


def calls(running: Iterable[Any]) -> Iterator[str]:
    """Each request, and the line on which its application waits."""
    for call in list(running):
        yield describe(call.head) + (_where(call.task) if call.task is not None else "")


def in_flight(running: Iterable[Any], loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Each request as counts/layout.py wants it; for as long as somebody looks.

    In a handler of a signal the call that runs at the moment is the one that was interrupted.
    """
    from asyncio import current_task

    now, current = perf_counter(), current_task(loop)
    for call in list(running):
        task = call.task
        if task is None or task is current:
            where = innermost(outwards(sys._getframe()))
        else:
            where = innermost(reversed([*_chain(task)]))
        age = now - call.started_at if call.started_at else 0.0
        yield flight_line(call.head, age, where)


def running(
    calls: Iterable[Any], loop: asyncio.AbstractEventLoop, thread: int
) -> Iterator[Running]:
    """Yield the requests without their answer, for another thread; the loop's is `thread`.

    A WebSocket is none, nor is what an application does once its client has the answer or is gone.
    """
    now = perf_counter()
    for call in list(calls):
        if call.timed and not call.gone and call.state != DONE:
            place = partial(_place, call, loop, thread)
            yield Running(call, 0, call.head, now - call.started_at, place)


def _place(call: Any, loop: asyncio.AbstractEventLoop, thread: int) -> str:
    from asyncio import current_task

    task = call.task
    if task is None or task is current_task(loop):
        return innermost(outwards(sys._current_frames().get(thread)))
    return innermost(reversed([*_chain(task)]))


def _chain(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Yield the frames of what a task awaits, the outermost first."""
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        for kind in ("cr", "ag", "gi"):  # coroutines, generators of both kinds
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                break
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)


def starting(task: asyncio.Task[None] | None) -> Iterator[str]:
    """Yield the line on which the lifespan startup waits."""
    if task is not None:
        yield "the lifespan startup" + _where(task)


def tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Each task that the application has started itself, and the line on which it waits."""
    from asyncio import all_tasks

    for task in all_tasks(loop):
        coroutine: Any = task.get_coro()
        code = getattr(coroutine, "cr_code", None)
        ours = code is not None and code.co_filename.startswith(PACKAGE)
        # Ours are requests and the lifespan, which are reported by name, and those of the worker.
        if not ours and task.get_name() != WORKERS_TASK:
            name = getattr(coroutine, "__qualname__", type(coroutine).__name__)
            yield f"{task.get_name()}, {name}{_where(task)}"


def _where(task: asyncio.Task[Any]) -> str:
    """Return the innermost line on which a task waits, leaving out asyncio's own."""
    coroutine: Any = task.get_coro()
    frame = None
    while coroutine is not None:
        inner = getattr(coroutine, "cr_frame", None)
        if inner is not None and not inner.f_globals.get("__name__", "").startswith("asyncio."):
            frame = inner
        coroutine = getattr(coroutine, "cr_await", None)
    if frame is None:
        return ""
    return f" ({frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name})"
