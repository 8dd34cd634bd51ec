"""Work after the answer: waited for when the server stops, logged if it fails.

What lives here: the jobs that run. What must not: who asks for them (`Request.background`), and how
long a stop may take (the server's grace). A job has the thread or the loop that its function needs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import Any

from bare_serve.bare.failures import log_failure
from bare_serve.bare.functions import ASYNC, kind_of

Job = Callable[[], Any]


class Background:
    """The jobs of one application in one process."""

    def __init__(self, app: Any) -> None:
        """Run nothing yet."""
        self._app = app
        self._changed = threading.Condition()
        self._running = 0

    def start_on_loop(self, jobs: Iterable[Job]) -> None:
        """Start jobs from a running loop: async ones there, plain ones in threads."""
        from asyncio import ensure_future, get_running_loop

        loop = get_running_loop()
        for job in jobs:
            if kind_of(job) == ASYNC:
                work = ensure_future(job())
            else:
                work = self._app.threads.call(loop, job)
            self._begin()
            work.add_done_callback(partial(self._done, job))

    def start(self, jobs: Iterable[Job]) -> None:
        """Start jobs from a thread: plain ones in others, async ones on the loop of WSGI."""
        for job in jobs:
            self._begin()
            if kind_of(job) == ASYNC:
                from asyncio import run_coroutine_threadsafe

                future = run_coroutine_threadsafe(job(), self._app.loop_thread.loop)
                future.add_done_callback(partial(self._done, job))
            else:
                self._app.threads.submit(_in_context(self._run, job))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until no job runs, `seconds` at most; return whether none does."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    async def wait_on_loop(self) -> None:
        """Wait until no job runs, those that a job has started included."""
        from asyncio import get_running_loop

        if self._running:
            # In a thread of its own, since the pool's may all be at work.
            from bare_serve.bare.threads import Threads

            await Threads(1).call(get_running_loop(), self.wait)

    def _run(self, job: Job) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - nothing waits for it
            log_failure(f"The background job {_name(job)} failed", error)
        finally:
            self._end()

    def _done(self, job: Job, done: Any) -> None:
        if done.cancelled():
            log_failure(f"The background job {_name(job)} was cancelled by the stop", None)
        elif (error := done.exception()) is not None:
            log_failure(f"The background job {_name(job)} failed", error)
        self._end()

    def _begin(self) -> None:
        with self._changed:
            self._running += 1

    def _end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()


def _in_context(function: Callable[..., Any], *args: Any) -> Job:
    run = copy_context().run
    return lambda: run(function, *args)


def _name(job: Any) -> str:
    function = getattr(job, "func", job)
    return str(getattr(function, "__qualname__", function))
