"""A site in each framework: /hello /json /stream /file, and an echo at the WebSocket /ws."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__)
TEXT = "text/plain; charset=utf-8"


def ticks() -> Iterator[bytes]:
    yield b"tick 0\n"
    yield b"tick 1\n"


async def async_ticks() -> AsyncIterator[bytes]:
    for tick in ticks():
        yield tick


def flask() -> Any:
    from flask import Flask, Response, send_file

    app = Flask("site")
    app.add_url_rule("/hello", "hello", lambda: "hello")
    app.add_url_rule("/json", "json", lambda: {"a": 1})
    app.add_url_rule("/stream", "stream", lambda: Response(ticks(), mimetype="text/plain"))
    app.add_url_rule("/file", "file", lambda: send_file(FILE))
    return app


def django(interface: str) -> Any:
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF="tests.testing.framework_apps",
            SECRET_KEY="of a test",
            MIDDLEWARE=[
                "django.middleware.security.SecurityMiddleware",
                "django.middleware.common.CommonMiddleware",
                "django.middleware.clickjacking.XFrameOptionsMiddleware",
            ],
        )
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application() if interface == "wsgi" else get_asgi_application()


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.responses import (
        FileResponse,
        JSONResponse,
        PlainTextResponse,
        StreamingResponse,
    )
    from starlette.routing import Route, WebSocketRoute

    async def hello(request: Any) -> Any:
        return PlainTextResponse("hello")

    async def json(request: Any) -> Any:
        return JSONResponse({"a": 1})

    async def stream(request: Any) -> Any:
        return StreamingResponse(async_ticks(), media_type="text/plain")

    async def file(request: Any) -> Any:
        return FileResponse(FILE)

    async def ws(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    routes: list[Any] = [Route(f"/{each.__name__}", each) for each in (hello, json, stream, file)]
    middleware = [Middleware(CORSMiddleware, allow_origins=["*"]), Middleware(GZipMiddleware)]
    return Starlette(routes=[*routes, WebSocketRoute("/ws", ws)], middleware=middleware)


def fastapi() -> Any:
    from fastapi import FastAPI, WebSocket
    from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse

    app = FastAPI()

    @app.get("/hello")
    def hello() -> Any:
        return PlainTextResponse("hello")

    @app.get("/json")
    async def json() -> Any:
        return {"a": 1}

    @app.get("/stream")
    async def stream() -> Any:
        return StreamingResponse(async_ticks(), media_type="text/plain")

    @app.get("/file")
    async def file() -> Any:
        return FileResponse(FILE)

    async def ws(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    ws.__annotations__["websocket"] = WebSocket
    app.websocket("/ws")(ws)
    return app


def quart() -> Any:
    from quart import Quart, Response, send_file, websocket

    app = Quart("site")

    async def hello() -> Any:
        return "hello"

    async def json() -> Any:
        return {"a": 1}

    async def stream() -> Any:
        return Response(async_ticks(), mimetype="text/plain")

    async def file() -> Any:
        return await send_file(FILE)

    async def ws() -> None:
        await websocket.send(await websocket.receive())

    for each in (hello, json, stream, file):
        app.add_url_rule(f"/{each.__name__}", each.__name__, each)
    app.add_websocket("/ws", "ws", ws)
    return app


def litestar() -> Any:
    from litestar import Litestar, get, websocket
    from litestar.response import File, Stream

    async def hello() -> str:
        return "hello"

    async def json() -> dict[str, int]:
        return {"a": 1}

    async def stream() -> Stream:
        return Stream(async_ticks(), media_type="text/plain")

    async def file() -> File:
        return File(FILE)

    async def ws(socket: Any) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    kinds = {hello: str, json: dict[str, int], stream: Stream, file: File}
    for handler, kind in kinds.items():
        handler.__annotations__["return"] = kind
    ws.__annotations__["return"] = None
    handlers: list[Any] = [get(f"/{each.__name__}")(each) for each in kinds]
    return Litestar([*handlers, websocket("/ws")(ws)], logging_config=None)


def _django_urls() -> list[Any]:
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    def stream(request: Any) -> Any:
        pieces = async_ticks() if hasattr(request, "scope") else ticks()
        return StreamingHttpResponse(pieces, content_type="text/plain")

    def file(request: Any) -> Any:
        return FileResponse(FILE.open("rb"))

    return [
        path("hello", lambda request: HttpResponse("hello")),
        path("json", lambda request: JsonResponse({"a": 1})),
        path("stream", stream),
        path("file", file),
    ]


def __getattr__(name: str) -> Any:
    if name == "urlpatterns":
        return _django_urls()
    raise AttributeError(name)
