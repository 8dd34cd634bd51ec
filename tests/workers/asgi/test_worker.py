"""The life of an ASGI worker: from boot to drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from typing import Any

import pytest

from bare_serve.asgi import Connection, Service
from bare_serve.errors import AppLoadError
from bare_serve.workers.asgi import acceptor
from bare_serve.workers.options import ServeOptions
from tests.support import eventually
from tests.workers.asgi.threads import (
    GET,
    Scope,
    Serve,
    Worker,
    body,
    echo,
    lifespan_app,
    serve_on,
    serve_with,
    start,
)

__all__ = ["serve_on", "serve_with"]


async def hello(scope: Scope, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send(start())
    await send(body(b"hello"))


def test_lifespan_state_reaches_requests_and_shutdown_is_sent(serve_on: Serve) -> None:
    events: list[str] = []
    with serve_on(lifespan_app(events)) as worker:
        with worker.client() as client:
            assert client.request().body == b"from lifespan"
        assert worker.slot.facts["lifespan"] == "on"
        assert events == ["lifespan.startup"]
    assert events == ["lifespan.startup", "lifespan.shutdown"]


def test_a_failed_startup_ends_the_boot(serve_on: Serve) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(AppLoadError, match="no database"), serve_on(app) as worker:
        assert worker.slot.facts == {}


def test_told_to_stop_during_a_startup_that_hangs(serve_on: Serve) -> None:
    entered = threading.Event()
    cancelled: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    listener = socket.create_server(("127.0.0.1", 0))
    worker = Worker(app, listener, ServeOptions())
    assert entered.wait(10)
    worker.stop()
    worker.join()
    listener.close()
    assert worker.error is None
    assert cancelled == [True]
    assert not worker.slot.is_ready.is_set()


def test_a_drain_answers_what_has_begun(serve_on: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/slow":
            begun.set()
            while not go.is_set():
                await asyncio.sleep(0.005)
        await send(start())
        await send(body(b"done"))

    with serve_on(app) as worker, worker.client() as idle, worker.client() as busy:
        assert idle.request().body == b"done"
        busy.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n", GET)
        assert begun.wait(10)
        worker.stop()
        assert idle.is_closed()
        assert worker.thread.is_alive()
        go.set()
        answer = busy.response()
        assert (answer.body, answer.header("connection")) == (b"done", "close")
        assert busy.is_closed(), "the request behind it is left to another worker"
        busy.close()
        worker.join()


def test_a_drain_waits_for_connections_that_are_only_just_accepted(
    serve_on: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others may have gone by then: the worker is not quiet for that."""
    adopting, stopped, gone, go, drained = (threading.Event() for _ in range(5))
    go_on, stop, count_out = acceptor._Adoption.go_on, acceptor.Acceptor.stop, Service.gone
    drain = Connection.drain

    def slowly(adoption: acceptor._Adoption, _waited_for: object = None) -> None:
        if go.is_set():
            go_on(adoption)
        else:
            adopting.set()
            asyncio.get_running_loop().call_soon(slowly, adoption)

    def stopping(acceptor: acceptor.Acceptor) -> None:
        stop(acceptor)
        stopped.set()

    def counted_out(service: Service, connection: Any) -> None:
        count_out(service, connection)
        gone.set()

    def drained_soon(connection: Connection) -> None:
        drain(connection)
        rounds_later(20)

    def rounds_later(rounds: int) -> None:
        if rounds:
            asyncio.get_running_loop().call_soon(rounds_later, rounds - 1)
        else:
            drained.set()

    with serve_on(hello) as worker, worker.client() as first:
        assert first.request().status == 200
        monkeypatch.setattr(acceptor._Adoption, "go_on", slowly)
        monkeypatch.setattr(acceptor.Acceptor, "stop", stopping)
        monkeypatch.setattr(Service, "gone", counted_out)
        monkeypatch.setattr(Connection, "drain", drained_soon)
        with worker.client() as second:
            assert adopting.wait(10)
            worker.stop()
            assert stopped.wait(10)
            first.close()
            assert gone.wait(10)
            go.set()
            assert drained.wait(10)
            answer = second.request()
            assert (answer.status, answer.header("connection")) == (200, "close")
        worker.join()


def test_a_drain_ends_streams(serve_on: Serve) -> None:
    """An event stream that listens ends at once, long before the grace period."""
    ended: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start((b"content-type", b"text/event-stream")))
        await send(body(b"data: 1\n\n", True))
        await receive()
        ended.append((await receive())["type"])
        await send(body(b"data: bye\n\n"))

    with serve_on(app, graceful_shutdown=3600) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"data: 1\n\n")
        worker.stop()
        client.read_until(b"data: bye\n\n\r\n0\r\n\r\n")
        worker.join()
    assert ended == ["http.disconnect"]


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize("request_", [GET, UPGRADE], ids=["long poll", "handshake"])
def test_a_drain_tells_who_only_listens(serve_on: Serve, request_: bytes) -> None:
    """Long before the grace period, and the client hears why."""
    listening = threading.Event()
    told: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] in ("http", "websocket")
        await receive()
        listening.set()
        told.append((await receive())["type"])

    with serve_on(app, graceful_shutdown=3600) as worker, worker.client() as client:
        client.send(request_)
        assert listening.wait(10)
        worker.stop()
        answer = client.response()
        assert (answer.status, answer.header("connection")) == (503, "close")
        worker.join()
    assert told in (["http.disconnect"], ["websocket.disconnect"])


def test_a_drain_cancels_whom_nobody_hears(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients that left before it, and one that leaves while it goes on."""
    ended: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/stream":
            await send(start())
            await send(body(b"first", True))
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["path"])

    caplog.set_level(logging.INFO)
    with serve_on(app, graceful_shutdown=3600) as worker:
        for path in ("/stream", "/silent"):
            with worker.client() as client:
                client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
                if path == "/stream":
                    client.read_until(b"first")
        with worker.client() as last:
            last.send(b"GET /last HTTP/1.1\r\nHost: test\r\n\r\n")
            eventually(lambda: worker.slot.beats[-1][1] == 3)
            worker.stop()
            eventually(lambda: len(ended) == 2)
            assert worker.thread.is_alive()
        worker.join()
    assert sorted(ended) == ["/last", "/silent", "/stream"]
    assert caplog.text.count("whose clients have left") >= 2
    assert "because the server is stopping" not in caplog.text


def test_the_grace_period_ends_everything(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Deaf streams are cancelled, requests without an answer get a 503, shutdown is still sent."""
    events: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan_app(events)(scope, receive, send)
            return
        if scope["path"] == "/stream":
            await send(start())
            await send(body(b"first", True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled " + scope["path"])
            raise

    with serve_on(app, graceful_shutdown=0.3) as worker, contextlib.ExitStack() as stack:
        stream, silent = (stack.enter_context(worker.client()) for _ in range(2))
        stream.send(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
        stream.read_until(b"first\r\n")
        silent.send(GET)
        eventually(lambda: worker.slot.beats[-1][1] == 2)
        worker.stop()
        answer = silent.response()
        assert (answer.status, answer.header("connection")) == (503, "close")
        assert stream.read_to_eof() == b"", "broken off: no last chunk"
        worker.join()
    assert sorted(events[1:3]) == ["cancelled /", "cancelled /stream"]
    assert events[3] == "lifespan.shutdown"
    assert "Cancelling 2 running requests" in caplog.text


def test_an_application_that_refuses_to_be_cancelled_does_not_keep_the_worker(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send(body(b"first", True))
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    caplog.set_level(logging.CRITICAL, "asyncio")
    with serve_on(app, graceful_shutdown=0.1) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"first\r\n")
        worker.stop()
        worker.join()


def test_the_lifespan_is_shut_down_within_the_grace_period(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a second after it the master kills; even a request that will not be cancelled leaves
    time for the shutdown event."""
    times: list[float] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            times.append(time.monotonic())
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send(start())
        await send(body(b"first", True))
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    caplog.set_level(logging.CRITICAL, "asyncio")
    with serve_on(app, graceful_shutdown=1.0) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"first\r\n")
        begun = time.monotonic()
        worker.stop()
        worker.join()
    assert times[0] - begun < 5, "half a second, if the machine has nothing else to do"


def test_hurry_cuts_the_grace_short(serve_on: Serve) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start((b"content-length", b"10")))
        await send(body(b"first", True))
        await asyncio.Event().wait()

    with serve_on(app, graceful_shutdown=3600) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"first")
        worker.stop()
        worker.stop(hurry=True)
        worker.join()


def test_work_after_the_answer_is_waited_for(serve_on: Serve) -> None:
    go, finished = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send(body(b"ok"))
        while not go.is_set():
            await asyncio.sleep(0.005)
        finished.set()

    with serve_on(app) as worker:
        with worker.client() as client:
            assert client.request().body == b"ok"
        worker.stop()
        go.set()
        worker.join()
        assert finished.is_set()


def test_beats_tell_the_counts(serve_on: Serve) -> None:
    with serve_on(echo) as worker, worker.client() as client:
        client.request()
        eventually(lambda: (1, 1) in worker.slot.beats)
