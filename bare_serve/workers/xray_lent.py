"""An x-ray that is attached to a worker whose requests are recorded already, for error pages.

What lives here: lending the worker's tracer to the order, and taking it back. What must not: what
is shown (xray/trace.py). Imported only by a worker that gets such an order. No class changes:
connections and calls have a tracer, and what the tracer does with their records changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bare_serve.xray.trace import Tracer

if TYPE_CHECKING:
    from bare_serve.workers.xray import WorkerXray


def prepare(xray: WorkerXray) -> None:
    """Import what will be needed: that of this module is all."""


def begin(xray: WorkerXray, tracer: Tracer) -> Callable[[], None]:
    """Have the requests that come be shown as `tracer` says; return what ends it.

    Error pages have their x-ray all the while, of the requests that are shown.
    """
    return xray.tracer.lend(tracer)
