"""Work after the answer: waited for when the server stops, logged if it fails.

What lives here: the jobs that run. What must not: who asks for them (`Request.background`), and how
long a stop may take (the server's grace). Each job is a task of an event loop, which has a plain
function called in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bare_serve.bare.failures import log_failure
from bare_serve.bare.functions import ASYNC, kind_of

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App


class Background:
    """The jobs of one application in one process."""

    def __init__(self, app: App) -> None:
        """Run nothing yet."""
        self._app = app
        self._running: set[Any] = set()  # a loop holds its tasks weakly

    def start_on_loop(self, jobs: Iterable[Callable[[], Any]]) -> None:
        """Start jobs on the loop that runs."""
        self.start(jobs, asyncio.get_running_loop())

    def start(self, jobs: Iterable[Callable[[], Any]], loop: Any = None) -> None:
        """Start jobs from any thread, on the loop of WSGI if no other is given."""
        loop = loop or self._app.loop_thread.loop
        for job in jobs:
            work = asyncio.run_coroutine_threadsafe(self._run(job, loop), loop)
            self._running.add(work)
            work.add_done_callback(self._running.discard)

    async def _run(self, job: Any, loop: Any) -> None:
        what = f"The background job {getattr(job.func, '__qualname__', job.func)}"
        try:
            await (job() if kind_of(job) == ASYNC else self._app.threads.call(loop, job))
        except asyncio.CancelledError:
            log_failure(f"{what} was cancelled by the stop", None)
            raise
        except BaseException as error:  # noqa: BLE001 - nothing waits for it
            log_failure(f"{what} failed", error)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until no job runs, those that a job has started included, or log that some do."""
        try:
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait([asyncio.wrap_future(each) for each in [*self._running]])
        except TimeoutError:
            log_failure(f"Background jobs still run after {seconds} seconds", None)
