"""Calls that end without a complete answer: whose fault it is, and what is logged and answered.

What lives here: the judgement whether an exception only says that the client left, the log entry
of one that says more, and the answer that is given in the place of the application's. What must
not: how an answer of the server is sent, or the connection broken off (exchange.py).
"""

from __future__ import annotations

import logging

from bare_serve.app.tracebacks import exc_info
from bare_serve.asgi.interfaces import EndedCall
from bare_serve.asgi.states import STOPPING
from bare_serve.clauses import reference
from bare_serve.errors import ClientGone
from bare_serve.logs.on_answered import CLIENT_LEFT
from bare_serve.system import forks

logger = logging.getLogger("bare_serve.app")

_STOPPING = b"The server is stopping.\n"
_FAILED = b"Internal Server Error\n"

# Starlette raises its own where `receive` told of the end or `send` raised ours.
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


def settle_return(call: EndedCall) -> None:
    """Settle a call that has returned without a complete answer."""
    if call.left == STOPPING:
        logger.debug("%s: told of the stop, the application returned.", call)
        call.fail(503, _STOPPING)
    elif call.left:  # it was told so, and has drawn the conclusion
        logger.debug("%s: the client left before the response was complete.", call)
        if not call.core.response_started:
            call.core.status = CLIENT_LEFT
        call.break_off()
    else:
        logger.error(
            "%s: the application returned without a complete answer. %s",
            *(call, reference(call.undone)),
        )
        call.fail(500, _FAILED)


def settle_exception(call: EndedCall, error: BaseException) -> None:
    """Settle a call that has raised, with or without a complete answer."""
    forks.end_copy()
    if call.left and says_client_left(error):
        if call.left == STOPPING:
            logger.debug("%s: told of the stop, the application gave up.", call)
            call.fail(503, _STOPPING)
        else:
            logger.debug("%s: the client left before the response was complete.", call)
            call.fail(500, _FAILED)
        return
    log_failure(f"{call}: the application raised {type(error).__name__}.", error)
    if call.cancelled:
        call.answer_late()
    call.fail(500, _FAILED)


def settle_cancellation(call: EndedCall, error: BaseException, *, draining: bool) -> None:
    """Settle a call whose task was cancelled; `draining`: the server is stopping."""
    if call.cancelled:
        call.answer_late()
    elif draining:
        level = logging.DEBUG if call.unheard else logging.WARNING
        logger.log(level, "%s: cancelled, because the server is stopping.", call)
        call.fail(503, _STOPPING)
    else:
        log_failure(f"{call}: the application was cancelled.", error)
        call.fail(500, _FAILED)
