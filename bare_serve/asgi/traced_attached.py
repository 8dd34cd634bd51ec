"""An x-ray of connections that are in use: their classes change, and change back.

What lives here: for each kind of connection of a worker, whether and how it can change. What must
not: what is shown (traced.py), for how long (workers/xray_attached.py).

A connection changes at once, in the middle of a request, too: its next request is the first to be
shown. Back it changes when none of its requests is being shown; the rest does so by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bare_serve.asgi.connection import Connection
from bare_serve.asgi.service import Service
from bare_serve.asgi.traced import traced_app
from bare_serve.asgi.traced_connection import TracedConnection
from bare_serve.http1.traced import watch
from bare_serve.xray.trace import Tracer


def begin(service: Service, tracer: Tracer) -> Callable[[], None]:
    """Have the requests of all connections be shown from now on; return what ends it.

    Those that are still to come are made by `maker(tracer)`.
    """
    app = service.app
    service.app = traced_app(app)
    for connection in list(service.connections):
        if isinstance(connection, Connection):  # also one that the order before has left so
            _watch(connection, tracer)
        elif hasattr(connection, "make_connection"):  # TLS, in its handshake
            connection.make_connection = maker(tracer)

    def end() -> None:
        service.app = app
        for connection in list(service.connections):
            if isinstance(connection, TracedConnection):
                connection.become_plain()
            elif hasattr(connection, "make_connection"):
                connection.make_connection = Connection

    return end


def maker(tracer: Tracer) -> Callable[..., Connection]:
    """Return what makes connections whose requests are shown."""

    def made(*given: Any, **named: Any) -> Connection:
        connection = Connection(*given, **named)
        if not tracer.over:
            _watch(connection, tracer)
        return connection

    return made


def _watch(connection: Connection, tracer: Tracer) -> None:
    watch(connection.core, tracer)
    connection.__class__ = TracedConnection
