"""Calls the ASGI application of a client: its lifespan, requests, streams, WebSockets.

What lives here: what is open, and the order in which it ends. What must not: which event loop all
of it runs on; `AsyncTestClient` has the test's, `TestClient` one of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bare_serve.asgi.types import Scope
from bare_serve.testing.asgi_call import AsgiCall, base_scope, http_scope
from bare_serve.testing.deadlines import Deadlines
from bare_serve.testing.lifespan import TestedLifespan
from bare_serve.testing.request import Defaults, Request
from bare_serve.testing.response import Response
from bare_serve.testing.session import Session
from bare_serve.testing.websocket import AsyncWebSocketSession
from bare_serve.testing.websocket_call import WebSocketCall


class AsgiDriver:
    """The application of one client."""

    def __init__(self, session: Session, defaults: Defaults, *, raises: bool) -> None:
        self._session = session
        self._app = session.app
        self._defaults = defaults
        self._raises = raises
        self._lifespan: TestedLifespan | None = None
        self._open: list[AsgiCall | WebSocketCall] = []
        self._bases: dict[tuple[str, str], dict[str, Any]] = {}
        self._clock: Deadlines | None = None

    async def enter(self) -> None:
        """Run the startup of the lifespan; see `TestedLifespan.enter`."""
        session = self._session
        lifespan = TestedLifespan(self._app, session.state, session.timeout)
        await lifespan.enter()
        self._lifespan = lifespan
        session.state = lifespan.state

    async def exit(self) -> None:
        """End what is open, then run the shutdown of the lifespan; raise what failed first."""
        failure: BaseException | None = None
        for call in self._open[::-1]:
            try:
                await self.leave(call)
            except Exception as error:  # noqa: BLE001 - it is raised below
                failure = failure or error
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.leave()
        if self._clock is not None:
            self._clock.close()
        if failure is not None:
            raise failure

    async def fetch(self, request: Request, timeout: float | None) -> Response:
        """Send a request, and return its whole answer."""
        deadlines = self._deadlines()
        call = AsgiCall(request, timeout, deadlines, raises=self._raises, streams=False)
        content = await call.fetch(self._app, self._scope(request))
        fields = call.fields
        response = Response(request, call.status, "", fields, content, call.trailers)
        response.early_hints = call.early_hints
        return response

    def source(self, request: Request, timeout: float | None) -> AsgiSource:
        """Return what an answer can be streamed from."""
        return AsgiSource(self, request, timeout)

    async def open(self, request: Request, timeout: float | None) -> AsgiCall:
        """Send a request; return when its answer begins."""
        deadlines = self._deadlines()
        call = AsgiCall(request, timeout, deadlines, raises=self._raises, streams=True)
        await call.open(self._app, self._scope(request))
        self._open.append(call)
        return call

    async def connect(
        self, request: Request, subprotocols: list[str], timeout: float | None
    ) -> WebSocketCall:
        """Open a WebSocket."""
        call = WebSocketCall(
            request,
            subprotocols,
            self._scope,
            timeout,
            self._deadlines(),
            raises=self._raises,
        )
        await call.connect(self._app)
        self._open.append(call)
        return call

    def websocket(
        self, request: Request, subprotocols: list[str], timeout: float | None
    ) -> AsyncWebSocketSession:
        """Return what opens a WebSocket when it is entered."""
        return AsyncWebSocketSession(
            lambda: self.connect(request, subprotocols, timeout), self.leave
        )

    async def leave(self, call: AsgiCall | WebSocketCall) -> None:
        """End a stream or a WebSocket; nothing for one that has ended."""
        if call in self._open:
            self._open.remove(call)
            await call.leave()

    def _scope(self, request: Request) -> Scope:
        key = request.scheme, request.host
        base = self._bases.get(key)
        if base is None:
            base = self._bases[key] = base_scope(request, self._defaults)
        return http_scope(base, request, self._session.state)

    def _deadlines(self) -> Deadlines:
        """Return those of the running loop; a client without a lifespan may see several."""
        loop = asyncio.get_running_loop()
        found = self._clock
        if found is None or found.loop is not loop:
            found = self._clock = Deadlines(loop)
        return found


class AsgiSource:
    """See `AsyncSource`."""

    call: AsgiCall

    def __init__(self, driver: AsgiDriver, request: Request, timeout: float | None) -> None:
        self._driver = driver
        self._request = request
        self._timeout = timeout

    async def open(self) -> None:
        """See `AsyncSource`."""
        self.call = await self._driver.open(self._request, self._timeout)

    async def piece(self) -> bytes | None:
        """See `AsyncSource`."""
        return await self.call.piece()

    async def leave(self) -> None:
        """See `AsyncSource`."""
        await self._driver.leave(self.call)
