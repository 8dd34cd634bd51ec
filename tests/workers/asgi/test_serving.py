"""ASGI over real sockets, on both loops with both parsers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import select
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from bare_serve.asgi.connection import Connection
from bare_serve.http import Timeouts
from tests.support import RawClient, eventually
from tests.workers.asgi.threads import (
    GET,
    Scope,
    Serve,
    body,
    echo,
    serve_on,
    serve_with,
    start,
)

__all__ = ["serve_on", "serve_with"]


def test_many_requests_on_one_connection(serve_with: Serve) -> None:
    with serve_with(echo) as worker, worker.client() as client:
        for number in range(200):
            data = b"x" * number
            answer = client.request("POST", f"/{number}", body=data)
            assert (answer.status, answer.body) == (200, data)
        assert worker.slot.facts["interface"] == "ASGI 3"
        assert worker.slot.facts["lifespan"] == "unsupported"


def test_pipelining(serve_with: Serve) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"].endswith("3"):
            await asyncio.sleep(0.01)
        await send(start())
        await send(body(scope["path"].encode()))

    with serve_with(app) as worker, worker.client() as client:
        paths = [b"/%d" % number for number in range(100)]
        client.send(b"".join(b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % path for path in paths))
        assert [client.response().body for _ in paths] == paths


def test_streaming_both_ways_at_once(serve_with: Serve) -> None:
    """Each piece is answered before the next one is sent: nothing waits for the whole."""
    with serve_with(echo) as worker, worker.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"5\r\nfirst\r\n")
        assert client.read_until(b"first\r\n").endswith(b"\r\n\r\n5\r\nfirst\r\n")
        client.send(b"6\r\nsecond\r\n")
        assert client.read_until(b"second\r\n") == b"6\r\nsecond\r\n"
        client.send(b"0\r\n\r\n")
        assert client.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"
        assert client.request("POST", body=b"next").body == b"next"


def test_a_large_body_both_ways(serve_with: Serve) -> None:
    data = bytes(range(256)) * 40_000
    with serve_with(echo) as worker, worker.client() as client:
        head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(data)
        sender = threading.Thread(target=client.send, args=(head, data))
        sender.start()
        answer = client.response()
        sender.join()
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()


def test_unix_socket(serve_on: Serve, tmp_path: Path) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append((scope.get("server"), scope.get("client")))
        await echo(scope, receive, send)

    path = tmp_path / "socket"
    with serve_on(app, unix=path), RawClient(str(path)) as client:
        assert client.request("POST", body=b"hi").body == b"hi"
    assert seen[-1] == ((str(path), None), None)


def test_no_delay(serve_on: Serve) -> None:
    """Small pieces leave at once on either loop, though the worker accepts by itself."""
    seen: list[int] = []
    real = Connection.connection_made

    def look(self: Any, transport: Any) -> None:
        sock = transport.get_extra_info("socket")
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        real(self, transport)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "connection_made", look)
        with serve_on(echo) as worker, worker.client() as client:
            client.request()
    assert seen == [1]


def test_headers_option(serve_on: Serve) -> None:
    headers = (("Server", "bare"), ("X-Two", "2"))
    with serve_on(echo, headers=headers) as worker, worker.client() as client:
        answer = client.request()
        assert (answer.header("server"), answer.header("x-two")) == ("bare", "2")


def test_a_slow_reader_stops_the_application(
    serve_on: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece, count = b"x" * 65536, 500
    sent = [0]
    paused = threading.Event()
    monkeypatch.setattr(
        Connection,
        "pause_writing",
        lambda self, real=Connection.pause_writing: (paused.set(), real(self)),
    )

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        for _ in range(count):
            await send(body(piece, True))
            sent[0] += 1
        await send(body())

    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        assert paused.wait(10)
        assert sent[0] < count
        assert client.response().body == piece * count


def fill(client: RawClient, piece: bytes, total: int) -> int:
    """Sends until the server takes no more; how much it took."""
    sent = 0
    client.socket.settimeout(0.3)
    try:
        while sent < total:
            sent += client.socket.send(piece)
    except TimeoutError:
        pass
    return sent


def test_a_slow_application_stops_the_client(serve_on: Serve) -> None:
    go = threading.Event()
    taken = [0]

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        while not go.is_set():
            await asyncio.sleep(0.005)
        more = True
        while more:
            message = await receive()
            taken[0] += len(message["body"])
            more = message["more_body"]
        await send(start())
        await send(body(b"%d" % taken[0]))

    total = 64 << 20
    with serve_on(app) as worker, worker.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % total)
        piece = b"x" * 65536
        sent = fill(client, piece, total)
        assert sent < total // 2
        go.set()
        client.socket.settimeout(20)
        while sent < total:
            sent += client.socket.send(piece[: total - sent])
        assert client.response().body == b"%d" % total


def test_the_application_learns_that_the_client_left(serve_on: Serve) -> None:
    told = threading.Event()
    begun = threading.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await receive()
        begun.set()
        if (await receive())["type"] == "http.disconnect":
            told.set()

    with serve_on(app) as worker:
        with worker.client() as client:
            client.send(GET)
            assert begun.wait(10)
        assert told.wait(10)


def test_sending_to_a_client_that_left_raises(serve_on: Serve) -> None:
    raised: list[BaseException] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        try:
            while True:
                await send(body(b"x" * 1000, True))
                await asyncio.sleep(0.001)
        except OSError as error:
            raised.append(error)
            raise

    with serve_on(app) as worker:
        with worker.client() as client:
            client.send(GET)
            client.read_until(b"xxx")
        eventually(lambda: raised)


def test_half_closed_clients_get_their_answers(serve_with: Serve) -> None:
    with serve_with(echo) as worker, worker.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi", GET)
        client.send_eof()
        assert client.response().body == b"hi"
        assert client.response().body == b""
        assert client.is_closed()


def test_an_answer_survives_an_upload_it_refuses(serve_on: Serve) -> None:
    """RFC 9112, 9.6: closing with unread data in the kernel would reset the connection."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start(status=413))
        await send(body(b"no thanks"))

    with serve_on(app) as worker, worker.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n")
        client.send(b"x" * 500_000)
        answer = client.response()
        assert (answer.status, answer.body) == (413, b"no thanks")
        assert answer.header("connection") == "close"
        assert client.is_closed()


def test_deadlines_are_looked_at_by_the_tick(serve_on: Serve) -> None:
    times = Timeouts(headers=0.5, keep_alive=0.5)
    with serve_on(echo, timeouts=times) as worker, contextlib.ExitStack() as stack:
        slow, idle, silent = (stack.enter_context(worker.client()) for _ in range(3))
        slow.send(b"GET / HTTP/1.1\r\n")
        assert idle.request().status == 200
        assert slow.response().status == 408
        assert idle.is_closed()
        assert silent.is_closed()


def test_a_request_has_its_time(serve_on: Serve) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/":
            await asyncio.Event().wait()
        await echo(scope, receive, send)

    with serve_on(app, timeout_request=0.1) as worker, worker.client() as client:
        assert client.request("GET", "/").status == 504
        assert client.request("GET", "/quick").status == 200


def test_requests_in_progress_are_limited(serve_on: Serve) -> None:
    """One is served, one waits for its turn, one is refused; who is idle does not count."""
    inside: list[asyncio.AbstractEventLoop] = []
    free = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/hold":
            inside.append(asyncio.get_running_loop())
            await free.wait()
        await send(start())
        await send(body())

    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(serve_on(app, limit_concurrency=1))
        idle, holding, *others = (stack.enter_context(worker.client()) for _ in range(4))
        assert idle.request("GET", "/").status == 200
        holding.send(b"GET /hold HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: inside)
        for client in others:
            client.send(GET)
        ready, _, _ = select.select([client.socket for client in others], [], [], 10)
        answer = next(client for client in others if client.socket in ready).response()
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        inside[0].call_soon_threadsafe(free.set)
        assert holding.response().status == 200
