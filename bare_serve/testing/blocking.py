"""Calls an ASGI application for a test that does not await.

What lives here: each call of the driver, run on the client's own loop, and how long that loop is
held. What must not: anything that waits by itself.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from bare_serve.testing.asgi_call import AsgiCall
from bare_serve.testing.asgi_driver import AsgiDriver, AsgiSource
from bare_serve.testing.own_loop import LoopFactory, OwnLoop
from bare_serve.testing.request import Defaults, Request
from bare_serve.testing.response import Response
from bare_serve.testing.session import Session
from bare_serve.testing.websocket import WebSocketSession

T = TypeVar("T")


class BlockingDriver:
    """See `AsgiDriver`."""

    def __init__(
        self, session: Session, defaults: Defaults, factory: LoopFactory | None, *, raises: bool
    ) -> None:
        """Make nothing yet; `factory`: see `OwnLoop`."""
        self._asgi = AsgiDriver(session, defaults, raises=raises)
        self._loop = OwnLoop(factory)

    def enter(self) -> None:
        """Run the startup, and keep the loop until `exit`."""
        self._loop.hold()
        try:
            self._loop.run(self._asgi.enter())
        except BaseException:
            self._loop.release()
            raise

    def exit(self) -> None:
        """Run the shutdown, and close the loop."""
        try:
            self._loop.run(self._asgi.exit())
        finally:
            self._loop.close()  # streams that nobody has left held it as well

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop."""
        return self._loop.run(work)

    def fetch(self, request: Request, timeout: float | None) -> Response:
        """See `AsgiDriver`."""
        return self._loop.run(self._asgi.fetch(request, timeout))

    def source(self, request: Request, timeout: float | None) -> BlockingSource:
        """See `AsgiDriver`."""
        return BlockingSource(self._loop, self._asgi.source(request, timeout))

    def websocket(
        self, request: Request, subprotocols: list[str], timeout: float | None
    ) -> WebSocketSession:
        """See `AsgiDriver`."""
        loop = self._loop
        session = self._asgi.websocket(request, subprotocols, timeout)
        return WebSocketSession(session, loop.run, loop.hold, loop.release)


class BlockingSource:
    """See `Source`; the loop is kept while it is open."""

    call: AsgiCall

    def __init__(self, loop: OwnLoop, source: AsgiSource) -> None:
        self._loop = loop
        self._source = source

    def open(self) -> None:
        """See `Source`."""
        self._loop.hold()
        try:
            self._loop.run(self._source.open())
        except BaseException:
            self._loop.release()
            raise
        self.call = self._source.call

    def piece(self) -> bytes | None:
        """See `Source`."""
        return self._loop.run(self._source.piece())

    def leave(self) -> None:
        """See `Source`."""
        try:
            self._loop.run(self._source.leave())
        finally:
            self._loop.release()
