"""Runs a coroutine inside the task of the test, but in a context of its own.

What lives here: its steps, and its end in time. What must not: what the coroutine does.

A task for each request would cost more than the request. So the coroutine is sent from step to
step by the task that waits for it, as `await` would do, but each step runs in a copy of the
context: what the application sets there is not seen by the test, nor by the next request. When the
time is over the coroutine is cancelled, as by `asyncio.timeout`; one that ignores that is left
where it is.
"""

from __future__ import annotations

import asyncio
import sysconfig
from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from typing import Any

from bare_serve.testing.deadlines import Deadline, Deadlines
from bare_serve.version import PACKAGE

PATIENCE = 0.5
"""Seconds between two cancellations, and after the second one."""

_NOT_THEIRS = (PACKAGE, sysconfig.get_path("stdlib") + "/asyncio")


class Inline:
    """One coroutine; `await` it."""

    late = False
    """Its time was over."""
    abandoned = False
    """It went on although it was cancelled."""
    place = ""
    """Where it waited when its time was over."""

    def __init__(
        self,
        make: Callable[[], Awaitable[Any]],
        seconds: float | None,
        deadlines: Deadlines,
        on_late: Callable[[], None],
    ) -> None:
        """Make nothing yet.

        Args:
            make: makes the coroutine; called in its context.
            seconds: the time that it has; None for no limit.
            deadlines: those of the running loop.
            on_late: is called when the time is over, before the coroutine is cancelled.
        """
        self.coroutine: Any = None
        self._make = make
        self._seconds = seconds
        self._deadlines = deadlines
        self._on_late = on_late
        self._task: asyncio.Task[Any] | None = None
        self._deadline: Deadline | None = None
        self._cancelled = 0

    def __await__(self) -> Generator[Any, Any, None]:
        """Run it to its end; what it raises is raised here, CancelledError too.

        The event loop goes round at least once, so that what else runs there is not held up by a
        test that makes request after request.
        """
        run = copy_context().run
        if self._seconds is not None:
            self._task = asyncio.current_task()
            self._deadline = self._deadlines.add(self._seconds, self._expire)
        waited = False
        try:
            made: Any = run(self._make)
            self.coroutine = steps = made if hasattr(made, "send") else made.__await__()
            resume, value = steps.send, None
            while True:
                waits_for = run(resume, value)
                waited = True
                try:
                    value = yield waits_for
                    resume = steps.send
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
                    if self.abandoned:
                        break
                    resume, value = steps.throw, error
        except StopIteration:
            if not waited:
                yield
        finally:
            if self._deadline is not None:
                self._deadlines.discard(self._deadline)
                self._deadline = None  # no circle is left for the garbage collector
            if self._task is not None:
                for _ in range(self._cancelled):
                    self._task.uncancel()
        if self.abandoned:
            self._close()

    def _expire(self) -> None:
        """Cancel it; and again, since it may have been in the middle of cleaning up."""
        assert self._task is not None
        if not self.late:
            self.late = True
            self.place = waits_at(self.coroutine)
            self._on_late()
        self._cancelled += 1
        self.abandoned = self._cancelled > 2
        self._task.cancel()
        self._deadline = self._deadlines.add(PATIENCE, self._expire)

    def _close(self) -> None:
        try:
            self.coroutine.close()
        except RuntimeError:  # it ignores even that
            _endless.append(self.coroutine)


_endless: list[Any] = []  # the interpreter would complain when it forgets them


def waits_at(coroutine: Any) -> str:
    """Return file, line and function of the innermost frame that waits; of the application's own
    code, if there is any on the way."""
    found = ""
    while coroutine is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(coroutine, f"{prefix}_frame", None)
            if frame is not None:
                code = frame.f_code
                if not found or not code.co_filename.startswith(_NOT_THEIRS):
                    found = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
                break
        coroutine = (
            getattr(coroutine, "cr_await", None)
            or getattr(coroutine, "gi_yieldfrom", None)
            or getattr(coroutine, "ag_await", None)
        )
    return found
