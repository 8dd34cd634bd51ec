"""The x-ray of a worker: what makes its records, and where they go.

What lives here: options in; a `Tracer` for the worker's connections and calls, and its output. What
must not: steps (http1/traced.py and its like), the text of a block (xray/text.py). Imported only by
a worker that was asked for an x-ray.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import bare_serve.clauses.table  # noqa: F401  (so that no request waits for it)
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.http1.redirect import Redirecting
from bare_serve.http1.traced import watch
from bare_serve.logs.xray_log import XrayLog
from bare_serve.workers.options import ServeOptions
from bare_serve.xray.layers import LayersError, install
from bare_serve.xray.options import XrayOptions
from bare_serve.xray.show import printable
from bare_serve.xray.text import render
from bare_serve.xray.trace import Block, Tracer

_STANDARD_ERROR = 2

logger = logging.getLogger("bare_serve.worker")


class WorkerXray:
    """One for a worker."""

    def __init__(self, options: XrayOptions, target: str) -> None:
        self._log = XrayLog(_STANDARD_ERROR)
        show = self._show if options.prints else _show_nothing
        pid = os.getpid()
        place = f"worker {options.worker} (pid {pid})" if options.worker else f"pid {pid}"
        self.options = options
        self.tracer = Tracer(options, self._log.admit, show, place)
        if not options.silent:
            self._watch_layers()
        self.tracer.app_name = printable(target.replace(":", "."))

    def _watch_layers(self) -> None:
        try:
            self.tracer.layers = install()
        except LayersError as error:  # a debugger or a profiler is at work
            logger.warning("The x-ray shows no layers: %s.", error)

    def start(self) -> None:
        """Begin to write."""
        if self.options.prints:
            self._log.start()

    def close(self) -> None:
        """Write what can still be written, and watch nothing any more."""
        if self.tracer.layers is not None:
            self.tracer.layers.uninstall()
            self.tracer.layers = None
        if self.options.prints:
            self._log.close()

    def connections(
        self, options: ServeOptions
    ) -> tuple[Callable[[], ServerConnection], Callable[[], ServerConnection]]:
        """Return what makes the HTTP of connections: of those that are served, and of those that
        are sent on to https."""
        parser = select_parser(options.parser)
        extra, tracer = options.header_lines, self.tracer
        persistent, port = options.timeouts.persistent, options.https_port
        tracer.parser = parser.name

        def new_exchange() -> ServerConnection:
            return watch(ServerConnection(parser.make(), options.limits, extra, persistent), tracer)

        def new_redirect() -> ServerConnection:
            return watch(Redirecting(parser.make(), options.limits, extra, port), tracer)

        return new_exchange, new_redirect

    def _show(self, block: Block) -> None:
        options = self.options
        self._log.put(lambda: render(block, colour=options.colour, arrows=options.arrows))


def _show_nothing(_block: Block) -> None:
    """Do nothing: the output is not wanted."""
