"""Clients that leave, at every point at which they may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bare_serve.errors import ClientGone
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Scope, Wire, bodies, body, get, hello, post, start
from tests.support.answers import KeptAnswers


def test_disconnect_while_the_application_is_busy(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.receive()
        waiting = wire.loop.create_task(app.receive())
        await wire.settle()
        await wire.lose()
        assert await waiting == {"type": "http.disconnect"}
        assert wire.service.connections == set()
        assert len(wire.service.running) == 1
        app.done[0].set()
        await wire.settle()
        assert not wire.service.running

    run(scene())


def test_a_client_that_closed_only_its_sending_side_gets_its_answer(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        assert await wire.eof() is True
        assert (await app.receive())["type"] == "http.request"
        assert (await app.receive())["type"] == "http.disconnect"
        await app.send(start())
        await app.send(body(b"still"))
        app.done[0].set()
        await wire.settle()
        assert bodies(wire.output) == [b"still"]
        assert wire.transport.closed

    run(scene())


def test_pipelined_requests_before_the_end_are_all_answered(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        wire.connection.data_received(get("/1") + get("/2"))
        await wire.eof()
        assert bodies(wire.output) == [b"/1", b"/2"]
        assert wire.transport.closed

    run(scene())


def test_a_body_cut_by_the_end_is_a_disconnect(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(post(b"abc", length=10))
        await wire.eof()
        assert await app.receive() == {"type": "http.request", "body": b"abc", "more_body": True}
        assert await app.receive() == {"type": "http.disconnect"}
        with pytest.raises(ClientGone):
            await app.send(start())
        app.done[0].set()
        await wire.settle()
        assert wire.transport.closed
        assert wire.output == b""

    run(scene())


def test_who_listens_and_waits_for_the_client_makes_one_more_piece(run: Run) -> None:
    """A framework cancels what makes the answer: that is to meet the generator, and not the send
    that waits, behind which the generator's `finally` would wait for the garbage collector."""
    ends: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0)
        finally:
            ends.append("finally")

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()

        async def stream() -> None:
            await send(start())
            async for piece in made:
                await send(body(piece, more=True))

        made = pieces()
        task = asyncio.create_task(stream())
        while (await receive())["type"] != "http.disconnect":
            pass
        task.cancel()
        await asyncio.wait([task])
        ends.append("end")

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        wire.connection.pause_writing()
        await wire.settle()
        await wire.lose()
        await wire.settle()

    run(scene())
    assert ends == ["finally", "end"]


def test_sending_fails_after_one_message_that_is_dropped(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.receive()
        waiting = wire.loop.create_task(app.receive())
        await wire.settle()
        await app.send(start())
        await wire.lose()
        assert await waiting == {"type": "http.disconnect"}
        await app.send(body(b"x", more=True))
        for _ in range(2):
            with pytest.raises(ClientGone):
                await app.send(body(b"x", more=True))
        app.done[0].set()
        await wire.settle()
        assert wire.output == b""

    run(scene())


@pytest.mark.parametrize("data", [b"", b"GET / HT"])
def test_the_end_between_or_within_heads(run: Run, data: bytes) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(data) if data else None
        assert await wire.eof() is False
        assert wire.transport.closed
        assert wire.output == b""

    run(scene())


def test_an_application_that_stops_at_the_disconnect_is_no_error(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def endless(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(send(body(b"x", more=True)))
            finally:
                await asyncio.sleep(0)

    async def scene() -> None:
        wire = Wire(endless)
        await wire.feed(GET)
        await wire.lose()
        assert not wire.service.running

    run(scene())
    assert caplog.text == ""


class ClientDisconnect(Exception):
    """Starlette's name for it: raised by request.body() and by streaming answers."""


async def sends_on(scope: Scope, receive: Any, send: Any) -> None:
    await send(start())
    while True:
        await send(body(b"x", more=True))
        await asyncio.sleep(0)


async def translates(scope: Scope, receive: Any, send: Any) -> None:
    try:
        await sends_on(scope, receive, send)
    except OSError:
        raise ClientDisconnect from None


async def wraps(scope: Scope, receive: Any, send: Any) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sends_on(scope, receive, send))
    except BaseExceptionGroup as error:
        raise RuntimeError("stream ended") from error


async def reads(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    assert (await receive())["type"] == "http.disconnect"
    raise ClientDisconnect


async def only_starts(scope: Scope, receive: Any, send: Any) -> None:
    await send(start())
    await reads(scope, receive, send)


async def has_a_bug(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    await receive()
    raise LookupError("a bug")


@pytest.mark.parametrize(
    ("app", "logged"), [(sends_on, 0), (translates, 0), (wraps, 0), (reads, 0), (has_a_bug, 1)]
)
def test_that_the_client_left_is_nobodys_error(
    run: Run, app: Any, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        await wire.lose()
        assert not wire.service.running

    run(scene())
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == logged


@pytest.mark.parametrize(("app", "status"), [(sends_on, 200), (reads, 499), (only_starts, 499)])
def test_clients_that_left_are_told_of(run: Run, app: Any, status: int) -> None:
    answers = KeptAnswers()

    async def scene() -> None:
        wire = Wire(app, on_answered=answers)
        await wire.feed(get("/left"))
        await wire.lose()

    run(scene())
    assert [(line.target, line.status) for line in answers.kept] == [(b"/left", status)]


async def returns_when_told(scope: Scope, receive: Any, send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def test_who_returns_when_told_of_the_end_is_no_error(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the client has only closed its side, as a browser does first."""

    async def scene() -> None:
        wire = Wire(returns_when_told)
        await wire.feed(get("/left"))
        await wire.eof()
        await wire.settle()
        assert not wire.service.running
        assert wire.transport.closed or wire.transport.aborted
        assert wire.output == b""

    run(scene())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_who_listens_is_told_before_send_fails(run: Run) -> None:
    """So that it can end its stream in its own order; who does not listen is told by `send`."""
    seen: list[str] = []

    async def streams(send: Any) -> None:
        try:
            await send(start())
            while True:
                await send(body(b"x", more=True))
                await asyncio.sleep(0)
        except OSError:
            seen.append("failed")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/deaf":
            await streams(send)
            return
        task = asyncio.ensure_future(streams(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        seen.append("in its own order")

    async def scene() -> None:
        for path in ("/", "/deaf"):
            wire = Wire(app)
            await wire.feed(get(path))
            await wire.lose()
            assert not wire.service.running

    run(scene())
    assert seen == ["cancelled", "in its own order", "failed"]
