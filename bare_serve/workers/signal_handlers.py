"""Handlers of signals that stay, whatever the application does about the same signals.

A library that handles SIGTERM itself takes the place of this server's handler, and the worker
would never hear that it has to stop. So each tick looks whether ours are still there. One that was
replaced is put back, and runs the application's handler after its own: both have their way. Which
one that is, is said once.
"""

from __future__ import annotations

import functools
import logging
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

logger = logging.getLogger("bare_serve.worker")

Action = Callable[[int, FrameType | None], None]
WATCHED = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)
"""Those that make a worker stop."""


class Handler:
    """What is installed for a signal: the server's action, then that of the application."""

    __slots__ = ("_action", "_handlers", "theirs")

    def __init__(
        self, handlers: Handlers, action: Action, theirs: Callable[..., Any] | None = None
    ) -> None:
        self._handlers = handlers
        self._action = action
        self.theirs = theirs

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        handlers = self._handlers
        if handlers.passing and handlers.installed.get(signum) is not self:
            # Theirs calls the handler that it has found: one signal is not two.
            if self.theirs is not None:
                self.theirs(signum, frame)
            return
        self._action(signum, frame)
        if self.theirs is not None:
            handlers.pass_on(self.theirs, signum, frame)


class Handlers:
    """All of a process; used in its main thread."""

    def __init__(self) -> None:
        self.installed: dict[int, Handler] = {}
        self.passing = False
        """A handler of the application's runs."""
        self._actions: dict[int, Action] = {}
        self._previous: dict[int, Any] = {}
        self._said: set[str] = set()
        self._failure: Exception | None = None
        self._given_back = False

    def install(self, actions: Mapping[int, Action], theirs: Mapping[int, Any]) -> None:
        """Take the signals over; `theirs` are handlers that the application has set before."""
        for signum, action in actions.items():
            self._actions[signum] = action
            also = theirs.get(signum)
            if also is not None:
                self._say(signum, also)
            before = self._put(signum, also)
            self._previous.setdefault(signum, before)

    def keep(self, *, silently: bool = False) -> None:
        """Put back those that were replaced, and say by whom."""
        self.say_what_failed()
        for signum in WATCHED:
            mine = self.installed.get(signum)
            if mine is None:
                continue
            found = signal.getsignal(signum)
            if found is mine:
                continue
            if isinstance(found, Handler):  # they have put back what they had found
                self.installed[signum] = found
                continue
            if not silently:
                self._say(signum, found)
            self._put(signum, found)

    def say_what_failed(self) -> None:
        """Log what a handler of the application's has raised, once."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            logger.error("A signal handler of the application failed.", exc_info=failure)

    def give_back(self, *but: int) -> None:
        """Restore what was before, except for some that stay ours to the end."""
        self.keep(silently=True)  # a loop that was closed has removed what it had been given
        for signum, handler in self._previous.items():
            if signum not in but:
                # None: the handler was not installed from Python and cannot be put back from here.
                signal.signal(signum, signal.SIG_DFL if handler is None else handler)
                self.installed.pop(signum, None)
        self._previous.clear()
        self._given_back = True

    def pass_on(self, theirs: Callable[..., Any], signum: int, frame: FrameType | None) -> None:
        """Run a handler of the application's, which cannot end what has to be drained first."""
        before, self.passing = self.passing, True
        try:
            theirs(signum, frame)
        except (SystemExit, KeyboardInterrupt):
            pass  # it wants the process to end: that is under way
        except Exception as error:  # noqa: BLE001 (not into whatever code the signal interrupted)
            self._failure = error
            if self._given_back:  # no thread looks any more
                self.say_what_failed()
        finally:
            self.passing = before

    def _put(self, signum: int, theirs: Any) -> Any:
        also = theirs if callable(theirs) and theirs not in _DEFAULTS else None
        handler = self.installed[signum] = Handler(self, self._actions[signum], also)
        return signal.signal(signum, handler)

    def _say(self, signum: int, theirs: Any) -> None:
        name, whose = signal.Signals(signum).name, _describe(theirs, signum)
        if f"{name} {whose}" not in self._said:
            self._said.add(f"{name} {whose}")
            if callable(theirs) and theirs not in _DEFAULTS:
                text = "The application handles %s by %s: this server's handler runs first."
            else:
                text = "The application has set %s to %s: this server handles it all the same."
            logger.warning(text, name, whose)


_DEFAULTS = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)


def present() -> dict[int, Any]:
    """Return the handlers there are of the signals that make a worker stop."""
    return {signum: signal.getsignal(signum) for signum in WATCHED}


def new_since(before: Mapping[int, Any]) -> dict[int, Any]:
    """Return the handlers that were set after `present` was called."""
    return {
        signum: handler
        for signum, handler in present().items()
        if handler is not before[signum] and callable(handler) and handler not in _DEFAULTS
    }


def _describe(handler: Any, signum: int) -> str:
    """Return where a handler comes from: its name, file and line."""
    if not callable(handler):
        return str(getattr(handler, "name", handler)) if handler is not None else "code in C"
    module = str(getattr(handler, "__module__", ""))
    if module in ("asyncio.unix_events", "uvloop.loop"):
        handler = _callback(signum) or handler
        if module == str(getattr(handler, "__module__", "")):
            return "a callback of loop.add_signal_handler"
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    if not hasattr(function, "__qualname__"):  # an object that can be called
        function = type(function)
    name = f"{getattr(function, '__module__', '')}.{function.__qualname__}"
    called = vars(function).get("__call__") if isinstance(function, type) else function
    code = getattr(called, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}, line {code.co_firstlineno})"


def _callback(signum: int) -> Any:
    """Return what asyncio's loop would call for that signal; None if that cannot be known."""
    import asyncio  # it is there: its loop has set the handler

    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        return None
    handle = getattr(loop, "_signal_handlers", {}).get(signum)
    return getattr(handle, "_callback", None)
