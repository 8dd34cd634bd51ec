"""What an ASGI worker holds at a moment, in numbers."""

from __future__ import annotations

from bare_serve.asgi import Service
from bare_serve.workers.counting import Gauges
from bare_serve.workers.options import ServeOptions


def gauges(service: Service, options: ServeOptions, lag: float) -> Gauges:
    """Return the gauges; `lag`: seconds that the last tick of the loop was late."""
    websockets = len(service.websockets)
    return Gauges(
        in_flight=max(0, len(service.running) - websockets),
        websockets=websockets,
        lag_nanoseconds=int(lag * 1e9),
        connections_limit=options.limit_connections,
        concurrency_limit=options.limit_concurrency,
    )
