"""What makes the HTTP of each connection that a worker accepts, chosen once for the worker.

What lives here: from options to two callables without arguments. What must not: sockets, and which
listener wants which of the two (the acceptors).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.http1.redirect import Redirecting
from bare_serve.workers.options import ServeOptions

if TYPE_CHECKING:
    from bare_serve.workers.xray import WorkerXray


class Exchanges(NamedTuple):
    """Callables that give a connection the object that speaks HTTP for it."""

    parser: str
    """The name of the parser that they take."""
    new_exchange: Callable[[], ServerConnection]
    """For a connection whose requests are served."""
    new_redirect: Callable[[], ServerConnection]
    """For one whose requests are sent on to https."""


def worker_xray(options: ServeOptions, target: str) -> WorkerXray | None:
    """Return the x-ray that a worker was asked for; None, and nothing is imported, for none."""
    if options.xray is None:
        return None
    made: WorkerXray = import_module("bare_serve.workers.xray").WorkerXray(options.xray, target)
    return made


def can_attach(xray: WorkerXray | None) -> bool:
    """Return whether an x-ray can be attached: none shows requests already."""
    return xray is None or xray.options.silent


def attaching(xray: WorkerXray | None, module: str, worker: object) -> tuple[str, object]:
    """Return which module attaches one, and to what; `module` and `worker` where there is none."""
    return (module, worker) if xray is None else ("bare_serve.workers.xray_lent", xray)


def exchanges(options: ServeOptions, xray: WorkerXray | None = None) -> Exchanges:
    """Return what `options` make of connections; of other classes if there is an `xray`.

    Raises:
        UsageError: the parser asked for is not installed, or unknown.
    """
    parser = select_parser(options.parser)
    if xray is not None:
        return Exchanges(parser.name, *xray.connections(options))
    make_parser, limits = parser.make, options.limits
    persistent, port = options.timeouts.persistent, options.https_port
    extra = options.header_lines

    def new_exchange() -> ServerConnection:
        return ServerConnection(make_parser(), limits, extra, persistent)

    def new_redirect() -> ServerConnection:
        return Redirecting(make_parser(), limits, extra, port)

    return Exchanges(parser.name, new_exchange, new_redirect)
