"""Whose fault an exception of the application is, and how it is logged.

What lives here: the judgement whether an exception only says that the client left, and the log
entry of one that says more. What must not: what the client is told (exchange.py).
"""

from __future__ import annotations

import logging

from bare_serve.app.tracebacks import exc_info
from bare_serve.errors import ClientGone

logger = logging.getLogger("bare_serve.app")

# nginx's number for a client that left before it was answered; only ever seen in the access log.
CLIENT_LEFT = 499

# Starlette raises its own where `receive` returned the end or `send` raised ours.
_TRANSLATED = "ClientDisconnect"


def says_client_left(error: BaseException) -> bool:
    """Return whether `error` is, or was raised because of, a client that is gone.

    Where a task group wrapped several, all of them have to be.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, ClientGone) or type(current).__name__ == _TRANSLATED:
            return True
        if isinstance(current, BaseExceptionGroup):
            return all(says_client_left(inner) for inner in current.exceptions)
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return False


def log_failure(message: str, error: BaseException) -> None:
    """Log it with the application's own traceback."""
    logger.error(message, exc_info=exc_info(error))
