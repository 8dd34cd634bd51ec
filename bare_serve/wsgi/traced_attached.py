"""An x-ray of connections that are in use: their classes change, and change back.

What lives here: the service of a worker, and its connections, by their state. What must not: what
is shown (traced.py), for how long (workers/xray_attached.py).

Another thread may serve a connection at any moment. To change a class is one step, so a busy
connection can begin to be traced; it ends that by itself, with its next request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bare_serve.http1.traced import leave, watch
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.service import Service
from bare_serve.wsgi.traced import TracedService, traced_app
from bare_serve.xray.trace import Tracer


def begin(
    service: Service, connections: Callable[[], Iterable[Connection]], tracer: Tracer
) -> Callable[[], None]:
    """Have the requests of all connections be shown from now on; return what ends it.

    Those that are still to come are made by the acceptor. To be called, as what it returns, by the
    thread that leads the loop.
    """
    application, kind = service._application, type(service)
    service._application = traced_app(application)
    service.__class__ = TracedService
    for connection in connections():
        watch(connection.http, tracer)

    def end() -> None:
        for connection in connections():
            if not connection.busy:
                leave(connection.http)
        service._application = application
        service.__class__ = kind

    return end
