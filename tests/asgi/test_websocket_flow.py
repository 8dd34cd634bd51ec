"""Flow control both ways, pings and deadlines of a WebSocket, without a socket or a clock."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.asgi.websocket_protocol import CLOSE_SECONDS
from bare_serve.errors import ClientGone
from bare_serve.http import Timeouts
from bare_serve.logs.access_log import AccessLog
from bare_serve.websocket import HIGH_WATER, WebSocketOptions
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Wire
from tests.asgi.websocket_fakes import DEFLATE, Scripted, SocketWire, ended, opened, upgrade
from tests.websocket.harness import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    RSV1,
    TEXT,
    close,
    deflated,
    frame,
)


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": data}


# ---------------------------------------------------------------------- what the client sends


def test_an_application_that_takes_nothing_stops_the_reading(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        piece = frame(BINARY, bytes(10_000))
        count = 0
        while wire.transport.reading:
            await wire.feed(piece)
            count += 1
        assert count == HIGH_WATER // len(piece) + 1
        for _ in range(count - 1):
            await app.receive()
            assert not wire.transport.reading
        await app.receive()
        assert wire.transport.reading
        await ended(wire, app)

    run(scene())


def test_one_large_message_is_read_to_its_end(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        data = frame(BINARY, bytes(1 << 20))
        for start in range(0, len(data), 60_000):
            assert wire.transport.reading
            await wire.feed(data[start : start + 60_000])
        assert (await app.receive())["bytes"] == bytes(1 << 20)
        await ended(wire, app)

    run(scene())


def test_messages_that_inflate_are_made_as_they_are_taken(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, DEFLATE)
        waiting = wire.loop.create_task(app.receive())
        data = frame(BINARY | RSV1, deflated(bytes(200_000)))
        # A second one could not refer to the first one's window: each is a stream of its own.
        await wire.feed(data + data + frame(PING, b"behind") + close(1000))
        assert (await waiting)["bytes"] == bytes(200_000)
        assert wire.sent == []
        assert (await app.receive())["bytes"] == bytes(200_000)
        assert (await app.receive())["code"] == 1000
        assert [first for first, _ in wire.sent] == [PONG, CLOSE]
        await ended(wire, app)

    run(scene())


@pytest.mark.parametrize("fault", [False, True])
def test_what_was_held_is_delivered_although_the_client_is_gone(run: Run, fault: bool) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, DEFLATE)
        data = frame(BINARY | RSV1, deflated(bytes(200_000)))
        await wire.feed(data + data + (frame(0x83) if fault else b""))
        await wire.lose()
        with pytest.raises(ClientGone):
            await app.send({"type": "websocket.send", "text": "to nobody"})
        for _ in range(2):
            assert (await app.receive())["bytes"] == bytes(200_000)
        assert (await app.receive())["code"] == (1002 if fault else 1006)
        app.over.set()
        await wire.settle()
        assert not wire.service.connections

    run(scene())


def test_a_close_of_ours_goes_through_what_is_held(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, DEFLATE)
        data = frame(BINARY | RSV1, deflated(bytes(200_000)))
        await wire.feed(data + data + close(1000))
        assert not wire.transport.reading
        await app.send({"type": "websocket.close"})
        await wire.settle()
        assert wire.transport.closed, "the client's close frame was behind it"
        await ended(wire, app)

    run(scene())


def test_reading_goes_on_for_the_clients_close_frame(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await wire.feed(frame(BINARY, bytes(100_000)))
        assert not wire.transport.reading
        await app.send({"type": "websocket.close"})
        assert wire.transport.reading
        for _ in range(5):
            await wire.feed(frame(BINARY, bytes(100_000)))
        assert wire.transport.reading
        await wire.feed(close(1000))
        assert wire.transport.closed
        await ended(wire, app)

    run(scene())


# ---------------------------------------------------------------------- what the client is sent


def test_send_waits_while_the_client_takes_nothing(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        wire.protocol.pause_writing()
        tasks = [wire.loop.create_task(app.send(text(str(i)))) for i in range(3)]
        await wire.settle()
        assert wire.sent == []
        tasks[1].cancel()
        wire.protocol.resume_writing()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert wire.sent == [(TEXT, b"0"), (TEXT, b"2")]
        await ended(wire, app)

    run(scene())


@pytest.mark.parametrize("how", ["close", "lose", "drain"])
def test_a_send_that_waits_is_told_of_the_end(run: Run, how: str) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        wire.protocol.pause_writing()
        task = wire.loop.create_task(app.send(text("x")))
        await wire.settle()
        if how == "close":
            await wire.feed(close(1000))
        elif how == "lose":
            await wire.lose()
        else:
            wire.protocol.drain()
        with pytest.raises(ClientGone):
            await task
        app.over.set()
        await wire.lose()

    run(scene())


def test_large_messages_are_written_whole(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await app.send(text("x" * 200_000))
        assert wire.sent == [(TEXT, b"x" * 200_000)]
        await ended(wire, app)

    run(scene())


def test_pings_that_are_not_read_do_not_pile_up(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        wire.protocol.pause_writing()
        for i in range(100):
            await wire.feed(frame(PING, b"%d" % i))
        assert wire.sent == []
        wire.protocol.resume_writing()
        assert wire.sent == [(PONG, b"99")]
        await ended(wire, app)

    run(scene())


# ---------------------------------------------------------------------- pings and deadlines

PINGS = WebSocketOptions(ping_interval=20, ping_timeout=5)


def pings(wire: SocketWire) -> list[bytes]:
    return [payload for first, payload in wire.sent if first == PING]


def test_pings_and_their_latency(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, websocket=PINGS)
        now = wire.loop.time()
        wire.protocol.check(now + 19)
        assert pings(wire) == []
        wire.protocol.check(now + 21)
        (first,) = pings(wire)
        wire.protocol.check(now + 25)
        await wire.feed(frame(PONG, first))
        assert "pong after" in caplog.text
        wire.protocol.check(now + 19)
        wire.protocol.check(now + 41)
        assert len(pings(wire)) == 2
        await ended(wire, app)

    with caplog.at_level(logging.DEBUG, "bare_serve.websocket"):
        run(scene())


def test_no_pong_closes(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, websocket=PINGS)
        waiting = wire.loop.create_task(app.receive())
        now = wire.loop.time()
        wire.protocol.check(now + 21)
        await wire.feed(frame(PONG, b"other"), frame(TEXT, b"I talk, but do not answer"))
        await waiting
        wire.protocol.check(now + 27)
        assert wire.close_code == 1011
        assert (await app.receive())["code"] == 1011
        wire.protocol.check(now + 28)
        assert wire.transport.aborted
        await ended(wire, app)

    run(scene())


def test_pings_may_be_off_or_without_a_timeout(run: Run) -> None:
    async def scene() -> None:
        for options, count in (
            (WebSocketOptions(ping_interval=0), 0),
            (WebSocketOptions(ping_timeout=0), 1),
        ):
            app = Scripted()
            wire = await opened(app, websocket=options)
            for seconds in range(0, 5000, 50):
                wire.protocol.check(wire.loop.time() + seconds)
            assert len(pings(wire)) == count
            await ended(wire, app)

    run(scene())


def test_who_takes_the_rest_slowly_has_the_time_for_its_close_anew(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await app.send({"type": "websocket.send", "bytes": bytes(1000)})
        clock = SimpleNamespace(now=wire.loop.time(), time=lambda: clock.now)
        loop, wire.service.loop = wire.service.loop, clock  # type: ignore[assignment]
        await app.send({"type": "websocket.close"})
        for unsent in (500, 400, 300):
            wire.transport.unsent = unsent
            clock.now += CLOSE_SECONDS - 0.5
            wire.protocol.check(clock.now)
            assert not wire.transport.aborted
        clock.now += CLOSE_SECONDS - 0.5
        wire.protocol.check(clock.now)
        assert not wire.transport.aborted
        clock.now += 0.5
        wire.protocol.check(clock.now)
        assert wire.transport.aborted
        wire.service.loop = loop
        await ended(wire, app)

    run(scene())


def test_the_limit_on_the_time_of_a_request_is_none_on_websockets(run: Run) -> None:
    """Nor on their handshake, which may wait for the application."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await scripted(scope, receive, send)
        else:
            await asyncio.Event().wait()

    scripted = Scripted()

    async def scene() -> None:
        wire = SocketWire(app, request_seconds=0.05)
        await wire.feed(upgrade())
        await scripted.receive()
        late = Wire(app)
        late.connection.service = wire.service
        await late.feed(GET)
        while not late.output:
            await asyncio.sleep(0.01)
        assert late.output.startswith(b"HTTP/1.1 504 ")
        assert len(wire.service.running) == 1
        await scripted.send({"type": "websocket.accept"})
        await scripted.send({"type": "websocket.send", "text": "still here"})
        assert wire.sent == [(0x80 | TEXT, b"still here")]
        await ended(wire, scripted)

    run(scene())


def test_the_descriptor_of_a_websocket(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        assert wire.protocol.fileno() == -1
        with socket.socket() as sock:
            wire.transport.extra["socket"] = sock
            assert wire.protocol.fileno() == sock.fileno()
        assert wire.protocol.fileno() == -1, "closed"
        del wire.transport.extra["socket"]
        await ended(wire, app)

    run(scene())


def test_who_is_not_read_from_is_not_late(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, websocket=PINGS)
        now = wire.loop.time()
        wire.protocol.check(now + 21)
        await wire.feed(frame(BINARY, bytes(100_000)))
        assert not wire.transport.reading
        wire.protocol.check(now + 40)
        await app.receive()
        wire.protocol.check(now + 41)
        assert not any(first == CLOSE for first, _ in wire.sent)
        wire.protocol.check(now + 61)
        assert wire.close_code == 1011
        await ended(wire, app)

    run(scene())


@pytest.mark.parametrize(("step", "closed"), [(10_000, False), (10, True)])
def test_a_long_frame_that_makes_progress_is_waited_for(run: Run, step: int, closed: bool) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, websocket=PINGS)
        now = wire.loop.time()
        data = frame(BINARY, bytes(100_000))
        await wire.feed(data[:100])
        for i in range(5):
            wire.protocol.check(now + 21 + 6 * i)
            if wire.transport.closed or any(first == CLOSE for first, _ in wire.sent):
                break
            await wire.feed(data[100 + i * step :][:step])
        assert any(first == CLOSE for first, _ in wire.sent) is closed
        await ended(wire, app)

    run(scene())


def test_a_client_that_takes_nothing_is_given_up(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, timeouts=Timeouts(write=30))
        now = wire.loop.time()
        await app.send(text("x" * 1000))
        wire.transport.unsent = 900
        wire.protocol.check(now + 1)
        wire.transport.unsent = 800
        wire.protocol.check(now + 30)
        wire.protocol.check(now + 59)
        assert not wire.transport.aborted
        wire.protocol.check(now + 61)
        assert wire.transport.aborted
        wire.transport.unsent = 0
        assert (await app.receive())["code"] == 1006
        await wire.lose()
        app.over.set()
        await wire.settle()

    run(scene())


def test_a_client_that_does_not_close_is_given_up(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await app.send({"type": "websocket.close"})
        now = wire.loop.time()
        wire.protocol.check(now + 4)
        assert not wire.transport.aborted
        wire.protocol.check(now + 6)
        assert wire.transport.aborted
        await wire.lose()
        app.over.set()
        await wire.settle()

    run(scene())


def test_the_cut_at_the_end_of_the_grace_period(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        wire.protocol.drain()
        wire.protocol.wind_down(fresh=True)
        assert not wire.transport.aborted
        wire.protocol.cut()
        assert wire.transport.aborted
        await wire.lose()
        app.over.set()
        await wire.settle()

    run(scene())


# ---------------------------------------------------------------------- the access log


def test_the_line_in_the_access_log(run: Run) -> None:
    read, write = os.pipe()

    async def scene() -> None:
        log = AccessLog(write)
        app = Scripted()
        wire = await opened(app, on_answered=log.record)
        received = [frame(TEXT, b"hello"), frame(BINARY, bytes(200))]
        await wire.feed(*received)
        await app.send(text("hi"))
        await wire.feed(close(1001))
        await wire.lose()
        app.over.set()
        await wire.settle()
        log.flush()
        line = os.read(read, 4096).decode()
        assert "10.0.0.9 WEBSOCKET /chat?room=1 HTTP/1.1 1001 4 " in line
        assert line.endswith(f"ms in=2/{sum(map(len, received))} out=1/4\n")
        assert line.count("\n") == 1

    try:
        run(scene())
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("status", [403, 426])
def test_a_refusal_is_logged(run: Run, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """As the request it was, if the application refuses; as a malformed one, if it is none."""
    caplog.set_level("INFO", "bare_serve")
    read, write = os.pipe()

    async def scene() -> None:
        log = AccessLog(write)
        app = Scripted()
        wire = SocketWire(app, on_answered=log.record)
        if status == 403:
            await wire.feed(upgrade())
            await app.send({"type": "websocket.close"})
            log.flush()
            assert f"GET /chat?room=1 HTTP/1.1 {status}" in os.read(read, 4096).decode()
        else:
            await wire.feed(upgrade().replace(b": 13", b": 8"))
            assert wire.status == 426
            assert "refused: 426" in caplog.text
        await wire.lose()
        app.over.set()
        await wire.settle()

    try:
        run(scene())
    finally:
        os.close(read)
        os.close(write)
