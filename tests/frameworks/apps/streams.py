"""Streams that never end, by each framework's own class; STREAMS_BY names the framework.

    /idle    a first piece, then nothing
    /ticks   a small piece every half second
    /short   200 small pieces in four seconds, and the end
    /flood   64 KiB at a time, as fast as they are taken
    /work    an ordinary answer, three seconds after it was asked for
    /file    a file of 256 MiB, where the framework has a class for it

Around all of them stands an application that answers /facts: how many calls run, which generators
have cleaned up, how many pieces of the flood were asked for.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

FACTS: dict[str, Any] = {"running": 0, "pieces": 0, "cleaned": []}
FIRST = b"data: first\n\n"
PIECE = b"x" * 65536


async def idle() -> AsyncIterator[bytes]:
    try:
        yield FIRST
        await asyncio.sleep(3600)
    finally:
        FACTS["cleaned"].append("idle")


async def ticks() -> AsyncIterator[bytes]:
    try:
        while True:
            yield FIRST
            await asyncio.sleep(0.5)
    finally:
        FACTS["cleaned"].append("ticks")


async def short() -> AsyncIterator[bytes]:
    for number in range(200):
        yield b"data: %d\n\n" % number
        await asyncio.sleep(0.02)
    yield b"data: last\n\n"


async def flood() -> AsyncIterator[bytes]:
    try:
        while True:
            yield PIECE
            FACTS["pieces"] += 1
    finally:
        FACTS["cleaned"].append("flood")


def ticks_in_a_thread() -> Iterator[bytes]:
    try:
        while True:
            yield FIRST
            time.sleep(0.5)
    finally:
        FACTS["cleaned"].append("idle")


def flood_in_a_thread() -> Iterator[bytes]:
    try:
        while True:
            yield PIECE
            FACTS["pieces"] += 1
    finally:
        FACTS["cleaned"].append("flood")


async def work() -> str:
    await asyncio.sleep(3)
    return "worked"


def few_in_a_thread() -> Iterator[bytes]:
    """Django takes all of a generator that is not asynchronous before it sends the first piece."""
    try:
        for _ in range(10):
            FACTS["pieces"] += 1
            time.sleep(0.1)
            yield FIRST
    finally:
        FACTS["cleaned"].append("few")


STREAMS = {"idle": idle, "ticks": ticks, "flood": flood, "short": short}


def large_file() -> str:
    """Sparse: it takes no room."""
    handle, path = tempfile.mkstemp(prefix="bare-serve-test-")
    os.ftruncate(handle, 1 << 28)
    os.close(handle)
    return path


def starlette_routes(streams: Any = None) -> list[Any]:
    from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    def route(name: str, stream: Any) -> Route:
        async def endpoint(request: Any) -> Any:
            return StreamingResponse(stream(), media_type="text/event-stream")

        return Route(f"/{name}", endpoint)

    async def file(request: Any) -> Any:
        return FileResponse(LARGE)

    async def works(request: Any) -> Any:
        text = await work()
        return PlainTextResponse("gone" if await request.is_disconnected() else text)

    routes = [route(name, stream) for name, stream in (streams or STREAMS).items()]
    return [*routes, Route("/file", file), Route("/work", works)]


def starlette() -> Any:
    from starlette.applications import Starlette

    return Starlette(routes=starlette_routes())


def starlette_threads() -> Any:
    from starlette.applications import Starlette

    streams = {"idle": ticks_in_a_thread, "ticks": ticks_in_a_thread, "flood": flood_in_a_thread}
    return Starlette(routes=starlette_routes(streams))


def starlette_middleware() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    twice = [Middleware(Passing), Middleware(Passing)]
    return Starlette(routes=starlette_routes(), middleware=twice)


def starlette_mounted() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/", app=starlette())])


def fastapi() -> Any:
    from fastapi import Depends, FastAPI
    from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse

    app = FastAPI()

    async def dependency() -> AsyncIterator[int]:
        yield 1

    def add(name: str, stream: Any) -> None:
        @app.get(f"/{name}")
        async def endpoint(value: int = Depends(dependency)) -> Any:
            return StreamingResponse(stream(), media_type="text/event-stream")

    for name, stream in STREAMS.items():
        add(name, stream)

    @app.get("/file")
    async def file() -> Any:
        return FileResponse(LARGE)

    @app.get("/work", response_class=PlainTextResponse)
    async def works() -> Any:
        return await work()

    return app


def sse_starlette() -> Any:
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def works(request: Any) -> Any:
        return PlainTextResponse(await work())

    def route(name: str, stream: Any) -> Route:
        async def events() -> AsyncIterator[dict[str, str]]:
            pieces = stream()
            try:
                async for piece in pieces:
                    yield {"data": "first" if piece == FIRST else piece.decode()}
            finally:
                await pieces.aclose()

        async def endpoint(request: Any) -> Any:
            return EventSourceResponse(events(), sep="\n", ping=60)

        return Route(f"/{name}", endpoint)

    routes = [route(name, stream) for name, stream in STREAMS.items()]
    return Starlette(routes=[*routes, Route("/work", works)])


def django() -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    def view(stream: Any) -> Any:
        async def endpoint(request: Any) -> Any:
            return StreamingHttpResponse(stream(), content_type="text/event-stream")

        return endpoint

    async def works(request: Any) -> Any:
        return HttpResponse(await work())

    def computed(request: Any) -> Any:
        return StreamingHttpResponse(few_in_a_thread())

    global urlpatterns
    urlpatterns = [path(name, view(stream)) for name, stream in STREAMS.items()]
    urlpatterns += [path("work", works), path("few", computed)]
    settings.configure(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", LOGGING_CONFIG=None
    )
    return get_asgi_application()


def quart() -> Any:
    from quart import Quart, Response

    app = Quart(__name__)
    app.config["RESPONSE_TIMEOUT"] = None

    def add(name: str, stream: Any) -> None:
        async def endpoint() -> Any:
            response = Response(stream(), content_type="text/event-stream")
            response.timeout = None
            return response

        app.add_url_rule(f"/{name}", name, endpoint)

    for name, stream in STREAMS.items():
        add(name, stream)
    app.add_url_rule("/work", "work", work)
    return app


def litestar() -> Any:
    from litestar import Litestar, get
    from litestar.response import Stream

    def handler(name: str, stream: Any) -> Any:
        @get(f"/{name}", name=name)
        async def endpoint() -> Stream:
            return Stream(stream(), media_type="text/event-stream")

        return endpoint

    handlers = [handler(name, stream) for name, stream in STREAMS.items()]
    handlers.append(get("/work")(work))
    return Litestar(handlers, signature_types=[Stream])


def raw_listening() -> Any:
    """It listens for the end, in a task beside its stream."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        streaming = asyncio.ensure_future(raw_stream(scope, send))
        while (await receive())["type"] != "http.disconnect":
            pass
        streaming.cancel()
        await asyncio.wait([streaming])

    return app


def raw_deaf() -> Any:
    """It listens to nothing and nobody; only a failing `send` ends it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await raw_stream(scope, send)

    return app


async def raw_stream(scope: Any, send: Any) -> None:
    if scope["path"] == "/work":
        text = await work()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    pieces = STREAMS[scope["path"][1:]]()
    try:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await pieces.aclose()


def observed(inner: Any) -> Any:
    """`inner`, and the facts about it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP")
        if scope["path"] == "/facts":
            gc.collect()  # nobody else closes a generator that is not asynchronous
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(FACTS).encode()})
            return
        FACTS["running"] += 1
        try:
            await inner(scope, receive, send)
        finally:
            FACTS["running"] -= 1

    return app


LARGE = large_file()
app = observed(globals()[os.environ["STREAMS_BY"]]())
atexit.register(os.unlink, LARGE)
