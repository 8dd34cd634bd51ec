"""Threads for calls that may block, and the event loop of WSGI, which is a thread of the process.

What lives here: the pool, and calls from a loop to a thread and back. What must not: what they do.
The executor of asyncio would do; a call through it costs half as much again, and its number of
threads follows the number of processors, as if calls computed.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from contextvars import copy_context
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

_Value = TypeVar("_Value")


class Threads:
    """A pool of daemon threads, made as they are needed, kept, and bounded."""

    def __init__(self, most: int = 40) -> None:
        """Start no thread yet; never more than `most`."""
        self._most, self._count, self._idle = most, 0, 0
        self._calls: SimpleQueue[Any] = SimpleQueue()
        self._lock = Lock()

    def call(self, loop: AbstractEventLoop, function: Any, *args: Any) -> Future[Any]:
        """Call `function` in a thread, in a copy of the context; the future is the loop's."""
        future: Future[Any] = loop.create_future()
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._count < self._most:
                self._count += 1
                Thread(target=self._work, name=f"bare-call-{self._count}", daemon=True).start()
        self._calls.put((loop, future, copy_context().run, function, *args))
        return future

    def _work(self) -> None:
        while True:
            _answer(*self._calls.get())
            with self._lock:
                self._idle += 1


def _answer(loop: Any, future: Any, run: Any, *call: Any) -> None:
    try:
        settle, value = future.set_result, run(*call)
    except BaseException as error:  # noqa: BLE001 - it is raised where the call was asked for
        settle, value = future.set_exception, error
    with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(_settle, future, settle, value)


def _settle(future: Any, settle: Any, value: Any) -> None:
    if not future.done():
        odd = isinstance(value, StopIteration)  # which a future cannot hold
        settle(RuntimeError("the call raised StopIteration") if odd else value)


class LoopThread:
    """The event loop of `async def` handlers on WSGI; asyncio comes with the first of them."""

    def __init__(self) -> None:
        """Start the thread."""
        maker = "uvloop" if find_spec("uvloop") else "asyncio"
        self.loop: AbstractEventLoop = import_module(maker).new_event_loop()
        Thread(target=self.loop.run_forever, name="bare-loop", daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, _Value]) -> _Value:
        """Run a coroutine there, and wait for what it returns or raises."""
        from asyncio import run_coroutine_threadsafe

        return run_coroutine_threadsafe(coroutine, self.loop).result()
