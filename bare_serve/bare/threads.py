"""What runs beside a request: threads for calls that may block, WSGI's event loop, background jobs.

What lives here: the pool, calls from a loop to a thread and back, and the jobs that run. What must
not: what they do, and how long a stop may take (the server's grace). The pool is not asyncio's own,
whose number of threads follows the number of processors, as if calls computed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from threading import Thread
from typing import Any, TypeVar

from bare_serve.bare.plan import ASYNC, kind_of

logger = logging.getLogger("bare_serve.bare")
_Value = TypeVar("_Value")


class Runner:
    """What one application has beside its requests, in one process.

    A job is work after the answer: a task of an event loop, which has a plain function called in a
    thread.
    """

    def __init__(self, most_threads: int) -> None:
        """Run nothing yet."""
        self._pool = ThreadPoolExecutor(most_threads, "bare-call")
        self._running: set[Any] = set()  # a loop holds its tasks weakly

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of `async def` handlers on WSGI; it starts with the first of them."""
        loop = import_module("uvloop" if find_spec("uvloop") else "asyncio").new_event_loop()
        Thread(target=loop.run_forever, name="bare-loop", daemon=True).start()
        return loop  # type: ignore[no-any-return]

    def run(self, coroutine: Coroutine[Any, Any, _Value]) -> _Value:
        """Run a coroutine on that loop, and wait for what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, loop: Any, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Call `function` in a thread, in a copy of the context; the future is the loop's."""
        future: asyncio.Future[Any] = loop.run_in_executor(
            self._pool, copy_context().run, _called, function
        )
        return future

    def start(self, jobs: Iterable[Callable[[], Any]]) -> None:
        """Start jobs on the loop that runs, or on that of WSGI where none does."""
        loop = asyncio._get_running_loop() or self.loop
        for job in jobs:
            work = asyncio.run_coroutine_threadsafe(self._run(job, loop), loop)
            self._running.add(work)
            work.add_done_callback(self._running.discard)

    async def _run(self, job: Any, loop: Any) -> None:
        name = getattr(job.func, "__qualname__", job.func)
        try:
            await (job() if kind_of(job) == ASYNC else self.call(loop, job))
        except asyncio.CancelledError:
            logger.error("The background job %s was cancelled by the stop", name)
            raise
        except BaseException as error:
            logger.error("The background job %s failed", name, exc_info=error)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until no job runs, those that a job has started included, or log that some do."""
        try:
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait([asyncio.wrap_future(each) for each in [*self._running]])
        except TimeoutError:
            logger.error("Background jobs still run after %g seconds", seconds)


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # which no future can hold
        raise RuntimeError("the call raised StopIteration") from error
