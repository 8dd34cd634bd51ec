"""`AsyncTestClient`: an application in an asynchronous test, on the test's own event loop.

What lives here: the calls of a test. What must not: those of the application (wsgi_call.py,
asgi_call.py).

An ASGI application runs in tasks of the test's loop, which begin with a copy of the test's context:
context variables that the test has set are seen. A WSGI application runs where it is awaited, and
holds up the loop as long as it takes. No thread is started.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from bare_serve.testing.asgi_driver import AsgiDriver
from bare_serve.testing.request import Request
from bare_serve.testing.response import Response
from bare_serve.testing.session import ClientOptions, Handshake, Options, Sent, Session
from bare_serve.testing.stream import AsyncSource, AsyncStreamedResponse
from bare_serve.testing.wsgi_driver import WsgiDriver

if TYPE_CHECKING:
    from bare_serve.testing.websocket import AsyncWebSocketSession


class AsyncTestClient(Session):
    """A client of one application.

    With `async with`, the startup of the lifespan is run before the first request and its
    shutdown at the end; an application without a lifespan is fine. Without it there is no lifespan.
    """

    def __init__(self, app: Any, **options: Unpack[ClientOptions]) -> None:
        """Make a client; see `Session` for the arguments.

        Raises:
            AppLoadError: `app` is no application, or its interface cannot be seen.
        """
        super().__init__(app, **options)
        self._driver: AsgiDriver | WsgiDriver
        driver = WsgiDriver if self.interface == "wsgi" else AsgiDriver
        self._driver = driver(self, self._defaults, raises=self._raises)

    async def __aenter__(self) -> AsyncTestClient:
        if isinstance(self._driver, AsgiDriver):
            await self._driver.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, frames: TracebackType | None
    ) -> None:
        if isinstance(self._driver, AsgiDriver):
            try:
                await self._driver.exit()
            except Exception:
                if kind is None:
                    raise  # else the test's own failure is the one to show

    async def request(self, method: str, url: str, **given: Unpack[Sent]) -> Response:
        """Send a request, and return its answer; see `TestClient.request`.

        `content` may be an asynchronous iterable of bytes as well.
        """
        options: Any = given
        timeout = options.pop("timeout", self.timeout)
        follow = options.pop("follow_redirects", None)
        request: Request | None = self._build(method, url, options)
        history: list[Response] = []
        driver = self._driver
        while request is not None:
            if isinstance(driver, AsgiDriver):
                response = await driver.fetch(request, timeout)
            else:
                response = driver.fetch(request, timeout)
            response.history = history.copy()
            self._keep_cookies(request, response)
            request = self._next(request, response, follow)
            history.append(response)
        return response

    async def get(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send GET; see `request`."""
        return await self.request("GET", url, **given)

    async def post(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send POST; see `request`."""
        return await self.request("POST", url, **given)

    async def put(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send PUT; see `request`."""
        return await self.request("PUT", url, **given)

    async def patch(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send PATCH; see `request`."""
        return await self.request("PATCH", url, **given)

    async def delete(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send DELETE; see `request`."""
        return await self.request("DELETE", url, **given)

    async def head(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send HEAD; see `request`."""
        return await self.request("HEAD", url, **given)

    async def options(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send OPTIONS; see `request`."""
        return await self.request("OPTIONS", url, **given)

    def stream(self, method: str, url: str, **given: Unpack[Options]) -> AsyncStreamedResponse:
        """Return an asynchronous context manager; see `TestClient.stream`."""
        options: Any = given
        timeout = options.pop("timeout", self.timeout)
        request = self._build(method, url, options)
        driver = self._driver
        source: AsyncSource
        if isinstance(driver, AsgiDriver):
            source = driver.source(request, timeout)
        else:
            source = driver.async_source(request, timeout)
        return AsyncStreamedResponse(
            request, source, lambda head: self._keep_cookies(request, head)
        )

    def websocket(
        self, url: str, *, subprotocols: list[str] | None = None, **given: Unpack[Handshake]
    ) -> AsyncWebSocketSession:
        """Return an asynchronous context manager; see `TestClient.websocket`."""
        driver = self._driver
        if not isinstance(driver, AsgiDriver):
            raise self._no_websockets()
        options: Any = given
        timeout = options.pop("timeout", self.timeout)
        request = self._build("GET", url, options)
        return driver.websocket(request, subprotocols or [], timeout)
