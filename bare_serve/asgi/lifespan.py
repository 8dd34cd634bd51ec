"""The lifespan protocol: the application's start and end, once per worker.

What lives here: the lifespan task, its messages, and the judgement what its outcome means. What
must not: when to start or stop (the worker), how long a boot may take (the master).

The hard part is "auto": an application that does not know lifespan may raise, return or send
HTTP messages. It is *unsupported*, and the worker goes on at once, as long as it had not
received the startup event. What fails after that is a broken startup and ends the boot with the
application's own traceback. `state` is whatever dict stands in the scope when startup is done.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from typing import Any

from bare_serve.app.tracebacks import exc_info
from bare_serve.asgi.scope import ASGI_VERSION
from bare_serve.asgi.states import no_message
from bare_serve.asgi.types import App, Message
from bare_serve.clauses import mistake, reference
from bare_serve.errors import AppLoadError

_TRACEBACK = "Traceback (most recent call last)"
logger = logging.getLogger("bare_serve.lifespan")

# The lifespan part of the specification has its own version number; 2.0 is the present one.
_SPEC_VERSION = "2.0"


class _Ended(Exception):
    """In the place of an exception that would stop the loop."""

    def __init__(self, by: BaseException) -> None:
        self.by = by
        super().__init__(f"the lifespan raised {by!r}")


def _as_called(end: SystemExit) -> str:
    return f"sys.exit({'' if end.code is None else repr(end.code)})"


class Lifespan:
    """One run of the lifespan protocol; `mode` is auto, on or off."""

    def __init__(self, app: App, mode: str) -> None:
        self.state: dict[str, Any] = {}
        self.status = "off" if mode == "off" else "starting"
        self._app = app
        self._required = mode == "on"
        self._received: list[str] = []  # events the app has taken
        self._stranger = False  # it sent a message of another protocol
        self._message = ""  # of startup.failed or shutdown.failed
        self._handled: BaseException | None = None
        self._scope: dict[str, Any] = {
            "type": "lifespan",
            "asgi": {"version": ASGI_VERSION, "spec_version": _SPEC_VERSION},
            "state": self.state,
        }
        self.task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answer: asyncio.Future[str] | None = None  # what the present phase waits for

    async def startup(self) -> None:
        """Run the startup; returns when the app is up, or at once where it has no lifespan.

        Raises:
            AppLoadError: the startup failed; `details` holds the application's traceback.
        """
        if self.status == "off":
            return
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(self._app_task())
        answer = await self._ask("lifespan.startup")
        if answer == "lifespan.startup.complete":
            self.status = "on"
            self._adopt_state()
        elif answer == "lifespan.startup.failed":
            await self._end_task()
            raise self._as_told()
        else:
            self._judge_early_end()

    async def shutdown(self, seconds: float) -> None:
        """Send the app its shutdown, and wait for it at most `seconds`; log failures."""
        task = self.task
        if task is None:
            return
        if self.status == "on" and not task.done():
            try:
                answer = await asyncio.wait_for(self._ask("lifespan.shutdown"), seconds)
            except TimeoutError:
                self.report("The lifespan shutdown took longer than %g s; cancelled.", seconds)
            else:
                if answer == "lifespan.shutdown.failed":
                    self.report("The lifespan shutdown failed: %s", self._message or "no message")
        self.status = "off"
        await self._end_task(min(seconds, 1.0))

    async def abandon(self, seconds: float) -> None:
        """Give up a startup, or its end, that is not needed; wait for it at most `seconds`."""
        task = self.task
        if task is None:
            return
        if self.status == "on":
            await self.shutdown(seconds)
            return
        task.cancel()
        await asyncio.wait((task,), timeout=seconds)
        if task.done() and not task.cancelled():
            task.exception()  # seen: asyncio need not report it

    def report(self, text: str, *values: object, error: BaseException | None = None) -> None:
        """Tell of a failure after the startup, which ends nothing: log it."""
        logger.error(text, *values, exc_info=error)

    async def _ask(self, event: str) -> str:
        """Hand the app an event; its answering message type, or "" if the app ended instead."""
        self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": event})
        assert self.task is not None
        await asyncio.wait((self.task, self._answer), return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else ""

    async def _app_task(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as exc:
            exc.__traceback__ = exc_info(exc)[2]
            if self.status == "on" and isinstance(exc, SystemExit):
                self.report("The application called %s in its lifespan.", _as_called(exc))
            elif self.status == "on" and not isinstance(exc, asyncio.CancelledError):
                self.report("The application's lifespan ended with an exception.", error=exc)
            if isinstance(exc, (KeyboardInterrupt, SystemExit)):
                # asyncio lets these two stop the loop; here they are an app that ended.
                raise _Ended(exc) from exc
            raise

    async def _receive(self) -> Message:
        event = await self._events.get()
        self._received.append(event["type"])
        return event

    async def _send(self, message: Message) -> None:
        try:
            kind = message["type"]
        except (TypeError, KeyError, IndexError):
            raise no_message(message) from None
        phase = self._received[-1] if self._received else ""
        answered = self._answer is None or self._answer.done()
        if not phase:
            wanted = "nothing before receive()"
        elif answered:
            wanted = "nothing more in this phase"
        elif kind in (phase + ".complete", phase + ".failed"):
            wanted = ""
        else:
            wanted = f"{phase}.complete or {phase}.failed"
        if wanted or self._answer is None:
            self._stranger = self._stranger or not str(kind).startswith("lifespan.")
            clause = "asgi-message-unknown" if self._stranger else "asgi-lifespan-order"
            raise mistake(clause, f"lifespan expected {wanted}, but the application sent {kind!r}")
        self._message = str(message.get("message", ""))
        # Frameworks tell of a startup that failed while they handle the exception.
        self._handled = sys.exception()
        self._answer.set_result(kind)

    def _adopt_state(self) -> None:
        """Take the mapping that the app may have put in place of the one it was given."""
        state = self._scope.get("state")
        self.state = state if isinstance(state, dict) else dict(state or {})

    def _judge_early_end(self) -> None:
        """Decide what an app did that ended before it answered startup: fail, or not support it."""
        assert self.task is not None
        error: BaseException | None
        if self.task.cancelled():
            error = asyncio.CancelledError("the application cancelled its own lifespan")
        else:
            error = self.task.exception()
        if isinstance(error, _Ended):
            error = error.by
        if isinstance(error, SystemExit):  # no misunderstanding, whenever it is called
            called = f"the application called {_as_called(error)} in its lifespan startup"
            raise AppLoadError(called, "".join(traceback.format_exception(error)), error)
        started = bool(self._received) and not self._stranger
        if not self._required and (error is None or not started):
            self.status = "unsupported"
            logger.debug("The application does not support lifespan: %r", error)
            return
        if error is None:
            raise AppLoadError(
                "the application returned from lifespan without lifespan.startup.complete; "
                "if it has no lifespan, use --lifespan auto or off\n"
                + reference("asgi-lifespan-unanswered")
            )
        raise _raised(error, "in its startup" if started else "when called for lifespan")

    def _as_told(self) -> AppLoadError:
        """Return the failure of a startup that the application itself has told.

        Frameworks tell it with the traceback as the message: that is no part of a sentence; or by
        the text of an exception of whose traceback nobody would hear. Who has caught it in code of
        their own has chosen the words.
        """
        error = self._handled
        if _TRACEBACK not in self._message:
            told = f": {self._message}" if self._message else ""
            text = f"the application's lifespan startup failed{told}"
            if error is None or (told and _handled_by_the_application(error)):
                return AppLoadError(text, "", error)
            return AppLoadError(text, _details(error), error)
        if error is not None:
            return _raised(error, "in its startup")
        text = "the application's lifespan startup failed, see its traceback"
        return AppLoadError(text, self._message)

    async def _end_task(self, patience: float = 1.0) -> None:
        """Let the app return by itself for a moment, then cancel it; its errors are known."""
        task = self.task
        if task is None:
            return
        if not task.done():
            await asyncio.wait((task,), timeout=patience)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=patience)
        if task.done() and not task.cancelled():
            task.exception()  # seen: asyncio need not report it again


def _raised(error: BaseException, when: str) -> AppLoadError:
    """Return the failure as other failures of a boot are told: traceback first, conclusion last."""
    text = f"the application raised {type(error).__name__} {when}, see its traceback"
    return AppLoadError(text, _details(error), error)


def _handled_by_the_application(error: BaseException) -> bool:
    from bare_serve.app.folding import library_of  # where nothing fails: late

    frames = error.__traceback__  # the first is of the function that has caught it
    return frames is not None and not library_of(frames.tb_frame.f_code.co_filename)


def _details(error: BaseException) -> str:
    from bare_serve.app.folding import folded  # where nothing fails: late

    return folded(error, exc_info(error)[2])
