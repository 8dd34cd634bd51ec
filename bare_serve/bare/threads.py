"""What runs beside a request: threads for calls that may block, WSGI's event loop, background jobs.

What lives here: the pool, calls from a loop to a thread and back, and the jobs that run. What must
not: what they do, and how long a stop may take (the server's grace).

An executor would do, but a call through it costs three quarters more, and the number of threads of
asyncio's own executor follows the number of processors, as if calls computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from bare_serve.bare.failures import log_failure
from bare_serve.bare.plan import ASYNC, kind_of

_Value = TypeVar("_Value")


class Runner:
    """What one application has beside its requests, in one process.

    A job is work after the answer: a task of an event loop, which has a plain function called in a
    thread.
    """

    def __init__(self, most_threads: int) -> None:
        """Run nothing yet."""
        self._most, self._count, self._idle = most_threads, 0, 0  # daemon threads, kept
        self._calls: SimpleQueue[Any] = SimpleQueue()
        self._lock = Lock()
        self._running: set[Any] = set()  # a loop holds its tasks weakly

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of `async def` handlers on WSGI; it starts with the first of them."""
        with self._lock:  # two threads may ask first, and Python 3.12 has no lock of its own here
            if (loop := vars(self).get("loop")) is None:
                maker = import_module("uvloop" if find_spec("uvloop") else "asyncio")
                loop = vars(self)["loop"] = maker.new_event_loop()
                Thread(target=loop.run_forever, name="bare-loop", daemon=True).start()
        return loop  # type: ignore[no-any-return]

    def run(self, coroutine: Coroutine[Any, Any, _Value]) -> _Value:
        """Run a coroutine on that loop, and wait for what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, loop: Any, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Call `function` in a thread, in a copy of the context; the future is the loop's."""
        future: asyncio.Future[Any] = loop.create_future()
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._count < self._most:
                self._count += 1
                Thread(target=self._work, name=f"bare-call-{self._count}", daemon=True).start()
        self._calls.put((loop, future, copy_context().run, function))
        return future

    def _work(self) -> None:
        while True:
            _answer(*self._calls.get())
            with self._lock:
                self._idle += 1

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
            log_failure(f"The background job {name} was cancelled by the stop", None)
            raise
        except BaseException as error:  # noqa: BLE001 - nobody else would tell it
            log_failure(f"The background job {name} failed", error)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until no job runs, those that a job has started included, or log that some do."""
        try:
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait([asyncio.wrap_future(each) for each in [*self._running]])
        except TimeoutError:
            log_failure(f"Background jobs still run after {seconds:g} seconds", None)


def _answer(loop: Any, future: Any, run: Any, function: Any) -> None:
    try:
        settle, value = future.set_result, run(function)
    except BaseException as error:  # noqa: BLE001 - it is raised where the call was asked for
        settle, value = future.set_exception, error
    with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(_settle, future, settle, value)


def _settle(future: Any, settle: Any, value: Any) -> None:
    if not future.done():
        odd = isinstance(value, StopIteration)  # which a future cannot hold
        settle(RuntimeError("the call raised StopIteration") if odd else value)
