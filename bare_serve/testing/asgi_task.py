"""A call of an ASGI application in a task of its own: how a test waits for it, and how it ends.

What lives here: start, bounded waits, the end, and what to say about a call that does not come to
one. What must not: messages (asgi_call.py, websocket.py).

Nothing here waits without a bound, whatever an application does about its cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from bare_serve.asgi.failures import says_client_left
from bare_serve.asgi.types import App, Scope
from bare_serve.errors import ResponseError
from bare_serve.testing.alarm import Alarm, Caller, Interrupted, arm, caller, disarm
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


class AsgiTask(Caller):
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
    _late = False
    _was_blocked: ClientTimeout | None = None

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
        timeout = self.timeout
        task = asyncio.current_task()
        assert task is not None
        make = partial(self._begin, app, scope)
        inline = Inline(make, task, timeout, self._deadlines, self._silence)
        alarm = None
        if timeout is not None:
            alarm = self.alarm = arm(timeout + _AFTER, self.is_to_blame)
        try:
            await inline
        except SystemExit as error:
            self.failure = self._exited(error)
        except asyncio.CancelledError:
            if not inline.late and task.cancelling():
                raise
            self.failure = IncompleteAnswer(f"{self.name}: the application has cancelled itself")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised when it has been judged
            self.failure = error
        finally:
            disarm(alarm, self.loop.call_later)
            if alarm is not None and not alarm.place:
                self.alarm = None  # no circle is left for the garbage collector
        self.ended = True
        if alarm is not None and alarm.place:
            raise self._blocked(alarm, f"for more than {timeout:g} s")
        if inline.late and timeout is not None:
            ignored = "; it goes on although it was cancelled" if inline.abandoned else ""
            raise ClientTimeout(
                f"{self.name}: {what()} within {timeout:g} s; it waited at {inline.place}{ignored}"
            )

    def _begin(self, app: App, scope: Scope) -> Awaitable[None]:
        caller.set(self)
        return app(scope, self.receive, self.send)

    async def _run(self, app: App, scope: Scope) -> None:
        try:
            await self._begin(app, scope)
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
        if self._listeners:
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
            alarm = self.alarm = arm(timeout + _AFTER, self.is_to_blame)
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
        if alarm is not None and alarm.place:
            raise self._blocked(alarm, f"for more than {timeout:g} s")

    async def give_turns(self) -> None:
        """Let the application do what it can do at once.

        Raises:
            ClientTimeout: it holds the event loop.
        """
        alarm = None
        if self.timeout is not None:
            alarm = self.alarm = arm(self.timeout + _AFTER, self.is_to_blame)
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            disarm(alarm)
        if alarm is not None and alarm.place:
            raise self._blocked(alarm, f"for more than {self.timeout:g} s")

    def _expire(self) -> None:
        self._late = True
        self._silence()
        self.wake()

    def _silence(self) -> None:
        """Have no alarm any more, since the loop is not blocked."""
        if self.alarm is not None:
            self.alarm.active = False

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
        if self.task.done():
            return True
        alarm = self.alarm = arm(seconds + _AFTER, self.is_to_blame)
        try:
            await asyncio.wait((self.task,), timeout=seconds)
        finally:
            disarm(alarm)
        if alarm is not None and alarm.place:  # such as one that sends on, whatever `send` raises
            raise self._blocked(alarm, "although the test had left")
        return self.task.done()

    def outcome(self) -> BaseException | None:
        """Return what the application, which has ended, must be blamed for."""
        error = self.failure
        if self.alarm is not None and self.alarm.place:  # it may have swallowed the interruption
            return self._blocked(self.alarm, f"for more than {self.timeout:g} s")
        if isinstance(error, Interrupted):
            return self._was_blocked
        if self.left and error is not None and _says_left(error):
            return self.error
        return self.error or error

    def _blocked(self, alarm: Alarm, when: str) -> ClientTimeout:
        self._was_blocked = error = ClientTimeout(
            f"{self.name}: the application blocked the event loop {when}; it was at {alarm.place}"
        )
        return error

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
