"""Which observers a worker has: who is told of each of its answers.

What lives here: the list of them, the same for both kinds of worker. What must not: what they do
with an answer (logs/access_log.py, counts/tally.py), how several become one
(logs/on_answered.py), starting and ending them (the worker).
"""

from __future__ import annotations

from bare_serve.counts.tally import Tally
from bare_serve.logs.on_answered import OnAnswered, compose
from bare_serve.workers.options import ServeOptions


def answer_observer(options: ServeOptions, tally: Tally | None = None) -> OnAnswered | None:
    """Return what is told of each answer; None if nobody listens."""
    log = options.access_log
    others = compose(log.record if log is not None else None)
    # Directly, not by `compose`: counting cannot fail, and the access log is on by default.
    return tally.observer(others) if tally is not None else others
