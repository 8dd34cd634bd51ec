"""A module that starts a server of its own while it is imported: found at the moment it binds.

The law: while the application is imported, its thread may bind sockets, as a library does that
serves metrics in a thread of its own; but not from within a library's function that serves until
the end, such as `app.run()`, since the import would never return. That is refused, with the line
that called it. Servers of Python's own (`http.server`, `wsgiref`, `xmlrpc`) bind in one call and
serve in another, `serve_forever()`: from the moment that one binds, that call is refused as well.

Only the thread that imports is looked at, and only as long as it does.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bare_serve.errors import AppLoadError

_FOREVER = frozenset(("run", "run_app", "run_simple", "run_server", "serve", "serve_forever"))
"""Names of functions that serve until the end: of Flask, uvicorn, Bottle, aiohttp, waitress, ..."""


@contextmanager
def refused() -> Iterator[None]:
    """Refuse servers that this thread starts in the block.

    Raises:
        AppLoadError: in the block, where one binds its address.
    """
    importing = threading.get_ident()
    before: Any = vars(socket.socket).get("bind")
    bind: Any = socket.socket.bind

    guard = _ServeForever()

    def looked_at(self: socket.socket, address: Any, /) -> None:
        if threading.get_ident() == importing and self.type == socket.SOCK_STREAM:
            _look(sys._getframe(1))
            guard.install(importing)
        bind(self, address)

    setattr(socket.socket, "bind", looked_at)
    try:
        yield
    finally:
        # Whoever has replaced it meanwhile goes on with ours, which does nothing any more.
        importing = 0
        guard.remove()
        if vars(socket.socket).get("bind") is looked_at:
            if before is None:
                del socket.socket.bind
            else:
                setattr(socket.socket, "bind", before)


class _ServeForever:
    """What stands in the place of `socketserver.BaseServer.serve_forever`, where that is there."""

    def __init__(self) -> None:
        self._original: Any = None

    def install(self, importing: int) -> None:
        """Refuse that call in a thread; nothing is imported for it."""
        module = sys.modules.get("socketserver")
        if module is None or self._original is not None:
            return
        original = self._original = module.BaseServer.serve_forever

        def serve_forever(self: Any, *args: Any, **keywords: Any) -> Any:
            if threading.get_ident() == importing:
                _refuse(sys._getframe(1), "serve_forever")
            return original(self, *args, **keywords)

        module.BaseServer.serve_forever = serve_forever

    def remove(self) -> None:
        """Put back what was there."""
        if self._original is not None:
            sys.modules["socketserver"].BaseServer.serve_forever = self._original


def _refuse(frame: FrameType | None, called: str) -> None:
    """Raise, with the innermost line of the application's."""
    from bare_serve.app.folding import library_of

    while frame is not None and library_of(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is not None:
        raise _own_server(frame, called)


def _own_server(frame: FrameType, called: str) -> AppLoadError:
    return AppLoadError(
        "The application starts a server of its own while it is imported: "
        f"{frame.f_code.co_filename}, line {frame.f_lineno}, calls {called}(), which does not "
        'return; that line belongs under: if __name__ == "__main__"'
    )


def _look(innermost: FrameType) -> None:
    from bare_serve.app.folding import library_of  # few bind anything

    called = ""
    frame: FrameType | None = innermost
    while frame is not None:
        library = library_of(frame.f_code.co_filename)
        if not library:
            if called:
                raise _own_server(frame, called)
            return  # a socket of the application's
        if library == "bare-serve":
            return
        if library != "Python" and frame.f_code.co_name in _FOREVER:
            called = f"{library}'s {frame.f_code.co_name}"
        frame = frame.f_back
