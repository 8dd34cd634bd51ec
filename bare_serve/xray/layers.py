"""Which application wraps which, and where the time goes between them: the interface.

    layers = install(per_second=20)     # in the worker, before it serves
    print(layers.how)                   # one sentence: by what means, and for which requests
    layers.begin(environ)               # or a scope: just before the application is called with it
    ...                                 # the call, and for WSGI the iteration and close(), too
    tree = layers.end(environ)          # the same dict: Tree | None, None if it was not sampled
    for line in text(tree, width=100):  # the block "layers" of an x-ray
        ...
    layers.uninstall()                  # no tool id, no callback, no profile function is left

`begin` and `end` are called in any thread or task; for WSGI in the thread that calls the
application. What is begun must be ended, also if the application raises, since it is remembered
until then. `begin` writes the key `MARK` into the dict, so that a copy of it which a layer makes
is recognised; `end` takes the key out again.

A layer is a call that is passed the environ and one callable, or the scope and two, while the
request is under way; so an application that another one calls with a dict of its own is a layer,
too. What users wrote and a framework calls is in the tree as well: views, function middleware,
hooks. A helper that a view calls is not: its time is the view's own.

From Python 3.12 on layers come from `sys.monitoring` (PEP 669); code that is no layer is disabled
after its first calls and runs at full speed from then on. Before, they come from `sys.setprofile`,
which costs several times the time of what it watches, so there only each `every`th request has a
tree.
"""

from __future__ import annotations

import sys
from time import perf_counter_ns

from bare_serve.errors import LayersError
from bare_serve.xray.layer_recorder import MARK, Layers, Sample
from bare_serve.xray.layer_text import text
from bare_serve.xray.layer_tree import Clock, Tree

__all__ = ["MARK", "SAMPLE", "Layers", "LayersError", "Tree", "install", "text"]

SAMPLE = 20
"""Before Python 3.12 one request of so many has a tree, if the caller says nothing else."""


def install(
    *, every: int | None = None, per_second: int | None = None, clock: Clock = perf_counter_ns
) -> Layers:
    """Begin to watch this process; the caller ends it by `uninstall()`.

    One of `every` requests has a tree; by default each of them from Python 3.12 on, and one of
    `SAMPLE` before. No more than `per_second` have one: that keeps the cost low under load, since
    a request without a tree costs next to nothing. The clock gives nanoseconds. Raises LayersError
    if debuggers or profilers hold what is needed.
    """
    if sys.version_info >= (3, 12):
        from bare_serve.xray.layer_monitoring import MonitoredLayers

        return MonitoredLayers(Sample(every or 1, per_second), clock)
    from bare_serve.xray.layer_profile import ProfiledLayers

    return ProfiledLayers(Sample(every or SAMPLE, per_second), clock)
