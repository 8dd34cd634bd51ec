"""A connection without a socket: bytes go in by `feed`, what was written comes out of `output`.

The loop is real, the transport is a fake that remembers. `settle` lets everything happen that can
happen without new input; time does not pass unless a test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bare_serve.asgi import Connection, HttpOptions, Service
from bare_serve.http import Limits, Timeouts
from bare_serve.http1 import ServerConnection, select_parser

Scope = dict[str, Any]

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def post(body: bytes, *, length: int | None = None, extra: bytes = b"") -> bytes:
    """A POST whose Content-Length may promise more than `body`."""
    count = len(body) if length is None else length
    head = b"POST / HTTP/1.1\r\nHost: test\r\n%sContent-Length: %d\r\n\r\n" % (extra, count)
    return head + body


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def hello(scope: Scope, receive: Any, send: Any) -> None:
    await send(start(200, (b"content-type", b"text/plain")))
    await send(body(scope["path"].encode()))


def get(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode()


def bodies(output: bytes) -> list[bytes]:
    """The bodies of answers with a Content-Length, in order."""
    found = []
    while output:
        head, _, rest = output.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(rest[:length])
        output = rest[length:]
    return found


async def until(fact: Callable[[], object]) -> None:
    """Wait until `fact()` is true."""
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.005)


class FakeTransport:
    """What Connection uses of an asyncio transport."""

    def __init__(self, **extra: Any) -> None:
        self.extra = {"sockname": ("127.0.0.1", 80), "peername": ("10.0.0.9", 4711), **extra}
        self.writes: list[bytes] = []
        self.reading = True
        self.closed = self.aborted = self.eof_written = False
        self.unsent = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.extra.get(name, default)

    def write(self, data: bytes) -> None:
        assert type(data) is bytes
        assert not self.closed, "written after close"
        self.writes.append(data)

    def writelines(self, pieces: tuple[bytes, ...]) -> None:
        self.write(b"".join(pieces))

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_written = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Wire:
    """One client connection to `app`."""

    def __init__(
        self,
        app: Any,
        *,
        parser: str = "auto",
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        extra_headers: bytes = b"",
        transport: FakeTransport | None = None,
        **options: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        timeouts = timeouts or Timeouts()
        make_parser = select_parser(parser).make

        def new_exchange() -> ServerConnection:
            bounds = limits or Limits()
            return ServerConnection(make_parser(), bounds, extra_headers, timeouts.persistent)

        http = HttpOptions(new_exchange, timeouts, **options)
        self.loop = loop
        self.service = Service(app, loop, http)
        self.transport = transport or FakeTransport()
        self.connection = Connection(self.service, None, self.transport.extra["peername"])
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    @property
    def output(self) -> bytes:
        return b"".join(self.transport.writes)

    async def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)
        await self.settle()

    async def eof(self) -> bool:
        keep = self.connection.eof_received()
        await self.settle()
        return keep

    async def lose(self) -> None:
        self.connection.connection_lost(None)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


class Recorder:
    """An app that takes one message at a time from the test and remembers what comes of it.

    `await recorder.send(...)` sends as the app would; `scopes` and the coroutines of the
    newest request are at hand.
    """

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.receive: Any = None
        self.send: Any = None
        self.done: list[asyncio.Event] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.receive, self.send = receive, send
        done = asyncio.Event()
        self.done.append(done)
        await done.wait()
