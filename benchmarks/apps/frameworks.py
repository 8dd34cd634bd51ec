"""One application, written with each framework: a greeting, JSON, a path parameter, `def` handlers.

What lives here: applications that answer the same. What must not: measuring. A framework that is
not installed has no attribute here, and is left out.
"""

from __future__ import annotations

import json
from typing import Any

from bare_serve.bare import Bare

ITEM = {"id": 7, "name": "a thing", "tags": ["a", "b"], "price": 9.5}


def raw_wsgi(environ: Any, start_response: Any) -> Any:
    path = environ["PATH_INFO"]
    kind, body = "text/plain; charset=utf-8", b"Hello, world!"
    if path != "/" and path != "/def":
        kind, body = "application/json", json.dumps(ITEM).encode()
    start_response("200 OK", [("content-type", kind), ("content-length", str(len(body)))])
    return [body]


async def raw_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    path = scope["path"]
    kind, body = b"text/plain; charset=utf-8", b"Hello, world!"
    if path != "/" and path != "/def":
        kind, body = b"application/json", json.dumps(ITEM).encode()
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


plain = Bare()


@plain.get("/")
def plain_hello() -> str:
    return "Hello, world!"


@plain.get("/json")
def plain_json() -> Any:
    return ITEM


@plain.get("/items/{n:int}")
def plain_item(n: int) -> Any:
    return {**ITEM, "id": n}


bare = Bare()


@bare.get("/")
async def hello() -> str:
    return "Hello, world!"


@bare.get("/def")
def hello_def() -> str:
    return "Hello, world!"


@bare.get("/json")
async def as_json() -> Any:
    return ITEM


@bare.get("/items/{n:int}")
async def item(n: int) -> Any:
    return {**ITEM, "id": n}


bare_wsgi = plain.wsgi

try:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def _hello(request: Any) -> Any:
        return PlainTextResponse("Hello, world!")

    def _hello_def(request: Any) -> Any:
        return PlainTextResponse("Hello, world!")

    async def _json(request: Any) -> Any:
        return JSONResponse(ITEM)

    async def _item(request: Any) -> Any:
        return JSONResponse({**ITEM, "id": request.path_params["n"]})

    starlette = Starlette(
        routes=[
            Route("/", _hello),
            Route("/def", _hello_def),
            Route("/json", _json),
            Route("/items/{n:int}", _item),
        ]
    )
except ImportError:
    pass

try:
    from flask import Flask

    flask = Flask(__name__)
    flask.get("/")(lambda: "Hello, world!")
    flask.get("/json", endpoint="json")(lambda: ITEM)
    flask.get("/items/<int:n>", endpoint="item")(lambda n: {**ITEM, "id": n})
except ImportError:
    pass

try:
    import falcon
    import falcon.asgi

    class _Hello:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type = falcon.MEDIA_TEXT
            response.text = "Hello, world!"

    class _Json:
        def on_get(self, request: Any, response: Any, n: int = 7) -> None:
            response.media = {**ITEM, "id": n}

    class _AsyncHello:
        async def on_get(self, request: Any, response: Any) -> None:
            response.content_type = falcon.MEDIA_TEXT
            response.text = "Hello, world!"

    class _AsyncJson:
        async def on_get(self, request: Any, response: Any, n: int = 7) -> None:
            response.media = {**ITEM, "id": n}

    falcon_wsgi = falcon.App()
    falcon_asgi = falcon.asgi.App()
    for _app, _first, _second in (
        (falcon_wsgi, _Hello, _Json),
        (falcon_asgi, _AsyncHello, _AsyncJson),
    ):
        _app.add_route("/", _first())
        _app.add_route("/json", _second())
        _app.add_route("/items/{n:int}", _second())
except ImportError:
    pass
