"""A request in progress in one line, for reports of what a worker was doing.

Reports ask for the requests once a second, and for all that is in progress when a worker is about
to be killed, possibly from a signal handler. Serving stores nothing for them: what is in progress
is read off, by `workers/asgi/inflight.py` and `workers/wsgi/inflight.py`.
"""

from __future__ import annotations

from bare_serve.http import log_text

_LONGEST = 200
"""Bytes of a target that a report shows."""


def describe(head: log_text.Request) -> str:
    """Return method and target, of a long one the beginning."""
    return log_text.describe(head, _LONGEST)
