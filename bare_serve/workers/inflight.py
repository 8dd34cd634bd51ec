"""A request in progress in one line, for reports of what a worker was doing.

Reports ask for the requests once a second, and for all that is in progress when a worker is about
to be killed, possibly from a signal handler. Serving stores nothing for them: what is in progress
is read off, by `workers/asgi/inflight.py` and `workers/wsgi/inflight.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bare_serve.http1 import RequestHead


def describe(head: RequestHead) -> str:
    """Return method and target, the beginning of a long one; nothing in it breaks a line."""
    return f"{head.method} {ascii(head.target[:200].decode('latin-1'))[1:-1]}"
