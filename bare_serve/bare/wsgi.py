"""The WSGI skin: from environ to a call, and from its response to an iterable.

What lives here: which thread a call runs on, reading bodies. What must not: what a call does
(calls.py), how a response is sent (response.py). A `def` handler runs in the server's thread, which
costs nothing; an `async def` one, with its providers and its stream, on the loop of the process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from bare_serve.bare.calls import inline, make_call
from bare_serve.bare.errors import BadRequest, ClientLeft
from bare_serve.bare.failures import answer_failure, nowhere
from bare_serve.bare.incoming import path_info
from bare_serve.bare.plan import ASYNC
from bare_serve.bare.request import NONE, PATH, Request, read_body
from bare_serve.bare.response import Response
from bare_serve.bare.router import Route
from bare_serve.bare.stream import Ending, to_response

Environ = dict[str, Any]
Answer = Iterable[bytes]

_PIECE = 64 * 1024


class Wsgi:
    """`app.wsgi`: the WSGI application of a `Bare`.

    A server that knows `bare_lifespan` starts and ends it; elsewhere it starts with the first
    request and ends with the process.
    """

    def __init__(self, app: Any) -> None:
        """Serve `app`, inside its middleware."""
        self._app, self._missing = app, nowhere()
        self.serve: Any = None

    def __call__(self, environ: Environ, start_response: Any) -> Answer:
        """Serve one request (PEP 3333)."""
        if self.serve is None:
            from bare_serve.bare.lifespan import ensure_entered

            ensure_entered(self._app)
            self.serve = self._app.around(self._inner, "wsgi")
        return self.serve(environ, start_response)  # type: ignore[no-any-return]

    def _inner(self, environ: Environ, start_response: Any) -> Answer:
        found = self._app.router.find(environ["REQUEST_METHOD"], path_info(environ) or "/")
        route, params = found or self._missing
        serve: Any = route.wsgi or compile_route(self._app, route)
        return serve(environ, start_response, params)  # type: ignore[no-any-return]

    def bare_lifespan(self) -> Any:
        """Return the application's life as a context manager, entered before the first request."""
        from bare_serve.bare.lifespan import entered

        return entered(self._app)


def compile_route(app: Any, route: Route) -> Any:
    """Return what serves a route: chosen once, so that no request asks what its handler is."""
    call, need, limit = make_call(route.plan), route.plan.body, route.max_body
    handler = route.plan.handler

    def on_loop(coroutine: Any) -> Any:
        return app.runner.run(coroutine)  # which it starts

    def failed(request: Request, error: Exception) -> Response:
        return inline(answer_failure(app, request, error, on_loop))

    run: Any = on_loop if route.plan.kind >= ASYNC else inline

    def serve(environ: Environ, start_response: Any, params: dict[str, Any]) -> Answer:
        request = Request(environ, app, params)
        try:
            if need > NONE:
                _read(request, need, limit)
            response = run(call(request))
        except ClientLeft as left:
            request.end()
            raise (left.__cause__ or left) from None  # the server knows its own exception
        except Exception as error:  # noqa: BLE001 - each one has an answer
            response = failed(request, error)
        body: Answer = response.wsgi(environ, start_response, run, on_loop)
        if request.form is None and request.later is None and not isinstance(body, Ending):
            return body
        return Ending(body, request.end)

    def at_once(environ: Environ, start_response: Any, params: dict[str, Any]) -> Answer:
        # Nothing of the request is needed to call the handler: none is made.
        try:
            response = to_response(handler(**params))
        except Exception as error:  # noqa: BLE001 - each one has an answer
            response = failed(Request(environ, app, params), error)
        return response.wsgi(environ, start_response, run, on_loop)

    route.wsgi = at_once if need == PATH and route.plan.kind < ASYNC else serve
    return route.wsgi


def _read(request: Request, need: int, limit: int) -> None:
    """Read a body by its length, or to its end where the server marks one."""
    environ = request.raw
    declared = environ.get("CONTENT_LENGTH") or ("" if "CONTENT_TYPE" in environ else None)
    ends = environ.get("wsgi.input_terminated")

    async def pieces() -> AsyncIterator[bytes]:
        left = int(declared) if declared else limit + 1 if ends else 0
        while left:
            try:
                piece = environ["wsgi.input"].read(min(left, _PIECE))
            except OSError as error:
                raise ClientLeft from error
            if not piece:
                break
            left -= len(piece)
            yield piece
        if left and declared:
            raise BadRequest("The body is shorter than its Content-Length.", where="body")

    inline(read_body(request, need, limit, declared, pieces()))
