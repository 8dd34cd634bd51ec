"""Which exception is behind a 500 that a framework made: one that it handles, or has logged.

What lives here: two ways of knowing, for one call of an application, and what is no failure of the
application's. What must not: what becomes of the answer (wsgi_errors.py, asgi_errors.py).

Most frameworks turn an exception into an answer themselves, and the server never sees it. They do
one of two things: they send the answer while the exception is handled, so that Python still says
which one it is (Starlette, FastAPI, Litestar), or they log it with its traceback first (Flask,
Quart, Django). Nothing of a framework is patched: records of logging are made by a function that
any program may set (`logging.setLogRecordFactory`), and the one set here hands on to the one before
it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

from bare_serve.errors import ClientGone, RequestError

_TRANSLATED: Final = "ClientDisconnect"
"""What Starlette raises in the place of such an exception."""
MOST_HELD: Final = 256 * 1024
"""Bytes of a 500 that wait until it is known what is behind it."""


class Noted:
    """What was logged during one call of the application; tasks and threads of the call share it,
    as far as they have its context."""

    __slots__ = ("logged",)

    def __init__(self) -> None:
        self.logged: BaseException | None = None
        """The last exception that was logged as an error."""

    def behind(self) -> BaseException | None:
        """Return the exception that is handled where this is called, else one that was logged."""
        handled = sys.exception()
        return handled if isinstance(handled, Exception) else self.logged


_noted: ContextVar[Noted | None] = ContextVar("bare_serve_noted", default=None)


def note() -> Noted:
    """Begin a call of the application, in this context."""
    noted = Noted()
    _noted.set(noted)
    return noted


def watch_logging() -> None:
    """Have exceptions noted that are logged as errors; once for a process is enough."""
    before = logging.getLogRecordFactory()
    if not isinstance(before, _Factory):
        logging.setLogRecordFactory(_Factory(before))


class _Factory:
    """Makes records of logging as they were made before, and notes exceptions."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self.before = before

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.before(*args, **kwargs)
        noted = _noted.get()
        if noted is not None and record.levelno >= logging.ERROR and record.exc_info:
            error = record.exc_info[1]
            if isinstance(error, Exception):
                noted.logged = error
        return record


def is_the_clients(error: BaseException) -> bool:
    """Return whether an exception stems from a client that has left, or whose request is refused:
    the server has its own answer to that."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, (ClientGone, RequestError)) or type(current).__name__ == _TRANSLATED:
            return True
        if isinstance(current, BaseExceptionGroup):
            return all(map(is_the_clients, current.exceptions))
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return False


def is_wanted(error: BaseException) -> bool:
    """Return whether an exception is one by which a framework is asked for a 500, with no other
    behind it."""
    status = getattr(error, "status_code", getattr(error, "code", None))
    return status == 500 and error.__cause__ is None


def shows(error: BaseException, pieces: Iterable[bytes]) -> bool:
    """Return whether an answer shows the exception itself, as the pages of frameworks do that are
    in their debugging mode."""
    body = b"".join(pieces)
    return type(error).__name__.encode() in body and b"traceback" in body.lower()
