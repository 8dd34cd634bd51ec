"""Clients that leave, at every point at which they may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.errors import ClientGone
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Scope, Wire, bodies, body, get, hello, post, start


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
