"""Threads for calls that may block: made as they are needed, kept, and bounded.

What lives here: the pool, and a call from a loop in one of its threads. What must not: what is
called. The executor of asyncio would do; a call through it costs half as much again, and its number
of threads follows the number of processors, as if calls computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

MOST_THREADS = 40


class Threads:
    """A pool of daemon threads."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        """Start no thread yet; never more than `most`."""
        self._most = most
        self._jobs: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        self._idle = 0

    def submit(self, job: Callable[[], Any]) -> None:
        """Run `job` in a thread, at once if one is free; it must not raise."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._count < self._most:
                self._count += 1
                name = f"bare-call-{self._count}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(job)

    def call(
        self, loop: AbstractEventLoop, function: Callable[..., Any], *args: Any
    ) -> Future[Any]:
        """Call `function` in a thread, in a copy of the context; the future is the loop's."""
        future: Future[Any] = loop.create_future()
        run = copy_context().run

        def job() -> None:
            try:
                result = run(function, *args)
            except BaseException as error:  # noqa: BLE001 - it is raised where the call was asked for
                done: tuple[Any, ...] = (_fail, future, error)
            else:
                done = (_succeed, future, result)
            try:
                loop.call_soon_threadsafe(*done)
            except RuntimeError:  # the loop has ended, and with it whoever waited
                pass

        self.submit(job)
        return future

    def _work(self) -> None:
        take = self._jobs.get
        while True:
            take()()
            with self._lock:
                self._idle += 1


def _succeed(future: Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: Future[Any], error: BaseException) -> None:
    if not future.done():
        if isinstance(error, StopIteration):  # a future cannot hold one
            error = RuntimeError("the call raised StopIteration")
        future.set_exception(error)
