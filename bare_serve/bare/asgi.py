"""The ASGI skin: from scope, receive and send to a call, and from its response to events.

What lives here: which loop or thread a call runs on, reading bodies, sending responses. What must
not: what a call does (calls.py), streams (asgi_stream.py). An `async def` handler runs on the
server's loop; a `def` handler, with its providers and its stream, in one thread of the pool.
Nothing is sent before the call is over, so that its failure still has an answer.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bare_serve.bare.asgi_request import AsgiRequest, path_below
from bare_serve.bare.asgi_stream import from_thread, send_stream
from bare_serve.bare.body import Body, declared_length
from bare_serve.bare.calls import inline, make_call, run_socket
from bare_serve.bare.errors import ClientLeft
from bare_serve.bare.failures import answer_failure
from bare_serve.bare.functions import ASYNC
from bare_serve.bare.misses import missed
from bare_serve.bare.response import Response, StreamResponse, to_response
from bare_serve.bare.sources import FORM

if TYPE_CHECKING:
    from bare_serve.bare.interfaces import App
    from bare_serve.bare.router import Route

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Serve = Callable[[Scope, Receive, Send], Awaitable[None]]
_BODILESS_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def make_asgi(app: App) -> Serve:
    """Return the ASGI application of `app`, inside its middleware."""
    find = app.router.find

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            found = find(scope["method"], path_below(scope))
            if found is None:
                request = AsgiRequest(scope, app, {})
                await send_response(request, receive, send, await missed(app, request))
                return
            route, params = found
            call = route.asgi or compile_route(app, route)
            await call(scope, receive, send, params)
        elif scope["type"] == "websocket":
            await serve_socket(app, scope, receive, send)
        elif scope["type"] == "lifespan":
            from bare_serve.bare.lifespan import serve_lifespan

            await serve_lifespan(app, scope, receive, send)
        else:
            raise RuntimeError(f"ASGI scopes of type {scope['type']!r} are not served")

    return app.middleware.around(serve, "asgi")


def compile_route(app: App, route: Route) -> Callable[..., Awaitable[None]]:
    """Return what serves a route: chosen once, so that no request asks what its handler is."""
    plan = route.plan
    call = make_call(plan)
    limit, need = route.max_body, plan.body
    handler, waits = plan.handler, plan.kind == ASYNC

    async def on_loop(scope: Scope, receive: Receive, send: Send, params: dict[str, Any]) -> None:
        request = AsgiRequest(scope, app, params)
        try:
            if need:
                await read_body(request, receive, need, limit)
            response = await call(request)
        except ClientLeft:
            return
        except Exception as error:  # noqa: BLE001 - each one has an answer
            response = await failed(request, error)
        try:
            await send_response(request, receive, send, response)
        finally:
            if request.has_end:
                end(request)

    async def at_once(scope: Scope, receive: Receive, send: Send, params: dict[str, Any]) -> None:
        # Nothing of the request is needed but the parameters of its path: no request is made.
        try:
            answer = handler(**params)
            response = to_response(await answer if waits else answer)
        except Exception as error:  # noqa: BLE001 - each one has an answer
            response = await failed(AsgiRequest(scope, app, params), error)
        if scope["method"] == "GET" and response.is_whole:
            await response.send(send)
        else:
            await send_response(AsgiRequest(scope, app, params), receive, send, response)

    async def in_thread(scope: Scope, receive: Receive, send: Send, params: dict[str, Any]) -> None:
        request = AsgiRequest(scope, app, params)
        loop = get_running_loop()
        answer: Any
        try:
            if need:
                await read_body(request, receive, need, limit)
        except ClientLeft:
            return
        except Exception as error:  # noqa: BLE001 - each one has an answer
            answer = await failed(request, error)
        else:
            answer = app.threads.call(loop, whole, request, loop, receive, send)
        try:
            while answer is not None and not isinstance(answer, Response):
                # What the thread raises, it raises behind the start of its stream.
                answer = await answer  # the thread, and then perhaps an error handler
            if answer is not None:
                await send_response(request, receive, send, answer)
        finally:
            if request.has_end:
                end(request)

    def whole(request: AsgiRequest, loop: Any, receive: Receive, send: Send) -> Any:
        try:
            response = inline(call(request))
        except Exception as error:  # noqa: BLE001 - each one has an answer
            request.later = None
            return answer_failure(app, request, error)
        if isinstance(response, StreamResponse) and not hasattr(response.pieces, "__aiter__"):
            from_thread(loop, request, receive, send, response)
            return None
        return response

    async def failed(request: AsgiRequest, error: Exception) -> Response:
        request.later = None
        answer = answer_failure(app, request, error)
        return answer if isinstance(answer, Response) else await answer

    def end(request: AsgiRequest) -> None:
        if request.form is not None:
            request.form.close()
        if request.later is not None:
            app.background.start_on_loop(request.later)

    if not plan.runs_on_loop:
        route.asgi = in_thread
    else:
        route.asgi = at_once if plan.direct else on_loop
    return route.asgi


async def send_response(
    request: AsgiRequest, receive: Receive, send: Send, response: Response
) -> None:
    """Send a response; one without a body for HEAD and for the statuses that have none."""
    if isinstance(response, StreamResponse):
        await send_stream(request, receive, send, response)
        return
    if not response.is_whole:
        from bare_serve.middleware.stack import wrap

        # It is a policy that always answers, so what is behind it is not called.
        answer = wrap(NotImplementedError, response, interface="asgi")
        await answer(request.scope, receive, send)
        return
    await response.send(send, head_only=request.scope["method"] == "HEAD")


async def read_body(request: AsgiRequest, receive: Receive, need: int, limit: int) -> None:
    """Read what a call needs of the body.

    Raises:
        ClientLeft: the client has left.
        HTTPError: the body is too large, or no form where one is needed.
    """
    if need != FORM and request.method in _BODILESS_METHODS:
        # Mostly they have no body; then the wait for its end is saved.
        for name, _ in request.scope["headers"]:
            if name == b"content-length" or name == b"transfer-encoding":
                break
        else:
            return
    length = None
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            length = declared_length(value.decode("latin-1"))
    body = Body(request, need, limit, length)
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ClientLeft
        body.feed(event.get("body", b""))
        if not event.get("more_body", False):
            break
    body.finish()


async def serve_socket(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket by its route, or refuse it: 404 by the extension, else a plain refusal."""
    from bare_serve.bare.websocket import WebSocket, serve_websocket

    found = app.sockets.find("WEBSOCKET", path_below(scope))
    if found is None:
        await WebSocket(scope, receive, send, app).refuse(404)
        return
    route, params = found
    if route.asgi is not None:  # a mount
        await route.asgi(scope, receive, send, params)
        return

    async def call(socket: Any) -> None:
        await run_socket(route.plan, socket)

    await serve_websocket(scope, receive, send, app, params, route.origins, call)
