"""The ASGI skin: from scope, receive and send to a call, and from its response to events.

What lives here: which loop or thread a call runs on, reading bodies. What must not: what a call
does (calls.py), how a response is sent (response.py). An `async def` handler runs on the server's
loop; a `def` handler, with its providers and its stream, in one thread of the pool. Nothing is sent
before the call is over, so that its failure still has an answer.
"""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop, run_coroutine_threadsafe, sleep
from collections.abc import AsyncIterator
from typing import Any

from bare_serve.bare.calls import inline, make_call
from bare_serve.bare.errors import ClientLeft
from bare_serve.bare.failures import answer_failure, nowhere
from bare_serve.bare.incoming import path_below
from bare_serve.bare.plan import ASYNC
from bare_serve.bare.request import NONE, PATH, Request, read_body
from bare_serve.bare.response import Response
from bare_serve.bare.router import ANY, WEBSOCKET, Route
from bare_serve.bare.stream import StreamResponse, to_response

Scope = dict[str, Any]
_LENGTHS = (b"content-length", b"transfer-encoding")
_READS_ON = 30.0  # seconds for a client that sends no more


def make_asgi(app: Any) -> Any:
    """Return the ASGI application of `app`, inside its middleware."""
    find, missing = app.router.find, nowhere()

    async def serve(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            route, params = find(scope["method"], path_below(scope)) or missing
            await (route.asgi or compile_route(app, route))(scope, receive, send, params)
        elif scope["type"] == "websocket":
            await _serve_socket(app, scope, receive, send)
        elif scope["type"] == "lifespan":
            from bare_serve.bare.lifespan import serve_lifespan

            await serve_lifespan(app, scope, receive, send)
        else:
            raise RuntimeError(f"ASGI scopes of type {scope['type']!r} are not served")

    return app.around(serve, "asgi")


def compile_route(app: Any, route: Route) -> Any:
    """Return what serves a route: chosen once, so that no request asks what its handler is."""
    call, need, limit = make_call(route.plan), route.plan.body, route.max_body
    handler = route.plan.handler

    async def serve(scope: Scope, receive: Any, send: Any, params: dict[str, Any]) -> None:
        request = Request(scope, app, params)
        try:
            try:
                if need > NONE:
                    await _read(request, receive, need, limit)
                response = await (in_thread(request, receive, send) if in_pool else call(request))
            except ClientLeft:
                return
            except Exception as error:  # noqa: BLE001 - each one has an answer
                response = await answer_failure(app, request, error)
            except CancelledError:
                await _end_stream(request)
                raise
            if isinstance(response, Response):
                await response.asgi(scope, receive, send)
            elif response is not None:
                raise response
        finally:
            request.end()

    async def at_once(scope: Scope, receive: Any, send: Any, params: dict[str, Any]) -> None:
        # Nothing of the request is needed to call the handler: none is made.
        try:
            response = to_response(await handler(**params))
        except Exception as error:  # noqa: BLE001 - each one has an answer
            response = await answer_failure(app, Request(scope, app, params), error)
        await response.asgi(scope, receive, send)

    def in_thread(request: Request, receive: Any, send: Any) -> Any:
        loop = get_running_loop()

        async def sent(event: dict[str, Any]) -> None:
            await send(event)

        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            # It may have closed its own side only, and read on: then `send` raises when it leaves.
            # Other servers drop what they are sent, and the stream would have no end.
            await sleep(_READS_ON)

        async def tell(event: dict[str, Any]) -> None:
            if request.waits[0].done():
                raise ClientLeft
            # Blocks for the server, so that a slow client slows the stream, and nothing piles up.
            request.waits[1:] = [sending := run_coroutine_threadsafe(sent(event), loop)]
            sending.result()

        def on_loop(coroutine: Any) -> Any:
            return run_coroutine_threadsafe(coroutine, loop).result()

        def whole() -> Any:
            try:
                response = inline(call(request))
            except Exception as error:  # noqa: BLE001 - each one has an answer
                return inline(answer_failure(app, request, error, on_loop))
            if not isinstance(response, StreamResponse) or response.is_async:
                return response
            request.waits = [listening := run_coroutine_threadsafe(left(), loop)]
            try:
                return inline(response.asgi(request.raw, receive, tell))
            except BaseException as error:  # noqa: BLE001 - raised on the loop, and not answered
                return error
            finally:
                listening.cancel()
                request.waits = []

        return app.runner.call(loop, whole)

    # What answers where no route is never blocks.
    in_pool = route.plan.kind < ASYNC and route.method != ANY
    route.asgi = at_once if need == PATH and route.plan.kind == ASYNC else serve
    return route.asgi


async def _end_stream(request: Request) -> None:
    """End a stream in a thread, at its next piece, and wait for that, but for a second at most."""
    for _ in range(100):
        if not request.waits:
            break
        for each in request.waits:
            each.cancel()
        await sleep(0.01)


async def _read(request: Request, receive: Any, need: int, limit: int) -> None:
    fields = {name: value for name, value in request.raw["headers"] if name in _LENGTHS}

    async def pieces() -> AsyncIterator[bytes]:
        more = True
        while more:
            event = await receive()
            if event["type"] != "http.request":
                raise ClientLeft
            more = event.get("more_body", False)
            yield event.get("body", b"")

    declared = fields.get(b"content-length", b"").decode("latin-1") if fields else None
    await read_body(request, need, limit, declared, pieces())


async def _serve_socket(app: Any, scope: Scope, receive: Any, send: Any) -> None:
    """Serve a WebSocket by its route, or refuse it: 404 by the extension, else a plain refusal."""
    from bare_serve.bare.websocket import WebSocket, serve_websocket

    route, params = app.router.find(WEBSOCKET, path_below(scope)) or (None, {})
    ws = WebSocket(scope, receive, send, app, params)
    if route is None:
        await ws.refuse(404)
    elif route.asgi is not None:  # a mount
        await route.asgi(scope, receive, send, params)
    else:
        await serve_websocket(ws, route.origins, make_call(route.plan))
