"""From an exception to the answer: a handler of the application's, or what is safe to show.

What lives here: which error handler answers, the answers without one, and what is logged. What must
not: what programmers see in debug (debug_page.py). Nothing of an unexpected exception reaches the
client: its traceback is in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from bare_serve.bare.errors import HTTPError
from bare_serve.bare.response import JSONResponse, Response, to_response

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App
    from bare_serve.bare.request import Request


def answer_failure(app: App, request: Request, error: Exception) -> Response | Awaitable[Response]:
    """Return the response to an exception; to be awaited if its handler is `async def`."""
    handler = _handler(app, error)
    expected = isinstance(error, HTTPError)
    if not expected and (
        handler is None or handler in (app.errors.get(Exception), app.errors.get(500))
    ):
        log_failure(f"{request.method} {request.path!r} failed", error)
    if handler is None:
        return _plain(app, request, error)
    status = error.status if isinstance(error, HTTPError) else 500
    try:
        answer = handler(request, error)
        if hasattr(answer, "__await__"):
            return _awaited(app, request, error, answer, status)
        return _shaped(answer, status)
    except Exception as failed:  # noqa: BLE001 - the answer to the first one must not get lost
        log_failure(f"The error handler {handler!r} failed", failed)
        return _plain(app, request, failed)


async def _awaited(
    app: App, request: Request, error: Exception, answer: Any, status: int
) -> Response:
    try:
        return _shaped(await answer, status)
    except Exception as failed:  # noqa: BLE001 - see above
        log_failure(f"The error handler for {error!r} failed", failed)
        return _plain(app, request, failed)


def _handler(app: App, error: Exception) -> Any:
    """Return the handler of the class that is nearest, then that of the status."""
    errors = app.errors
    for kind in type(error).__mro__ if errors else ():
        if kind is HTTPError:
            assert isinstance(error, HTTPError)
            return errors.get(error.status) or errors.get(HTTPError)
        if kind in errors:
            return errors[kind]
    return errors.get(500)


def _shaped(answer: Any, status: int) -> Response:
    """Return the response of an error handler; an answer that has no status gets the error's."""
    response = to_response(answer)
    if response is not answer:
        response.status = status
    return response


def _plain(app: App, request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPError):
        data = {"error": error.detail}
        if error.where is not None:
            data["where"] = error.where
        return JSONResponse(data, error.status, error.headers)
    if app.debug:
        from bare_serve.bare.debug_page import debug_page

        page = debug_page(request, error)
        if page is not None:
            return page
    data = {"error": "Internal Server Error"}
    if (request_id := request.request_id) is not None:
        data["request_id"] = request_id
    return JSONResponse(data, 500)


def log_failure(what: str, error: BaseException | None) -> None:
    """Log an exception with its traceback."""
    import logging

    logging.getLogger("bare_serve.bare").error("%s", what, exc_info=error)
