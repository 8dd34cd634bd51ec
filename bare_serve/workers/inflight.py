"""What is in progress, one line each, for whoever has to tell what a worker was doing.

Requests are asked for once a second, and all of it when a worker is about to be killed, possibly
from a signal handler: it looks at what is there anyway, so serving pays nothing for it. Only the
first few are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from bare_serve.http1 import RequestHead
    from bare_serve.workers.wsgi.leader import Attendant

WORKERS_TASK = "bare-serve worker"
"""The name of tasks by which a worker waits for something."""
_OURS = __file__.rpartition("workers")[0]


def calls(running: Iterable[Any]) -> Iterator[str]:
    """ASGI: each request, and the line on which its application waits."""
    for call in list(running):
        yield describe(call.head) + (_where(call.task) if call.task is not None else "")


def starting(task: asyncio.Task[None] | None) -> Iterator[str]:
    """ASGI: the line on which the lifespan startup waits."""
    if task is not None:
        yield "the lifespan startup" + _where(task)


def tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """ASGI: each task that the application has started itself, and the line on which it waits."""
    from asyncio import all_tasks  # it is there: WSGI workers do without it

    for task in all_tasks(loop):
        coroutine: Any = task.get_coro()
        code = getattr(coroutine, "cr_code", None)
        ours = code is not None and code.co_filename.startswith(_OURS)
        # Ours are requests and the lifespan, which are told of by name, and those of the worker.
        if not ours and task.get_name() != WORKERS_TASK:
            name = getattr(coroutine, "__qualname__", type(coroutine).__name__)
            yield f"{task.get_name()}, {name}{_where(task)}"


def served(attendants: Iterable[Attendant]) -> Iterator[str]:
    """WSGI: each request that a thread is serving, and that thread as a dump of stacks names it."""
    for attendant in list(attendants):
        connection = attendant.serving
        if connection is None or not connection.busy:
            continue
        if (head := connection.http.head) is not None:
            yield describe(head) + f" (thread {attendant.number}, 0x{attendant.ident:016x})"


def describe(head: RequestHead) -> str:
    """Method and target; nothing in it can break a line, and of a long one the beginning."""
    return f"{head.method} {ascii(head.target[:200].decode('latin-1'))[1:-1]}"


def _where(task: asyncio.Task[Any]) -> str:
    """The innermost line on which a task waits, as far as it is not asyncio's own."""
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
