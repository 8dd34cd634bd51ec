"""The lifespan of an application in a test: startup, state and shutdown (ASGI, "Lifespan").

What lives here: what a test is told of the server's own judgement. What must not: that judgement
(asgi/lifespan.py).
"""

from __future__ import annotations

import asyncio
from typing import Any

from bare_serve.asgi import Lifespan
from bare_serve.asgi.types import App
from bare_serve.errors import AppLoadError
from bare_serve.testing.alarm import Alarm, Interrupted, arm, disarm
from bare_serve.testing.errors import ClientTimeout, LifespanFailed
from bare_serve.testing.inline import waits_at

_AFTER = 0.25


class TestedLifespan(Lifespan):
    """One lifespan; what fails in it is raised and not logged."""

    __test__ = False

    def __init__(self, app: App, state: dict[str, Any], timeout: float | None) -> None:
        """`state`: what the test puts into the state; `timeout`: seconds for each of both ends."""
        super().__init__(app, "auto")
        self.state.update(state)
        self._timeout = timeout
        self._failure: BaseException | None = None
        self._alarm: Alarm | None = None

    async def enter(self) -> None:
        """Run the startup; return at once where the application has no lifespan.

        Raises:
            LifespanFailed: it answered startup.failed, and raised nothing.
            ClientTimeout: it did not answer in time.
            Exception: what the application raised.
        """
        try:
            await self._within(self.startup(), "lifespan.startup")
        except AppLoadError as error:
            raise self._raised() or LifespanFailed(str(error)) from None

    async def leave(self) -> None:
        """Run the shutdown.

        Raises:
            LifespanFailed, ClientTimeout, Exception: as `enter`.
        """
        if self.task is None or self.status == "unsupported":
            return
        if self.status == "on" and self.task.done():
            self._failure = self._raised() or self._failure
        seconds = self._timeout if self._timeout is not None else 1e6
        alarm = self._alarm = arm(
            None if self._timeout is None else seconds + _AFTER, self._is_running
        )
        try:
            await self.shutdown(seconds)
        finally:
            disarm(alarm)
        if error := self._raised() or self._failure:
            raise error

    def report(self, text: str, *values: object, error: BaseException | None = None) -> None:
        """Keep what the server would log."""
        place = self._place()
        message = text % values + (f" It was at {place}." if place else "")
        failed = ClientTimeout if "longer" in text else LifespanFailed
        self._failure = self._failure or error or failed(message)

    async def _within(self, startup: Any, event: str) -> None:
        seconds = self._timeout
        alarm = self._alarm = arm(None if seconds is None else seconds + _AFTER, self._is_running)
        try:
            async with asyncio.timeout(seconds):
                await startup
        except TimeoutError:
            if error := self._raised():
                raise error from None
            place = self._place()
            await self.abandon(1.0)
            raise ClientTimeout(
                f"the application did not answer {event} within {seconds:g} s; it waits at {place}"
            ) from None
        finally:
            disarm(alarm)

    def _place(self) -> str:
        task = self.task
        return "" if task is None or task.done() else waits_at(task.get_coro())

    def _is_running(self) -> bool:
        return asyncio.current_task() is self.task

    def _raised(self) -> BaseException | None:
        """Return what the application raised."""
        task = self.task
        if task is None or not task.done() or task.cancelled():
            return None
        error = task.exception()
        if isinstance(error, Interrupted):
            place = self._alarm.place if self._alarm is not None else ""
            return ClientTimeout(
                f"the application blocked the event loop in its lifespan; it was at {place}"
            )
        error = getattr(error, "by", error)
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return LifespanFailed(f"the application's lifespan raised {error!r}")
        return error
