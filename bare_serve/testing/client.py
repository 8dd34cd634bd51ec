"""`TestClient`: an application in a test, without a server and without `await`.

What lives here: the calls of a test. What must not: those of the application (wsgi_call.py,
asgi_call.py).

A WSGI application runs in the thread of the test. So does an ASGI application, on an event loop of
the client's that goes only while a call of the client waits (own_loop.py). No thread is started.
"""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from bare_serve.testing.request import Request
from bare_serve.testing.response import Response
from bare_serve.testing.session import ClientOptions, Handshake, Options, Sent, Session
from bare_serve.testing.stream import StreamedResponse
from bare_serve.testing.wsgi_driver import WsgiDriver

if TYPE_CHECKING:
    from bare_serve.testing.blocking import BlockingDriver
    from bare_serve.testing.own_loop import LoopFactory
    from bare_serve.testing.websocket import WebSocketSession

T = TypeVar("T")


class TestClient(Session):
    """A client of one application.

    With `with`, the startup of the lifespan is run before the first request and its shutdown at the
    end; an application without a lifespan is fine. Without `with` there is no lifespan, and each
    request has an event loop of its own.
    """

    __test__ = False  # for pytest: no class of tests

    def __init__(
        self, app: Any, *, loop_factory: LoopFactory | None = None, **options: Unpack[ClientOptions]
    ) -> None:
        """Make a client; see `Session` for the arguments.

        Args:
            app: a WSGI or ASGI application.
            loop_factory: makes the event loop of an ASGI application, such as
                `uvloop.new_event_loop`; asyncio's own by default.
            options: see `Session`.

        Raises:
            AppLoadError: `app` is no application, or its interface cannot be seen.
        """
        super().__init__(app, **options)
        self._driver: WsgiDriver | BlockingDriver
        self._asgi: BlockingDriver | None = None
        if self.interface == "wsgi":
            self._driver = WsgiDriver(self, self._defaults, raises=self._raises)
        else:
            from bare_serve.testing.blocking import BlockingDriver  # with asyncio: 40 ms

            self._asgi = BlockingDriver(self, self._defaults, loop_factory, raises=self._raises)
            self._driver = self._asgi

    def __enter__(self) -> TestClient:
        if self._asgi is not None:
            self._asgi.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, frames: TracebackType | None
    ) -> None:
        if self._asgi is not None:
            try:
                self._asgi.exit()
            except Exception:
                if kind is None:
                    raise  # else the test's own failure is the one to show

    def request(self, method: str, url: str, **given: Unpack[Sent]) -> Response:
        """Send a request, and return its answer when the application has ended it.

        Args:
            method: as in HTTP.
            url: a path with or without a query, or a whole URL.
            given: `params` for the query; `headers`, a mapping or pairs; `cookies` beside those of
                the client; a body by `json`, `content` (str, bytes, an iterable of bytes), `data`
                (a form) or `files` (a form with files); `follow_redirects`; `timeout` in seconds.

        Raises:
            ClientTimeout: the application did not end in time.
            IncompleteAnswer: it has ended without an answer, or in the middle of it.
            Exception: what it has raised.
        """
        options: Any = given
        timeout = options.pop("timeout", self.timeout)
        follow = options.pop("follow_redirects", None)
        request: Request | None = self._build(method, url, options)
        history: list[Response] = []
        while request is not None:
            response = self._driver.fetch(request, timeout)
            response.history = history.copy()
            self._keep_cookies(request, response)
            request = self._next(request, response, follow)
            history.append(response)
        return response

    def get(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send GET; see `request`."""
        return self.request("GET", url, **given)

    def post(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send POST; see `request`."""
        return self.request("POST", url, **given)

    def put(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send PUT; see `request`."""
        return self.request("PUT", url, **given)

    def patch(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send PATCH; see `request`."""
        return self.request("PATCH", url, **given)

    def delete(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send DELETE; see `request`."""
        return self.request("DELETE", url, **given)

    def head(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send HEAD; see `request`."""
        return self.request("HEAD", url, **given)

    def options(self, url: str, **given: Unpack[Sent]) -> Response:
        """Send OPTIONS; see `request`."""
        return self.request("OPTIONS", url, **given)

    def stream(self, method: str, url: str, **given: Unpack[Options]) -> StreamedResponse:
        """Return a context manager, which gives the pieces of an answer as they are sent.

        Entering it waits for status and headers. Leaving it before the end is what a client does
        that closes its connection: an ASGI application receives http.disconnect, and is cancelled
        if it has not ended a tenth of a second later; the iterable of a WSGI application is closed.
        See `request` for the arguments; `timeout` is the one for each piece.
        """
        options: Any = given
        timeout = options.pop("timeout", self.timeout)
        request = self._build(method, url, options)
        return StreamedResponse(
            request,
            self._driver.source(request, timeout),
            lambda head: self._keep_cookies(request, head),
        )

    def websocket(
        self, url: str, *, subprotocols: list[str] | None = None, **given: Unpack[Handshake]
    ) -> WebSocketSession:
        """Return a context manager, which opens a WebSocket and closes it at the end.

        Args:
            url: as for `request`.
            subprotocols: those that the client offers, the dearest first.
            given: `params`, `headers`, `cookies`; `timeout` in seconds, for the handshake and for
                each message that is received.

        Raises:
            WebSocketRefused: when it is entered: the application did not accept.
            TypeError: this is a WSGI application.
        """
        if self._asgi is None:
            raise self._no_websockets()
        options: Any = given
        timeout = options.pop("timeout", self.timeout)
        request = self._build("GET", url, options)
        return self._asgi.websocket(request, subprotocols or [], timeout)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop of the application, and return its result.

        The application's background tasks go on meanwhile: `client.run(asyncio.sleep(0.1))`.

        Raises:
            TypeError: a WSGI application has no event loop.
        """
        if self._asgi is None:
            work.close()
            raise TypeError("a WSGI application has no event loop to run something on")
        return self._asgi.run(work)
