"""Calls the WSGI application of a client: requests and streams.

What lives here: an answer of a WSGI call. What must not: the event loop; nothing here imports
asyncio.
"""

from __future__ import annotations

from bare_serve.testing.request import Defaults, Request
from bare_serve.testing.response import Response
from bare_serve.testing.session import Session
from bare_serve.testing.wsgi_call import WsgiCall
from bare_serve.wsgi.environ import Environ, connection_environ, request_environ, server_environ
from bare_serve.wsgi.response import FileWrapper

_BASE = server_environ(multithread=False, multiprocess=False, file_wrapper=FileWrapper)


class WsgiDriver:
    """The application of one client."""

    def __init__(self, session: Session, defaults: Defaults, *, raises: bool) -> None:
        self._app = session.app
        self._defaults = defaults
        self._raises = raises
        self._bases: dict[tuple[str, str], Environ] = {}

    def fetch(self, request: Request, timeout: float | None) -> Response:
        """Send a request, and return its whole answer."""
        call = self._call(request, timeout)
        content = call.fetch()
        response = Response(request, call.status, call.reason, call.fields, content)
        response.early_hints = call.early_hints
        return response

    def source(self, request: Request, timeout: float | None) -> WsgiSource:
        """Return what an answer can be streamed from."""
        return WsgiSource(self._call(request, timeout))

    def async_source(self, request: Request, timeout: float | None) -> InlineSource:
        """Return the same, for a test that awaits."""
        return InlineSource(self._call(request, timeout))

    def _call(self, request: Request, timeout: float | None) -> WsgiCall:
        environ = request_environ(self._base(request), request.head, self._defaults.root_path)
        return WsgiCall(self._app, request, environ, timeout, raises=self._raises)

    def _base(self, request: Request) -> Environ:
        """Return what all requests for a host have in common."""
        key = request.scheme, request.host
        base = self._bases.get(key)
        if base is None:
            base = connection_environ(_BASE, request.server, self._defaults.client)
            base["wsgi.url_scheme"] = request.scheme
            self._bases[key] = base
        return base


class WsgiSource:
    """See `Source`."""

    def __init__(self, call: WsgiCall) -> None:
        self.call = call

    def open(self) -> None:
        """See `Source`."""
        self.call.open()

    def piece(self) -> bytes | None:
        """See `Source`."""
        return self.call.piece()

    def leave(self) -> None:
        """See `Source`."""
        self.call.leave()


class InlineSource:
    """See `AsyncSource`; nothing is waited for, since the application runs in the caller."""

    def __init__(self, call: WsgiCall) -> None:
        self.call = call

    async def open(self) -> None:
        """See `AsyncSource`."""
        self.call.open()

    async def piece(self) -> bytes | None:
        """See `AsyncSource`."""
        return self.call.piece()

    async def leave(self) -> None:
        """See `AsyncSource`."""
        self.call.leave()
