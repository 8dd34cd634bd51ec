"""A call of an ASGI application in a task of its own: how a test waits for it, and how it ends.

What lives here: start, bounded waits, the end, and what to say about a call that does not come to
one. What must not: messages (asgi_call.py, websocket.py).

Nothing here waits without a bound, whatever an application does about its cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bare_serve.asgi.failures import says_client_left
from bare_serve.asgi.types import App, Scope
from bare_serve.errors import ResponseError
from bare_serve.testing.alarm import Alarm, Interrupted, arm, disarm
from bare_serve.testing.deadlines import Deadlines
from bare_serve.testing.errors import ClientTimeout, IncompleteAnswer
from bare_serve.testing.inline import Inline, waits_at

GRACE = 0.1
"""Seconds that an application may take to end, once the test has left."""

_CANCELLED_WITHIN = 1.0
# An event loop that is not blocked has noticed the end of the time before the alarm rings.
_AFTER = 0.25
# Starlette raises its own where `receive` has told that the client has left.
_LEFT_NAMES = frozenset(("ClientDisconnect", "WebSocketDisconnect"))


class AsgiTask:
    """What calls of HTTP and of WebSockets have in common."""

    error: BaseException | None = None
    """The application's first mistake, which may have gone no further than its own `except`."""
    failure: BaseException | None = None
    """What the application has raised in the end."""
    ended = False
    left = False
    """The test takes no more."""
    task: asyncio.Task[None]

    _progress: asyncio.Future[None] | None = None  # the test waits for something
    _alarm: Alarm | None = None
    _late = False

    def __init__(self, subject: object, timeout: float | None, deadlines: Deadlines) -> None:
        """Make the call, but do not begin with it.

        Args:
            subject: what messages begin with.
            timeout: seconds for each wait of the test.
            deadlines: those of the running loop.
        """
        self._subject = subject
        self.timeout = timeout
        self.loop = deadlines.loop
        self._deadlines = deadlines
        self._listeners: list[asyncio.Future[None]] = []  # the application waits for something

    @property
    def name(self) -> str:
        """What is called, for messages."""
        return str(self._subject)

    def start(self, app: App, scope: Scope) -> None:
        """Call the application."""
        self.task = self.loop.create_task(self._run(app, scope))

    async def run_inline(self, app: App, scope: Scope, what: Callable[[], str]) -> None:
        """Call the application in the task of the test, and wait for its end.

        Raises:
            ClientTimeout: it did not end in time; `what()` says what is missing.
        """
        timeout, receive, send = self.timeout, self.receive, self.send
        inline = Inline(lambda: app(scope, receive, send), timeout, self._deadlines, self._silence)
        alarm = None
        if timeout is not None:
            task = asyncio.current_task()
            assert task is not None
            self.task = task
            alarm = self._alarm = arm(timeout + _AFTER, self._is_running)
        try:
            await inline
        except SystemExit as error:
            self.failure = self._exited(error)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not inline.late and current is not None and current.cancelling():
                raise
            self.failure = IncompleteAnswer(f"{self.name}: the application has cancelled itself")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised when it has been judged
            self.failure = error
        finally:
            disarm(alarm)
        self.ended = True
        if inline.late and timeout is not None:
            ignored = "; it goes on although it was cancelled" if inline.abandoned else ""
            raise ClientTimeout(
                f"{self.name}: {what()} within {timeout:g} s; it waited at {inline.place}{ignored}"
            )

    async def _run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except SystemExit as error:  # it would end the event loop
            self.failure = self._exited(error)
        except asyncio.CancelledError:
            pass  # by the test, which has no use for it any more
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised into the test
            self.failure = error
        self.ended = True
        progress = self._progress
        if progress is not None and not progress.done():
            progress.set_result(None)

    async def receive(self) -> Any:
        """Return the next message to the application."""
        raise NotImplementedError

    async def send(self, message: Any) -> None:
        """Take a message of the application."""
        raise NotImplementedError

    # ------------------------------------------------------------------ waiting

    def wake(self) -> None:
        """Have the test look again."""
        progress = self._progress
        if progress is not None and not progress.done():
            progress.set_result(None)

    def wake_application(self) -> None:
        """Have `receive` and `send` look again."""
        for listener in self._listeners:
            if not listener.done():
                listener.set_result(None)
        self._listeners.clear()

    async def listen(self) -> None:
        """Wait, in the application's place, until something has changed."""
        listener = self.loop.create_future()
        self._listeners.append(listener)
        await listener

    async def until(
        self, ready: Callable[[], object], timeout: float | None, what: Callable[[], str]
    ) -> None:
        """Wait until `ready()` is true, or the application has ended.

        Raises:
            ClientTimeout: it took longer than `timeout` seconds; `what()` says what was awaited.
        """
        if ready() or self.ended:
            return
        deadline = alarm = None
        self._late = False
        if timeout is not None:
            deadline = self._deadlines.add(timeout, self._expire)
            alarm = self._alarm = arm(timeout + _AFTER, self._is_running)
        try:
            while not (ready() or self.ended):
                if self._late:
                    raise ClientTimeout(
                        f"{self.name}: {what()} within {timeout:g} s; {self._whereabouts()}"
                    )
                self._progress = self.loop.create_future()
                await self._progress
        finally:
            self._progress = None
            if deadline is not None:
                self._deadlines.discard(deadline)
            disarm(alarm)

    def _expire(self) -> None:
        self._late = True
        self._silence()
        self.wake()

    def _silence(self) -> None:
        """Have no alarm any more, since the loop is not blocked."""
        if self._alarm is not None:
            self._alarm.active = False

    def _is_running(self) -> bool:
        """Whether the alarm has found the application, and not the test, at work."""
        return asyncio.current_task(self.loop) is self.task

    # ------------------------------------------------------------------ the end

    async def end(self, grace: float) -> None:
        """Wait so many seconds for the application to end by itself; then cancel it.

        Raises:
            ClientTimeout: it does not end, although it was cancelled.
        """
        if await self._ended_within(grace):
            return
        for _ in range(2):  # who lets the first one pass may be in the middle of cleaning up
            self.task.cancel()
            if await self._ended_within(_CANCELLED_WITHIN / 2):
                return
        raise ClientTimeout(
            f"{self.name}: the application goes on although it was cancelled; "
            + self._whereabouts()
        )

    async def _ended_within(self, seconds: float) -> bool:
        if not self.task.done():
            await asyncio.wait((self.task,), timeout=seconds)
        return self.task.done()

    def outcome(self) -> BaseException | None:
        """Return what the application, which has ended, must be blamed for."""
        error = self.failure
        if isinstance(error, Interrupted):
            place = self._alarm.place if self._alarm is not None else "?"
            return ClientTimeout(
                f"{self.name}: the application blocked the event loop for more than "
                f"{self.timeout:g} s; it was at {place}"
            )
        if self.left and error is not None and _says_left(error):
            return self.error
        return self.error or error

    def note(self, error: Exception) -> Exception:
        """Note a mistake of the application; to be raised into it."""
        if self.error is None and isinstance(error, ResponseError):
            self.error = error
        return error

    def _exited(self, error: SystemExit) -> Exception:
        code = "" if error.code is None else repr(error.code)
        return IncompleteAnswer(f"{self.name}: the application called sys.exit({code})")

    def _whereabouts(self) -> str:
        return f"it waits at {waits_at(self.task.get_coro())}"


def _says_left(error: BaseException) -> bool:
    return says_client_left(error) or type(error).__name__ in _LEFT_NAMES
