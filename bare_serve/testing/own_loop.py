"""The event loop of a `TestClient`, which runs in the test's thread, and only while the test waits.

What lives here: when there is a loop, running something on it, and its bounded end. What must not:
applications.

No thread is started: between two calls of the client an ASGI application stands still, so what a
test sees does not depend on the machine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

from bare_serve.testing.errors import ClientTimeout
from bare_serve.testing.inline import waits_at

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_numbers = count(1)
_END_SECONDS = 1.0


class OwnLoop:
    """A loop that exists while somebody holds it."""

    def __init__(self, factory: LoopFactory | None) -> None:
        """Make no loop yet; `factory`: what will, instead of asyncio."""
        self._factory = factory or asyncio.new_event_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holders = 0
        self._threads = ""

    def hold(self) -> None:
        """Make a loop where there is none.

        Raises:
            RuntimeError: the thread runs a loop already, which two cannot do at a time.
        """
        if self._loop is None:
            _refuse_running_loop()
            self._loop = loop = self._factory()
            self._threads = f"test-client-{next(_numbers)}"
            loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=self._threads))
        self._holders += 1

    def release(self) -> None:
        """Close the loop when nobody holds it any more.

        Raises:
            ClientTimeout: the application has left a task or a thread that cannot be ended.
        """
        self._holders -= 1
        if self._holders <= 0:
            self.close()

    def close(self) -> None:
        """Close the loop, whoever holds it.

        Raises:
            ClientTimeout: see `release`.
        """
        self._holders = 0
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            stuck = loop.run_until_complete(_end_tasks(loop))
            loop.run_until_complete(loop.shutdown_asyncgens())
            stuck += self._end_threads(loop)
        finally:
            loop.close()
        if stuck:
            raise ClientTimeout(
                f"the application has left what cannot be ended: {', '.join(stuck)}"
            )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and all that goes on there meanwhile."""
        try:
            self.hold()
        except RuntimeError:
            work.close()
            raise
        try:
            assert self._loop is not None
            return self._loop.run_until_complete(work)
        finally:
            self.release()

    def _end_threads(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        executor: Any = getattr(loop, "_default_executor", None)
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        threads = [each for each in threading.enumerate() if each.name.startswith(self._threads)]
        for thread in threads:
            thread.join(_END_SECONDS)
        return [f"thread {thread.name}" for thread in threads if thread.is_alive()]


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "an event loop runs here, so TestClient cannot run an ASGI application: "
        "use AsyncTestClient in asynchronous tests"
    )


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Cancel what is left, twice; return where those are that do not end."""
    own = asyncio.current_task()
    for _ in range(2):
        tasks = [task for task in asyncio.all_tasks(loop) if task is not own]
        if not tasks:
            return []
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_END_SECONDS / 2)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                loop.call_exception_handler(
                    {"message": "a task failed at the end of the test client", "exception": error}
                )
    return [f"a task at {waits_at(task.get_coro())}" for task in tasks if not task.done()]
