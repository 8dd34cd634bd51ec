"""Exchanges of ASGI on streams of one connection: nothing in them depends on HTTP/1.1.

The exchanges, their service and their loop are the real ones. What is not HTTP/1.1 is in
`tests.support.multiplexed`: each stream has a window of a few bytes, and all share one transport.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.asgi import HttpOptions, Service, streaming
from bare_serve.asgi.exchange import Exchange
from bare_serve.asgi.wakeup import Wakeup
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.http import Output, Timeouts
from bare_serve.http1 import ServerConnection
from tests.asgi.conftest import Run
from tests.asgi.fakes import FakeTransport, Scope, body, get, post, start
from tests.support.multiplexed import Frame, Stream, data, frames, head_of, kinds

CONTENT = bytes(range(256)) * 800  # 200 KB: more than is read at a time


@pytest.fixture(autouse=True)
def no_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece meets the window of its stream by itself; see test_streaming.py for bursts."""
    monkeypatch.setattr(streaming, "BURST_SECONDS", 0.0)


def no_connection() -> ServerConnection:
    raise AssertionError("nobody speaks HTTP/1.1 here")


class StreamClient:
    """A stream, as its exchange sees its client."""

    def __init__(self, wire: MultiplexedWire, core: Stream) -> None:
        self.core = core
        self.service = wire.service
        self.transport: Any = wire.transport
        self.client = "10.0.0.9"
        self.drained = Wakeup(wire.loop)
        self.lost = False
        self.exchange: Exchange | None = None
        self.answers = 0
        self.body: list[bytes] = []

    @property
    def write_paused(self) -> bool:
        return self.core.blocked

    def write(self, output: Output) -> None:
        assert isinstance(output, bytes)
        self.transport.write(output)

    async def send_file(self, file: int, start: int, count: int, *, last: bool) -> None:
        raise AssertionError("raw bytes between frames")

    def pull(self) -> None:
        exchange, pieces = self.exchange, self.body
        assert exchange is not None
        self.body = []
        for piece in pieces:
            exchange.feed(piece)
        exchange.feed_end()

    def adjust_reading(self) -> None:
        """Nothing is held back here."""

    def answered(self) -> None:
        self.answers += 1

    def break_off(self) -> None:
        assert self.core.break_off()
        self.transport.write(self.core.reset())


class MultiplexedWire:
    """One client with many streams to one application."""

    def __init__(self, app: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.service = Service(app, self.loop, HttpOptions(no_connection, Timeouts()))
        self.transport = FakeTransport()
        self.clients: dict[int, StreamClient] = {}

    async def ask(self, number: int, raw: bytes, window: int = 14) -> StreamClient:
        head = head_of(raw)
        client = self.clients[number] = StreamClient(self, Stream(number, head, window))
        if sent := raw.partition(b"\r\n\r\n")[2]:
            client.body.append(sent)
        scope = {"type": "http", "path": head.target.decode()}
        client.exchange = Exchange(client, head, scope)
        client.exchange.start()
        await self.settle()
        return client

    async def enlarge(self, number: int, count: int) -> None:
        """The client of a stream takes `count` bytes more."""
        client = self.clients[number]
        if output := client.core.enlarge(count):
            client.write(output)
        if not client.write_paused:
            client.drained.wake()
        await self.settle()

    async def lose(self, number: int) -> None:
        """The client wants nothing more of a stream."""
        client = self.clients[number]
        assert client.exchange is not None
        client.core.reset()
        client.lost = True
        client.exchange.tell_disconnect(gone=True)
        client.drained.wake()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def frames(self) -> list[Frame]:
        return frames(b"".join(self.transport.writes))

    def end(self) -> None:
        """All is over, and the connection is as good as before."""
        assert all(client.core.over for client in self.clients.values())
        assert not self.service.running
        assert not self.transport.closed


class Pieces:
    """Sends pieces of a body and remembers how far it came, by path."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.sent: dict[str, int] = {}
        self.failed: dict[str, BaseException] = {}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.sent[path] = 0
        try:
            await send(start())
            for piece in self.pieces:
                await send(body(piece, more=True))
                self.sent[path] += 1
            await send(body())
        except BaseException as error:
            self.failed[path] = error
            raise


def test_two_streams_interleave_and_each_waits_for_its_own_window(run: Run) -> None:
    async def scene() -> None:
        app = Pieces(b"0123456789", b"abcdefghij", b"XYZ")
        wire = MultiplexedWire(app)
        first = await wire.ask(1, get("/1"))
        second = await wire.ask(3, get("/3"))
        assert kinds(wire.frames) == "H1 D1 D1 H3 D3 D3"
        assert data(wire.frames, 1) == data(wire.frames, 3) == b"0123456789abcd"
        assert app.sent == {"/1": 1, "/3": 1}, "both wait within send()"
        await wire.enlarge(3, 4)
        assert app.sent == {"/1": 1, "/3": 1}, "the window takes only a part"
        await wire.enlarge(3, 5)
        assert app.sent == {"/1": 1, "/3": 3}, "only this one goes on"
        assert second.core.over
        assert not first.core.over
        await wire.enlarge(1, 7)
        assert app.sent == {"/1": 2, "/3": 3}, "a byte is missing"
        await wire.enlarge(1, 100)
        assert app.sent == {"/1": 3, "/3": 3}
        assert kinds(wire.frames) == "H1 D1 D1 H3 D3 D3 D3 D3 D3 E3 D1 D1 D1 E1"
        assert data(wire.frames, 1) == data(wire.frames, 3) == b"0123456789abcdefghijXYZ"
        assert (first.answers, second.answers) == (1, 1)
        wire.end()

    run(scene())


def test_an_answer_is_complete_for_its_application_before_its_client_has_it(run: Run) -> None:
    """As with a transport that holds the end: nobody waits for a last piece."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"x" * 20))

    async def scene() -> None:
        wire = MultiplexedWire(app)
        client = await wire.ask(1, get("/"))
        assert client.answers == 1
        assert not wire.service.running
        assert kinds(wire.frames) == "H1 D1"
        await wire.enlarge(1, 6)
        assert kinds(wire.frames) == "H1 D1 D1 E1"
        wire.end()

    run(scene())


def test_a_client_that_leaves_one_stream_does_not_disturb_the_other(run: Run) -> None:
    async def scene() -> None:
        app = Pieces(b"0123456789", b"abcdefghij", b"XYZ")
        wire = MultiplexedWire(app)
        await wire.ask(1, get("/1"))
        await wire.ask(3, get("/3"))
        await wire.lose(1)
        assert isinstance(app.failed["/1"], ClientGone)
        assert app.sent == {"/1": 1, "/3": 1}
        await wire.enlarge(3, 100)
        assert data(wire.frames, 3) == b"0123456789abcdefghijXYZ"
        assert data(wire.frames, 1) == b"0123456789abcd"
        assert app.failed.keys() == {"/1"}
        wire.end()

    run(scene())


@pytest.mark.parametrize("begun", [True, False])
def test_an_application_that_fails_ends_its_own_stream(
    run: Run, begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "bare_serve")
    good = Pieces(b"0123456789", b"abcdefghij")

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] != "/bad":
            await good(scope, receive, send)
            return
        await send(start())
        if begun:
            await send(body(b"part", more=True))
        raise ValueError("on purpose")

    async def scene() -> None:
        wire = MultiplexedWire(app)
        await wire.ask(1, get("/good"))
        bad = await wire.ask(3, get("/bad"), 100)
        assert kinds(wire.frames, 3) == ("H D R" if begun else "H D E")
        assert bad.core.status == (200 if begun else 500)
        await wire.enlarge(1, 6)
        assert data(wire.frames, 1) == b"0123456789abcdefghij"
        wire.end()

    run(scene())


def test_bodies_of_requests_come_to_their_streams(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        message = await receive()
        await send(start())
        await send(body(message["body"]))

    async def scene() -> None:
        wire = MultiplexedWire(app)
        await wire.ask(1, post(b"one"))
        await wire.ask(3, post(b"three"))
        assert [data(wire.frames, number) for number in (1, 3)] == [b"one", b"three"]
        wire.end()

    run(scene())


def test_early_hints_and_trailers(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]})
        await send({**start(), "trailers": True})
        await send(body(b"0123456789abcdef"))
        trailers = [(b"x-check", b"1")]
        await send({"type": "http.response.trailers", "headers": trailers})

    async def scene() -> None:
        wire = MultiplexedWire(app)
        await wire.ask(1, get("/", "TE: trailers"))
        assert kinds(wire.frames) == "I1 H1 D1", "trailers come behind all data"
        await wire.enlarge(1, 100)
        assert wire.frames == [
            ("I", 1, b"103\nlink: </a>; rel=preload\n"),
            ("H", 1, b"200\n"),
            ("D", 1, b"0123456789abcd"),
            ("D", 1, b"ef"),
            ("T", 1, b"x-check: 1\n"),
            ("E", 1, b""),
        ]
        wire.end()

    run(scene())


# ------------------------------------------------------------------------------------- files


@pytest.fixture
def file() -> Iterator[Any]:
    with tempfile.NamedTemporaryFile(buffering=0) as made:
        made.write(CONTENT)
        yield made


def pathsend(file: Any) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": file.name}


def zerocopy(file: Any, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": file, **more}


def sending(*messages: dict[str, Any]) -> Any:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


@pytest.fixture
def no_sendfile(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> int:
        raise AssertionError("raw bytes between frames")

    monkeypatch.setattr(os, "sendfile", never)


@pytest.mark.usefixtures("no_sendfile")
def test_files_arrive_in_frames_among_those_of_another_stream(run: Run, file: Any) -> None:
    other = Pieces(b"0123456789", b"abcdefghij")
    path = sending(start(), pathsend(file))

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await (path if scope["path"] == "/file" else other)(scope, receive, send)

    async def scene() -> None:
        wire = MultiplexedWire(app)
        await wire.ask(1, get("/file"), 1000)
        await wire.ask(3, get("/other"))
        assert kinds(wire.frames) == "H1 D1 H3 D3 D3"
        assert data(wire.frames, 1) == CONTENT[:1000], "it waits for its window"
        await wire.enlarge(1, 100_000)
        await wire.enlarge(3, 6)
        assert kinds(wire.frames, 3) == "H D D D E"
        await wire.enlarge(1, 1_000_000)
        assert data(wire.frames, 1) == CONTENT
        assert kinds(wire.frames, 1).split()[-1] == "E"
        assert data(wire.frames, 3) == b"0123456789abcdefghij"
        wire.end()

    run(scene())


@pytest.mark.usefixtures("no_sendfile")
def test_pieces_of_a_file_between_pieces_of_body_and_before_trailers(run: Run, file: Any) -> None:
    async def scene() -> None:
        trailers = {"type": "http.response.trailers", "headers": [(b"x-check", b"1")]}
        app = sending(
            {**start(), "trailers": True},
            body(b"<", more=True),
            zerocopy(file, offset=7, count=150_000, more_body=True),
            zerocopy(file, offset=0, count=3, more_body=True),
            zerocopy(file, offset=100, count=100_000),
            trailers,
        )
        wire = MultiplexedWire(app)
        client = await wire.ask(1, get("/", "TE: trailers"), 1 << 20)
        wanted = b"<" + CONTENT[7:150_007] + CONTENT[:3] + CONTENT[100:100_100]
        assert data(wire.frames, 1) == wanted
        assert client.core.bytes_sent == len(wanted)
        assert kinds(wire.frames, 1).endswith("D T E")
        wire.end()

    run(scene())


@pytest.mark.usefixtures("no_sendfile")
@pytest.mark.parametrize(
    ("raw", "headers", "sent"),
    [
        (get("/"), [(b"content-length", b"%d" % len(CONTENT))], len(CONTENT)),
        (get("/"), [(b"content-length", b"70000")], 70_000),
        (get("/").replace(b"GET", b"HEAD"), [], 0),
    ],
)
def test_no_more_of_a_file_is_read_than_is_sent(
    run: Run, file: Any, raw: bytes, headers: Any, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    pread = os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        nonlocal read
        found = pread(fd, count, offset)
        read += len(found)
        return found

    monkeypatch.setattr(os, "pread", counted)

    async def scene() -> None:
        wire = MultiplexedWire(sending(start(200, *headers), pathsend(file)))
        await wire.ask(1, raw, 1 << 20)
        assert data(wire.frames, 1) == CONTENT[:sent]
        assert sent <= read <= sent + (1 << 16)
        wire.end()

    run(scene())


@pytest.mark.usefixtures("no_sendfile")
@pytest.mark.parametrize("leaves", [True, False])
def test_a_file_whose_client_leaves_or_that_becomes_shorter(
    run: Run, file: Any, leaves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "bare_serve")
    failed: list[BaseException] = []
    inner = sending(start(), pathsend(file))

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        try:
            await inner(scope, receive, send)
        except BaseException as error:
            failed.append(error)
            raise

    async def scene() -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        wire = MultiplexedWire(app)
        await wire.ask(1, get("/"), 1000)
        assert not failed
        if leaves:
            await wire.lose(1)
        else:
            file.truncate(100)
            await wire.enlarge(1, 1 << 20)
        (error,) = failed
        assert isinstance(error, ClientGone if leaves else ResponseError)
        assert kinds(wire.frames, 1).split()[-1] == "R"
        assert "E" not in kinds(wire.frames, 1)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        wire.end()

    run(scene())
