"""The classes that a worker serves with: the plain ones, or those of answers at hand or an x-ray.

What lives here: the choice, once for a worker. What must not: the classes.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from bare_serve.asgi import App, Connection, HttpOptions, Lifespan, Service

if TYPE_CHECKING:
    from bare_serve.workers.xray import WorkerXray

Parts = tuple[type[Connection], Service, Lifespan]


def parts(
    app: App,
    loop: asyncio.AbstractEventLoop,
    options: HttpOptions,
    lifespan: str,
    xray: WorkerXray | None,
) -> Parts:
    """Return the class of connections, what they share, and the lifespan, whose mode is given.

    An `xray` is started, since it shows the startup, too.
    """
    if xray is None:
        connection = Connection
        if options.direct is not None:
            connection = import_module("bare_serve.asgi.direct").DirectConnection
        return connection, Service(app, loop, options), Lifespan(app, lifespan)
    traced = import_module("bare_serve.asgi.traced_connection")
    made: Parts = traced.parts(app, loop, options, lifespan, xray.tracer)
    xray.start()
    return made
