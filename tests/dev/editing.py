"""An application that is edited while it is served, and clients that see what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import RawClient, eventually
from tests.support.processes import Server

WSGI = """
VERSION = {version!r}
def app(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return stream()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [VERSION.encode()]

def stream():
    import time
    while True:
        yield b"data: tick\\n\\n"
        time.sleep(0.05)
"""
ASGI = """
import asyncio
VERSION = {version!r}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({{"type": "websocket.accept"}})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        stream = scope["path"] == "/stream"
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        while stream:
            event = {{"type": "http.response.body", "body": b"data: tick\\n\\n"}}
            await send({{**event, "more_body": True}})
            await asyncio.sleep(0.05)
        await send({{"type": "http.response.body", "body": VERSION.encode()}})

async def lifespan(receive, send):
    while True:
        event = (await receive())["type"]
        await send({{"type": event + ".complete"}})
        if event == "lifespan.shutdown":
            return
"""
SOURCES = {"wsgi": WSGI, "asgi": ASGI}
BROKEN = {
    "syntax": "def (\n",
    "import": "import no_such_module_anywhere\n",
    "raise": "raise RuntimeError('while it was imported')\n",
    "lifespan": "async def lifespan(receive, send):\n    await receive()\n    raise KeyError\n",
    "exit": "import sys\nsys.exit('leaving')\n",
}
HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Project:
    """The application's file."""

    def __init__(self, directory: Path, kind: str) -> None:
        self.path = directory / "app.py"
        self.kind = kind
        self.version = "none"

    def write(self, version: str, wrong: str = "") -> None:
        """Write this version, with something wrong at the end if that is asked."""
        text = SOURCES[self.kind].format(version=version)
        self.path.write_text(text + BROKEN.get(wrong, ""), encoding="utf-8")
        self.version = version


def body(server: Server, path: str = "/") -> str:
    """What the server answers."""
    with RawClient(server.address) as client:
        return client.request(target=path).body.decode()


def serves(server: Server, version: str) -> None:
    """Wait until new connections get this version."""
    eventually(lambda: body(server) == version, f"version {version}", timeout=60)


class Clients:
    """What has gone wrong for clients that come all the time."""

    def __init__(self) -> None:
        self.refused = 0
        self.answers = 0
        self.failed: list[str] = []


@contextmanager
def clients(server: Server) -> Iterator[Clients]:
    """Connect and ask again and again meanwhile."""
    found = Clients()
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.02):
            try:
                body(server)
                found.answers += 1
            except ConnectionRefusedError:
                found.refused += 1
            except Exception as error:
                found.failed.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


@contextmanager
def streaming(server: Server, kind: str) -> Iterator[None]:
    """Have an event stream open, and with ASGI a WebSocket; they are never read to their end."""
    with RawClient(server.address) as stream, RawClient(server.address) as socket:
        stream.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        stream.socket.recv(1)
        if kind == "asgi":
            socket.send(HANDSHAKE.encode())
            socket.socket.recv(1)
        yield
