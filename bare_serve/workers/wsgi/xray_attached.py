"""The WSGI worker's part of an x-ray that is attached: who makes new connections.

What must not live here: connections that are there already (wsgi/traced_attached.py).
"""

from __future__ import annotations

from collections.abc import Callable

from bare_serve.http1.traced import watch
from bare_serve.workers.exchanges import Exchanges
from bare_serve.workers.wsgi.shared import Shared
from bare_serve.wsgi.traced_attached import begin as begin_with
from bare_serve.xray.trace import Tracer


def prepare(shared: Shared) -> None:
    """Import what will be needed: that of this module is all."""


def begin(shared: Shared, tracer: Tracer) -> Callable[[], None]:
    """Have all requests be shown from now on; return what ends it. For the leader."""
    acceptor, plain = shared.acceptor, shared.acceptor.exchanges
    acceptor.exchanges = Exchanges(
        plain.parser,
        lambda: watch(plain.new_exchange(), tracer),
        lambda: watch(plain.new_redirect(), tracer),
    )
    end_with = begin_with(shared.service, lambda: list(shared.connections.values()), tracer)

    def end() -> None:
        acceptor.exchanges = plain
        end_with()

    return end
