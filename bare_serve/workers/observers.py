"""Which observers a worker has: who is told of each of its answers.

What lives here: the list of them, the same for both kinds of worker. What must not: what they do
with an answer (logs/access_log.py, counts/tally.py), how several become one
(logs/on_answered.py), starting and ending them (the worker).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bare_serve.counts.tally import Tally
from bare_serve.logs.on_answered import OnAnswered, compose
from bare_serve.workers.options import ServeOptions

if TYPE_CHECKING:
    from bare_serve.workers.slow_requests import SlowRequests


def slow_requests(options: ServeOptions) -> SlowRequests | None:
    """Return what tells of slow requests; None if nothing does, and nothing is imported."""
    if not options.log_slow:
        return None
    module = import_module("bare_serve.workers.slow_requests")
    made: SlowRequests = module.SlowRequests(options.log_slow, options.number)
    return made


def answer_observer(
    options: ServeOptions, tally: Tally | None = None, slow: SlowRequests | None = None
) -> OnAnswered | None:
    """Return what is told of each answer; None if nobody listens."""
    log = options.access_log
    others = compose(
        log.record if log is not None else None, slow.ended if slow is not None else None
    )
    # Directly, not by `compose`: counting cannot fail, and the access log is on by default.
    return tally.observer(others) if tally is not None else others
