"""Six stacks of applications around applications, and how a server calls each of them.

The functions here stand for the user's code; `driver` stands for the server, so its code has no
file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bare_serve.xray.layers import Layers, Tree
from tests.testing import drivers, framework_apps

_source = Path(drivers.__file__).read_text("utf-8")
_names: dict[str, Any] = {"__name__": "driver"}
exec(compile(_source, "<driver>", "exec"), _names)
driver = SimpleNamespace(**_names)


def timed(app: Any) -> Any:
    def layer(environ: Any, start_response: Any) -> Any:
        return app(dict(environ), start_response)

    return layer


def hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return helper()


def helper() -> list[bytes]:
    return [b"hello"]


def bare() -> Any:
    return timed(timed(hello))


def flask() -> Any:
    from flask import Flask, Response
    from werkzeug.middleware.proxy_fix import ProxyFix

    app = Flask("site")

    def stream() -> Any:
        def pieces() -> Iterator[bytes]:
            yield b"1"
            yield b"2"

        return Response(pieces(), mimetype="text/plain")

    app.add_url_rule("/hello", "hello", lambda: "hello")
    app.add_url_rule("/stream", "stream", stream)
    wsgi_app = timed(app.wsgi_app)
    app.wsgi_app = ProxyFix(wsgi_app)  # type: ignore[method-assign]
    return app


def fastapi() -> Any:
    from fastapi import FastAPI
    from starlette.middleware.cors import CORSMiddleware

    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])

    @app.get("/hello")
    async def hello() -> Any:
        await asyncio.sleep(0)
        return {"a": 1}

    @app.get("/thread")
    def thread() -> Any:
        return {"a": 1}

    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request: Any) -> Any:
        return PlainTextResponse("hello")

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=dispatch)]
    return Starlette(routes=[Route("/hello", hello)], middleware=middleware)


STACKS: dict[str, Callable[[], Any]] = {
    "bare": bare,
    "flask": flask,
    "django wsgi": lambda: framework_apps.django("wsgi"),
    "django asgi": lambda: framework_apps.django("asgi"),
    "fastapi": fastapi,
    "starlette": starlette,
}
ASGI = {"django asgi", "fastapi", "starlette"}


def call(layers: Layers, app: Any, path: str = "/hello") -> tuple[Tree | None, float]:
    """Return the tree of a WSGI call, and the milliseconds that the caller has measured."""
    environ = driver.environ(PATH_INFO=path)
    layers.begin(environ)
    began = time.perf_counter()
    try:
        driver.call_wsgi(app, environ)
    finally:
        took = (time.perf_counter() - began) * 1e3
        tree = layers.end(environ)
    return tree, took


async def call_asgi(layers: Layers, app: Any, path: str = "/hello") -> tuple[Tree | None, float]:
    """Return the tree of an ASGI call, and the milliseconds that the caller has measured."""
    scope = driver.http_scope(path=path, raw_path=path.encode())
    layers.begin(scope)
    began = time.perf_counter()
    try:
        await driver.call_asgi(app, scope, stays=True)
    finally:
        took = (time.perf_counter() - began) * 1e3
        tree = layers.end(scope)
    return tree, took


def shape(tree: Tree | None, only: Collection[str] | None = None) -> list[str]:
    """Return a tree without its times and lines, a layer a line; or only layers of these names."""
    lines: list[str] = []

    def walk(each: Tree, depth: int) -> None:
        if only is None or each.name in only:
            lines.append(f"{'  ' * depth}{each.name}  {each.package.partition(':')[0]}")
            depth += 1
        for child in each.children:
            walk(child, depth)

    if tree is not None:
        walk(tree, 0)
    return lines
