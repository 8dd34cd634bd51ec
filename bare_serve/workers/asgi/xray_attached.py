"""The ASGI worker's part of an x-ray that is attached: what makes new connections.

What must not live here: connections that are there already (asgi/traced_attached.py).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from bare_serve.asgi.traced_attached import begin as begin_with
from bare_serve.asgi.traced_attached import maker
from bare_serve.xray.trace import Tracer

if TYPE_CHECKING:
    from bare_serve.workers.asgi.worker import AsgiWorker


def prepare(worker: AsgiWorker) -> None:
    """Import what will be needed; in any thread."""
    if worker.service.options.websocket is not None:
        import_module("bare_serve.asgi.traced_websocket")


def begin(worker: AsgiWorker, tracer: Tracer) -> Callable[[], None]:
    """Have all requests be shown from now on; return what ends it. To be called in the loop."""
    plain = worker.connection
    worker.make_connections_by(maker(tracer))
    end_with = begin_with(worker.service, tracer)

    def end() -> None:
        worker.make_connections_by(plain)
        end_with()

    return end
