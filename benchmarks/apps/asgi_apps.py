"""Bare ASGI callables, one a scenario, so that no routing is measured (but for the mixed one).

An application that needs what the server does not offer answers 501 and says what is missing.
Lifespan is answered, as frameworks do.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import payload

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
PLAIN = (b"content-type", b"text/plain")
BINARY = (b"content-type", b"application/octet-stream")
HELLO_HEADERS = [PLAIN, (b"content-length", str(len(payload.HELLO)).encode())]
EVENT_HEADERS = [(b"content-type", b"text/event-stream")]
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


async def pid(scope: Scope, receive: Receive, send: Send) -> None:
    """Which worker answers."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = str(os.getpid()).encode()
    await _answer(send, 200, [PLAIN, (b"content-length", str(len(body)).encode())], body)


class Crowd:
    """Everybody who listens to a stream. `tell` wakes them all."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.line = b""

    def tell(self, line: bytes) -> None:
        self.line = line
        self.news.set()
        self.news = asyncio.Event()


crowd: Crowd | None = None


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """/events is a stream of server-sent events; /tell?N sends event N to every open one."""
    global crowd
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    crowd = crowd or Crowd()
    if scope["path"] == "/tell":
        crowd.tell(b"data: %s\n\n" % scope["query_string"])
    if scope["path"] != "/events":
        await _answer(send, 200, HELLO_HEADERS, payload.HELLO)
        return
    await send({"type": "http.response.start", "status": 200, "headers": EVENT_HEADERS})
    await send({"type": "http.response.body", "body": b"data: open\n\n", "more_body": True})
    while True:
        await crowd.news.wait()
        await send({"type": "http.response.body", "body": crowd.line, "more_body": True})


members: dict[asyncio.Queue[bytes], bool] = {}  # a queue for each member; whether it never reads


async def room(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a chat room as examples/chat.py has it: a bounded queue and a task for each member.

    /tell?N says N to all, dropping it for whose queue is full; /fill sends much to those who joined
    under /deaf, until they are stuck.
    """
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] == "http":
        if scope["path"] == "/tell":
            _tell(scope["query_string"].ljust(payload.NEWS, b"."), deaf_only=False)
        elif scope["path"] == "/fill":
            _tell(payload.FILLING, deaf_only=True)
        await _answer(send, 200, HELLO_HEADERS, payload.HELLO)
        return
    await receive()
    await send({"type": "websocket.accept"})
    queue: asyncio.Queue[bytes] = asyncio.Queue(16)
    members[queue] = scope["path"] == "/deaf"
    writer = asyncio.create_task(_write(queue, send))
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        del members[queue]
        writer.cancel()


def _tell(message: bytes, *, deaf_only: bool) -> None:
    for queue, deaf in members.items():
        if (deaf or not deaf_only) and not queue.full():
            queue.put_nowait(message)


async def _write(queue: asyncio.Queue[bytes], send: Send) -> None:
    while True:
        await send({"type": "websocket.send", "bytes": await queue.get()})


async def besieged(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what hostile clients ask for: 3 ms of time, 10 MiB, or the end of a body."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["path"] == "/download":
        await send({"type": "http.response.start", "status": 200, "headers": DOWNLOAD_HEADERS})
        for _ in range(payload.MEGABYTES_10 // 65536):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        await send({"type": "http.response.body"})
        return
    if scope["path"] == "/sleep":
        time.sleep(payload.SLOWISH_SECONDS)
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    await _answer(send, 200, HELLO_HEADERS, payload.HELLO)
