"""ASGI middleware as textbooks write it, rebuilt with its faults: each test is to find them."""

from __future__ import annotations

import gzip as gzip_module
import time
import uuid
from collections.abc import Callable
from typing import Any

App = Callable[..., Any]


class Timing:
    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                took = (time.monotonic() - begun) * 1000
                print(f"{scope['method']} {scope['path']} {status} {took:.1f}ms")

        await self.app(scope, receive, watched)


class RequestId:
    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id") or str(uuid.uuid4()).encode()
        scope["request_id"] = given.decode()

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                fields = [*message.get("headers", []), (b"x-request-id", given)]
                message = {**message, "headers": fields}
            await send(message)

        await self.app(scope, receive, marked)


class BearerAuth:
    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        value = dict(scope["headers"]).get(b"authorization", b"").decode()
        if not value.startswith("Bearer ") or value[7:] != "token":
            fields = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": fields})
            await send({"type": "http.response.body", "body": b"Unauthorized"})
            return
        await self.app(dict(scope, user="ann"), receive, send)


class Gzip:
    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        accepted = dict(scope.get("headers", [])).get(b"accept-encoding", b"")
        if scope["type"] != "http" or b"gzip" not in accepted:
            await self.app(scope, receive, send)
            return
        start: Any = None
        kept = b""

        async def collected(message: Any) -> None:
            nonlocal start, kept
            if message["type"] == "http.response.start":
                start = message
                return
            kept += message.get("body", b"")
            if message.get("more_body", False):
                return
            body = gzip_module.compress(kept)
            left = (b"content-length", b"content-encoding")
            fields = [pair for pair in start["headers"] if pair[0] not in left]
            fields += [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
            await send({**start, "headers": fields})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, collected)


class Database:
    """Does its own startup, and swallows that of the application."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await self.app(scope, receive, send)
