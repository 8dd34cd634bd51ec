"""From an exception to the answer: a handler of the application's, or what is safe to show.

What lives here: which error handler answers, the answers without one, also where no route is, and
what is logged. What must not: how routes are found (router.py). Nothing of an unexpected exception
reaches the client: its traceback is in the log, and in debug on a page for this machine alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from bare_serve.bare.errors import HTTPError, NotFound
from bare_serve.bare.plan import PLAIN, Plan
from bare_serve.bare.request import Request
from bare_serve.bare.response import JSONResponse, RedirectResponse, Response
from bare_serve.bare.router import ANY, WEBSOCKET, Route
from bare_serve.bare.stream import to_response

_QUERY = "/?:@!$&'()*+,;=%~[]"
"""What stands in a query as it is."""


async def answer_failure(
    app: Any, request: Request, error: Exception, on_loop: Callable[[Any], Any] | None = None
) -> Response:
    """Return the response to an exception.

    It waits for an error handler that is `async def`; elsewhere `on_loop` runs that one.
    """
    request.later = None
    handler = _handler(app, error)
    everyones = (None, app.errors.get(Exception), app.errors.get(500))
    if not isinstance(error, HTTPError) and handler in everyones:
        log_failure(f"{request.method} {request.path!r} failed", error)
    try:
        answer = (handler or _plain)(request, error)
        if hasattr(answer, "__await__"):
            answer = await answer if on_loop is None else on_loop(answer)
        response = to_response(answer)
        if response is not answer:  # an answer that has no status gets the error's
            response.status = error.status if isinstance(error, HTTPError) else 500
        return response
    except Exception as failed:  # noqa: BLE001 - the answer to the first one must not get lost
        log_failure(f"The error handler {handler!r} failed", failed)
        return _plain(request, failed)


def _handler(app: Any, error: Exception) -> Any:
    """Return the handler of the class that is nearest, then that of the status."""
    for kind in type(error).__mro__ if app.errors else ():
        if kind is HTTPError:
            return app.errors.get(getattr(error, "status", 500)) or app.errors.get(HTTPError)
        if kind in app.errors:
            return app.errors[kind]
    return app.errors.get(500)


def _plain(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPError):
        where = {} if error.where is None else {"where": error.where}
        return JSONResponse({"error": error.detail, **where}, error.status, error.headers)
    if request.app.debug and (page := _debug(request, error)) is not None:
        return page
    known = {} if request.request_id is None else {"request_id": request.request_id}
    return JSONResponse({"error": "Internal Server Error", **known}, 500)


def _debug(request: Request, error: Exception) -> Response | None:
    """Return the page of an exception, JSON or text, as it is asked for; it hides secrets.

    None for a client that is not on this machine, or asks for another name, or by a proxy.
    """
    from bare_serve.dev import error_page
    from bare_serve.dev.asked import Asked
    from bare_serve.dev.failure import describe

    is_asgi = "type" in request.raw
    asked = (Asked.of_scope if is_asgi else Asked.of_environ)(request.raw)
    if not asked.is_local:
        return None
    rows = error_page.scope_rows if is_asgi else error_page.environ_rows
    page = error_page.Page(
        "The application has raised an exception.",
        "You see this because of Bare(debug=True), on the same machine only.",
        request=f"{request.method} {request.path}",
        received="scope" if is_asgi else "environ",
        rows=rows(request.raw),
    )
    fields, body = error_page.answer(asked.form, describe(error), page, 500)
    return Response(body, 500, [field for field in fields if field[0] != "Content-Length"])


def missed(request: Request) -> Response:
    """Return the answer where no route is: to OPTIONS, or the same path with a slash more or less.

    A path that begins with two slashes would be taken for another host (RFC 3986, 4.2).

    Raises:
        HTTPError: 404; 405 with the methods that there are.
    """
    method, path, router = request.method, request.path, request.app.router
    allowed = {"OPTIONS"}
    router.find(method, path, allowed)
    if allowed - {"OPTIONS", WEBSOCKET}:
        allow = {"allow": ", ".join(sorted(allowed - {WEBSOCKET}))}
        if method == "OPTIONS":
            return Response(None, 204, allow)
        raise HTTPError(405, headers=allow)
    other = path[:-1] if path.endswith("/") else path + "/"
    found = router.find(method, other) if other and not other.startswith("//") else None
    if found is None or found[0].method == ANY:
        raise NotFound
    # A query may hold what no redirect may, such as a backslash.
    query = "?" + quote(request.query_string, _QUERY, "latin-1") if request.query_string else ""
    return RedirectResponse(quote(request.root_path + other) + query, 308)


def nowhere() -> tuple[Route, dict[str, Any]]:
    """Return what `Router.find` returns, for paths without a route."""
    route = Route(ANY, "/")
    route.plan = Plan(missed, PLAIN, (("request", lambda request: request),))
    return route, {}


def log_failure(what: str, error: BaseException | None) -> None:
    """Log an exception with its traceback."""
    import logging

    logging.getLogger("bare_serve.bare").error("%s", what, exc_info=error)
