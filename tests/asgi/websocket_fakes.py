"""A WebSocket without a socket: frames go in by `feed`, what was written comes out of `sent`.

As in fakes.py the loop is real and the transport a fake; here it can change its protocol.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.asgi.fakes import FakeTransport, Wire
from tests.websocket.harness import CLOSE, close, frames_of

UPGRADE = (
    b"GET /chat?room=1 HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

ACCEPT = {"type": "websocket.accept"}


def upgrade(*lines: bytes) -> bytes:
    return UPGRADE + b"".join(lines) + b"\r\n"


class SwitchingTransport(FakeTransport):
    """A transport that can be given another protocol."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(**extra)
        self.protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class SocketWire(Wire):
    """One client connection to `app`, which becomes a WebSocket."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, transport=SwitchingTransport(), **options)

    @property
    def protocol(self) -> Any:
        return self.transport.protocol or self.connection  # type: ignore[attr-defined]

    async def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.protocol.data_received(piece)
        await self.settle()

    async def eof(self) -> bool:
        keep = self.protocol.eof_received()
        await self.settle()
        return bool(keep)

    async def lose(self) -> None:
        self.protocol.connection_lost(None)
        await self.settle()

    @property
    def head(self) -> bytes:
        """The HTTP answer."""
        return self.output.partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.output.split(b" ")[1])

    @property
    def sent(self) -> list[tuple[int, bytes]]:
        """The frames written so far."""
        return frames_of(self.output.partition(b"\r\n\r\n")[2])

    @property
    def close_code(self) -> int:
        ((_, payload),) = [frame for frame in self.sent if frame[0] == CLOSE]
        return int.from_bytes(payload[:2], "big")


class Scripted:
    """An application that takes one step at a time from the test."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.receive: Any = None
        self.send: Any = None
        self.over = asyncio.Event()
        self.result: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        await self.over.wait()
        if self.result is not None:
            raise self.result


async def opened(app: Scripted, *lines: bytes, **options: Any) -> SocketWire:
    """A wire on which the application has accepted."""
    wire = SocketWire(app, **options)
    await wire.feed(upgrade(*lines))
    assert await app.receive() == {"type": "websocket.connect"}
    await app.send(ACCEPT)
    assert wire.status == 101
    return wire


async def ended(wire: SocketWire, app: Scripted) -> None:
    """The client closes and leaves, the application returns, and nothing is left of either."""
    if not wire.transport.closed:
        await wire.feed(close(1000))
    await wire.lose()
    app.over.set()
    await wire.settle()
    assert not wire.service.connections
    assert not wire.service.running
