"""Work after the answer: waited for when the server stops, logged if it fails.

What lives here: the jobs that run. What must not: who asks for them (`Request.background`), and how
long a stop may take (the server's grace). A job has the thread or the loop that its function needs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from bare_serve.bare.calls import inline
from bare_serve.bare.failures import log_failure
from bare_serve.bare.functions import ASYNC, kind_of
from bare_serve.bare.threads import Threads

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App

_LONGEST_WAIT = 30.0  # seconds, where no server bounds the end


class Background:
    """The jobs of one application in one process."""

    def __init__(self, app: App) -> None:
        """Run nothing yet."""
        self._app = app
        self._changed = threading.Condition()
        self._running: dict[Any, Any] = {}

    def start_on_loop(self, jobs: Iterable[Callable[[], Any]]) -> None:
        """Start jobs from a running loop: async ones there, plain ones in threads."""
        from asyncio import get_running_loop

        self.start(jobs, get_running_loop())

    def start(self, jobs: Iterable[Callable[[], Any]], loop: Any = None) -> None:
        """Start jobs from a thread: plain ones in others, async ones on the loop of WSGI."""
        for job in jobs:
            work, future = self._run(job), None
            with self._changed:  # which `_run` needs at its end
                if kind_of(job) == ASYNC:
                    from asyncio import run_coroutine_threadsafe

                    future = run_coroutine_threadsafe(work, loop or self._app.loop_thread.loop)
                else:
                    self._app.threads.submit(partial(copy_context().run, inline, work))
                self._running[job] = future  # loops hold their tasks weakly

    async def _run(self, job: Any) -> None:
        function = getattr(job, "func", job)
        name = f"The background job {getattr(function, '__qualname__', function)}"
        try:
            value = job()
            if hasattr(value, "__await__"):
                await value
        except Exception as error:  # noqa: BLE001 - nothing waits for it
            log_failure(f"{name} failed", error)
        except BaseException:
            log_failure(f"{name} was cancelled by the stop", None)
            raise
        finally:
            with self._changed:
                del self._running[job]
                self._changed.notify_all()

    def wait(self) -> None:
        """Wait until no job runs, those that a job has started included; log if some are left."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._running, _LONGEST_WAIT):
                log_failure(f"Background jobs still run after {_LONGEST_WAIT:g} seconds", None)

    async def wait_on_loop(self) -> None:
        """Wait in a thread of its own, since the pool's may all be at work."""
        from asyncio import get_running_loop

        if self._running:
            await Threads(1).call(get_running_loop(), self.wait)
