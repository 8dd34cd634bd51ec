"""Watches how long an application holds the event loop between two of its pauses.

What lives here: an awaitable around an awaitable, for those who look closely at an application: the
x-ray (traced.py), the lint of testing/. What must not: who is told of it, and how; the worker's own
watch is workers/asgi/loop_watchdog.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from time import perf_counter
from typing import Any, Final

Advise = Callable[[str, str], None]
"""Takes the id of a clause, and what was got."""
HELD_SECONDS: Final = 0.4
"""As long as a person notices that nothing happens."""


class Steps:
    """Awaits another awaitable, and measures each of its steps."""

    def __init__(self, inner: Awaitable[Any], advise: Advise) -> None:
        self._inner = inner
        self._advise = advise

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._inner.__await__()
        value, error = None, None
        while True:
            began = perf_counter()
            try:
                if error is not None:
                    asked = steps.throw(error)
                elif value is not None:
                    asked = steps.send(value)
                else:
                    asked = next(steps)
            except StopIteration as end:
                return end.value
            finally:
                seconds = perf_counter() - began
                if seconds >= HELD_SECONDS:
                    got = f"the application held the event loop for {seconds:.2f} s"
                    self._advise("asgi-loop-held", got)
            value, error = None, None
            try:
                value = yield asked
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, too
                error = thrown
