"""What is served while the application does not start: a WSGI application that says so.

The wrapper around it (see the README of this folder) has already answered whoever may see more.
What must not live here: any detail of the failure, since anybody may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

_TEXT: Final = b"The application does not start. The terminal of its server says why.\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer each request alike."""
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(_TEXT))),
        ("Cache-Control", "no-store"),
        ("Retry-After", "1"),
    ]
    start_response("503 Service Unavailable", fields)
    return [_TEXT] if environ["REQUEST_METHOD"] != "HEAD" else []
