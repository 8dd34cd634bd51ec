"""A connection whose requests are shown by the x-ray: it makes the classes that tell of them.

What lives here: `Connection` again, with other classes for its requests, and the end of the record
of a request that is refused. What must not: steps (traced.py, traced_websocket.py,
http1/traced.py).
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from bare_serve.asgi.connection import Connection
from bare_serve.asgi.exchange import Exchange
from bare_serve.asgi.lifespan import Lifespan
from bare_serve.asgi.service import HttpOptions, Service
from bare_serve.asgi.traced import TracedExchange, traced_app
from bare_serve.asgi.traced_lifespan import TracedLifespan
from bare_serve.asgi.types import App, Scope
from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.http1.traced import leave
from bare_serve.xray.trace import Trace, Tracer


def parts(
    app: App, loop: asyncio.AbstractEventLoop, options: HttpOptions, lifespan: str, tracer: Tracer
) -> tuple[type[Connection], Service, Lifespan]:
    """Return what a worker under the x-ray has in the place of the plain classes."""
    service = Service(traced_app(app), loop, options)
    return TracedConnection, service, TracedLifespan(app, lifespan, tracer)


class TracedConnection(Connection):
    """A connection whose requests are shown."""

    __slots__ = ()

    @staticmethod
    def exchange(connection: Any, head: RequestHead, scope: Scope) -> Exchange:
        """Return what a request is made of: the plain class if it is not to be shown."""
        trace = getattr(connection.core, "trace", None)
        if trace is None:
            connection.become_plain()
            return Exchange(connection, head, scope)
        return TracedExchange(connection, head, scope)

    def websocket(self) -> Any:
        """Return the class of a WebSocket, which is imported late."""
        if getattr(self.core, "trace", None) is None:
            self.become_plain()
            return Connection.websocket()
        return import_module("bare_serve.asgi.traced_websocket").TracedWebSocket

    def become_plain(self) -> None:
        """Have no more requests shown, if the x-ray is over and no request is shown still."""
        core = self.core
        notes = getattr(core, "notes", None)
        if notes is None or (notes.tracer.over and self.current is None and leave(core)):
            self.__class__ = Connection  # type: ignore[assignment]

    def _refuse(self, error: RequestError) -> None:
        has_call = self.current is not None
        super()._refuse(error)
        trace: Trace | None = getattr(self.core, "trace", None)
        if trace is not None and not has_call:
            trace.where = trace.where or ":".join(map(str, self._peer or ("a unix socket",)))
            trace.status = str(error.status)
            trace.finish()
