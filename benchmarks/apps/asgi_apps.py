"""Bare ASGI callables, one a scenario, so that no routing is measured (but for the mixed one).

An application that needs what the server does not offer answers 501 and says what is missing.
Lifespan is answered, as frameworks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import payload

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
PLAIN = (b"content-type", b"text/plain")
BINARY = (b"content-type", b"application/octet-stream")
HELLO_HEADERS = [PLAIN, (b"content-length", str(len(payload.HELLO)).encode())]
DOWNLOAD_HEADERS = [BINARY, (b"content-length", str(payload.MEGABYTES_10).encode())]


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HELLO_HEADERS})
    await send({"type": "http.response.body", "body": payload.HELLO})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(pieces)
    await _answer(send, 200, [BINARY, (b"content-length", str(len(body)).encode())], body)


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    received = 0
    while True:
        message = await receive()
        received += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = str(received).encode()
    await _answer(send, 200, [PLAIN, (b"content-length", str(len(body)).encode())], body)


async def download(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": DOWNLOAD_HEADERS})
    for _ in range(payload.MEGABYTES_10 // len(payload.BLOCK)):
        await send({"type": "http.response.body", "body": payload.BLOCK, "more_body": True})
    await send({"type": "http.response.body"})


async def sendfile(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if "http.response.pathsend" not in (scope.get("extensions") or {}):
        body = b"no http.response.pathsend"
        await _answer(send, 501, [PLAIN, (b"content-length", str(len(body)).encode())], body)
        return
    await send({"type": "http.response.start", "status": 200, "headers": DOWNLOAD_HEADERS})
    await send({"type": "http.response.pathsend", "path": payload.DOWNLOAD_FILE})


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [PLAIN]})
    for _ in range(payload.CHUNKS):
        await send({"type": "http.response.body", "body": payload.CHUNK, "more_body": True})
    await send({"type": "http.response.body"})


async def mixed(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/sleep":
        await asyncio.sleep(payload.SLOW_SECONDS)
    elif path == "/compute":
        payload.compute()
    await _answer(send, 200, HELLO_HEADERS, payload.HELLO)


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _answer(send, 200, HELLO_HEADERS, payload.HELLO)
        return
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})
