"""What a WSGI application starts before a worker is ready, and ends when it is drained.

What lives here: `bare_lifespan`, an attribute that PEP 3333 does not know: a function without
arguments that returns a context manager. It is entered once in each worker. What must not: the
lifespan of ASGI, which is a part of that interface (asgi/lifespan.py).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any

from bare_serve.app import LoadedApp
from bare_serve.app.detect import peek
from bare_serve.app.load import guarded

logger = logging.getLogger("bare_serve.worker")


class WsgiLife:
    """The life of the application in one worker; nothing if it has none."""

    def __init__(self, loaded: LoadedApp) -> None:
        """Start it.

        Raises:
            AppLoadError: the start fails; the message has the application's traceback.
        """
        self._entered: AbstractContextManager[Any] | None = None
        begin = peek(loaded.app, "bare_lifespan") if loaded.interface == "wsgi" else None
        if callable(begin):
            self._entered = guarded(
                lambda: self._enter(begin()), "the application", "in its startup"
            )

    @staticmethod
    def _enter(life: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        life.__enter__()
        return life

    def end(self) -> None:
        """End it; a failure is logged."""
        if self._entered is not None:
            try:
                self._entered.__exit__(None, None, None)
            except Exception:
                logger.exception("The end of the application failed")
