"""The WSGI skin: from environ to a call, and from its response to `start_response` and an iterable.

What lives here: which thread a call runs on, sending responses and streams. What must not: what a
call does (calls.py). A `def` handler runs in the server's thread, which costs nothing; an `async
def` one, with its providers and its stream, on the loop of the process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bare_serve.bare.calls import close_pieces, end_call, inline, make_call, make_plain_call
from bare_serve.bare.errors import ClientLeft, phrase
from bare_serve.bare.failures import answer_failure
from bare_serve.bare.misses import missed
from bare_serve.bare.response import BODILESS, Response, StreamResponse, to_response
from bare_serve.bare.wsgi_request import WsgiRequest, read_body, text_of

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App
    from bare_serve.bare.router import Route

Environ = dict[str, Any]
Answer = Iterable[bytes]
_lines: dict[int, str] = {}


class Wsgi:
    """`app.wsgi`: the WSGI application of a `Bare`.

    A server that knows `bare_lifespan` starts and ends it; elsewhere it starts with the first
    request and ends with the process.
    """

    def __init__(self, app: App) -> None:
        """Serve `app`."""
        self.app = app
        self._serve: Callable[[Environ, Any], Answer] | None = None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Answer:
        """Serve one request (PEP 3333)."""
        serve = self._serve
        if serve is None:
            serve = self._begin()
        return serve(environ, start_response)

    def bare_lifespan(self) -> Any:
        """Return the application's life as a context manager, entered before the first request."""
        from bare_serve.bare.lifespan import entered

        return entered(self.app)

    def _begin(self) -> Callable[[Environ, Any], Answer]:
        from bare_serve.bare.lifespan import ensure_entered

        ensure_entered(self.app)
        self._serve = make_wsgi(self.app)
        return self._serve


def make_wsgi(app: App) -> Callable[[Environ, Any], Answer]:
    """Return the WSGI application of `app`, inside its middleware."""
    find = app.router.find

    def serve(environ: Environ, start_response: Callable[..., Any]) -> Answer:
        path = text_of(environ.get("PATH_INFO", "")) or "/"
        found = find(environ["REQUEST_METHOD"], path)
        if found is None:
            request = WsgiRequest(environ, app, {})
            return send(request, start_response, _waited(app, missed(app, request)), None)
        route, params = found
        call = route.wsgi or compile_route(app, route)
        return call(environ, start_response, params)

    return app.middleware.around(serve, "wsgi")


def compile_route(app: App, route: Route) -> Callable[..., Answer]:
    """Return what serves a route: chosen once, so that no request asks what its handler is."""
    plan, limit = route.plan, route.max_body
    need = plan.body
    waiting = make_call(plan)

    def on_loop(request: Any) -> Response:
        return app.loop_thread.run(waiting(request))

    call = on_loop if plan.runs_on_loop else make_plain_call(plan)

    def serve(
        environ: Environ, start_response: Callable[..., Any], params: dict[str, Any]
    ) -> Answer:
        request = WsgiRequest(environ, app, params)
        try:
            if need:
                read_body(request, need, limit)
            response = call(request)
        except ClientLeft as left:
            raise (left.__cause__ or left) from None  # the server knows its own exception
        except Exception as error:  # noqa: BLE001 - each one has an answer
            request.later = None
            response = _waited(app, answer_failure(app, request, error))
        return send(request, start_response, response, plan)

    handler = plan.handler

    def serve_at_once(
        environ: Environ, start_response: Callable[..., Any], params: dict[str, Any]
    ) -> Answer:
        # Nothing of the request is needed but the parameters of its path: no request is made.
        try:
            response = to_response(handler(**params))
        except Exception as error:  # noqa: BLE001 - each one has an answer
            response = _waited(app, answer_failure(app, WsgiRequest(environ, app, params), error))
        if environ["REQUEST_METHOD"] == "GET" and response.is_whole:
            start_response(status_line(response.status), response.wsgi_head())
            return [] if response.status in BODILESS else [response.content]
        return send(WsgiRequest(environ, app, params), start_response, response, plan)

    route.wsgi = serve_at_once if plan.direct and not plan.runs_on_loop else serve
    return route.wsgi


def _waited(app: App, answer: Response | Awaitable[Response]) -> Response:
    """Return a response, or what an awaitable gives: inline if no error handler is async."""
    if isinstance(answer, Response):
        return answer
    response: Response = (app.loop_thread.run if app.has_async_errors else inline)(answer)  # type: ignore[arg-type]
    return response


def status_line(status: int) -> str:
    """Return a status as `start_response` takes it."""
    line = _lines.get(status)
    if line is None:
        line = _lines[status] = f"{status} {phrase(status)}"
    return line


def send(
    request: WsgiRequest, start_response: Callable[..., Any], response: Response, plan: Any
) -> Answer:
    """Start a response and return its body; an empty one for HEAD and statuses without a body."""
    head = request.method == "HEAD"
    if isinstance(response, StreamResponse):
        on_loop = (plan is not None and plan.runs_on_loop) or hasattr(response.pieces, "__aiter__")
        stream = _Stream(request, response, head, on_loop)
        try:
            start_response(status_line(response.status), response.wsgi_head())
        except BaseException:
            stream.close()
            raise
        return stream
    body: Answer
    if response.is_whole:
        start_response(status_line(response.status), response.wsgi_head())
        body = [] if head or response.status in BODILESS else [response.content]
    else:
        from bare_serve.middleware.stack import wrap

        # It is a policy that always answers, so what is behind it is not called.
        body = wrap(NotImplementedError, response, interface="wsgi")(
            request.environ, start_response
        )
    return _Ending(request, body) if request.has_end else body


def _end(request: WsgiRequest) -> None:
    if request.form is not None:
        request.form.close()
    if request.later is not None:
        request.app.background.start(request.later)


class _Ending:
    """A body that something follows."""

    def __init__(self, request: WsgiRequest, body: Answer) -> None:
        self._request = request
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """End the request (PEP 3333, `close()`)."""
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            _end(self._request)


class _Stream:
    """A stream as an iterable; it runs where its handler has run."""

    def __init__(
        self, request: WsgiRequest, response: StreamResponse, head: bool, on_loop: bool
    ) -> None:
        self._request = request
        self._response = response
        self._run = request.app.loop_thread.run if on_loop else inline
        self._pieces: Any = None
        self._over = head
        self._raised: BaseException | None = None if head else ClientLeft()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        try:
            piece = self._run(self._next())
        except BaseException as error:
            self._over, self._raised = True, error
            raise
        if piece is None:
            self._over, self._raised = True, None
            raise StopIteration
        return piece.encode("utf-8") if isinstance(piece, str) else piece

    async def _next(self) -> Any:
        if self._pieces is None:
            given: Any = self._response.pieces
            self._pieces = aiter(given) if hasattr(given, "__aiter__") else iter(given)
        if hasattr(self._pieces, "__anext__"):
            return await anext(self._pieces, None)
        return next(self._pieces, None)

    def close(self) -> None:
        """Close the iterator and what providers have open; then what follows (PEP 3333)."""
        self._over = True
        self._run(self._close())
        _end(self._request)

    async def _close(self) -> None:
        try:
            await close_pieces(self._response.pieces)
        finally:
            if self._response.after is not None:
                await end_call(self._response, self._raised)
