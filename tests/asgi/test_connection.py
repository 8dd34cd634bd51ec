"""Answers, pipelining and back-pressure of one connection, without a socket."""

from __future__ import annotations

import asyncio
import contextvars
import time
from itertools import pairwise
from typing import Any

import pytest

from bare_serve.asgi.connection import HIGH_WATER, TURN_SECONDS
from bare_serve.errors import ClientGone
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Scope, Wire, bodies, body, get, hello, post, start


@pytest.mark.parametrize("parser", ["python", "httptools"])
def test_head_and_body_leave_in_one_write(run: Run, parser: str) -> None:
    async def scene() -> None:
        wire = Wire(hello, parser=parser)
        await wire.feed(GET)
        assert len(wire.transport.writes) == 1
        await wire.feed(GET)
        assert len(wire.transport.writes) == 2
        assert bodies(wire.output) == [b"/", b"/"]
        assert wire.service.requests == 2
        assert not wire.service.running

    run(scene())


def test_the_head_waits_for_the_first_piece(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.send(start())
        assert wire.output == b""
        await app.send(body(b"one", more=True))
        assert wire.output.endswith(b"\r\n\r\n3\r\none\r\n")
        await app.send(body())
        assert wire.output.endswith(b"0\r\n\r\n")
        app.done[0].set()
        await wire.settle()

    run(scene())


def test_large_pieces_are_written_whole(run: Run) -> None:
    data = b"x" * 300_000

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(data))

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        assert bodies(wire.output) == [data]

    run(scene())


@pytest.mark.parametrize("cut", range(1, len(GET), 7))
def test_a_head_in_pieces(run: Run, cut: int) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(GET[:cut])
        assert wire.output == b""
        await wire.feed(GET[cut:])
        assert bodies(wire.output) == [b"/"]

    run(scene())


def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/1":
            await asyncio.sleep(0)
        await hello(scope, receive, send)

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(get("/0") + get("/1") + post(b"abc") + get("/2")[:20])
        await wire.feed(get("/2")[20:])
        assert bodies(wire.output) == [b"/0", b"/1", b"/", b"/2"]

    run(scene())


def test_a_long_pipeline_needs_no_stack(run: Run) -> None:
    count = 2000

    async def scene() -> None:
        wire = Wire(hello)
        wire.connection.data_received(GET * count)
        while wire.service.requests < count or wire.service.running:
            await asyncio.sleep(0)
        assert len(bodies(wire.output)) == count

    run(scene())


def test_the_next_request_waits_for_the_answer_not_for_the_application(run: Run) -> None:
    app = Recorder()

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(get("/a") + get("/b"))
        assert len(app.scopes) == 1
        await app.send(start())
        await app.send(body(b"a"))
        await wire.settle()
        assert [scope["path"] for scope in app.scopes] == ["/a", "/b"]
        for done in app.done:
            done.set()
        await wire.settle()

    run(scene())


def test_context_variables_do_not_reach_the_next_request(run: Run) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        variable.set(scope["path"])
        if scope["path"] == "/2":
            await asyncio.sleep(0)
        await hello(scope, receive, send)

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(get("/1") + get("/2") + get("/3"), get("/4"))

    run(scene())
    assert seen == ["clean"] * 4


def test_no_request_inherits_the_context_it_was_read_in(run: Run) -> None:
    """asyncio calls back in the context of whoever resumed reading or filled its buffer: of an
    earlier request, perhaps."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        await hello(scope, receive, send)

    async def scene() -> None:
        wire = Wire(app)
        foreign = contextvars.copy_context()
        foreign.run(variable.set, "dirty")
        foreign.run(wire.connection.data_received, GET)
        await wire.settle()
        wire.connection.pause_writing()
        await wire.feed(GET)
        foreign.run(wire.connection.resume_writing)
        await wire.settle()

    run(scene())
    assert seen == ["clean"] * 2


def test_every_request_runs_in_a_task_of_its_own(run: Run) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        before = asyncio.current_task()
        await asyncio.sleep(0)
        seen.append((before, asyncio.current_task()))
        async with asyncio.timeout(5):  # needs a current task from the first step on
            await asyncio.sleep(0)
        await hello(scope, receive, send)

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET + GET)
        assert bodies(wire.output) == [b"/", b"/"]

    run(scene())
    (first, again), (second, _) = seen
    assert first is not None
    assert first is again
    assert first is not second


def test_pipelined_bytes_are_bounded(run: Run) -> None:
    app = Recorder()

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET, GET * 4000)
        assert not wire.transport.reading
        assert len(app.scopes) == 1
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_send_waits_while_the_transport_is_full(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.send(start())
        wire.connection.pause_writing()
        sending = wire.loop.create_task(app.send(body(b"x", more=True)))
        await wire.settle()
        assert not sending.done()
        wire.connection.resume_writing()
        await sending
        wire.connection.pause_writing()
        sending = wire.loop.create_task(app.send(body(b"x", more=True)))
        await wire.settle()
        await wire.lose()
        with pytest.raises(ClientGone):
            await sending
        app.done[0].set()
        await wire.settle()

    run(scene())


def test_no_further_request_begins_while_answers_are_not_taken(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        wire.connection.pause_writing()
        await wire.feed(get("/1"), get("/2") * 3000)
        assert wire.output == b""
        assert not wire.transport.reading
        wire.connection.resume_writing()
        while wire.service.requests < 3001 or wire.service.running:
            await asyncio.sleep(0)
        assert len(bodies(wire.output)) == 3001
        await wire.settle()
        assert wire.transport.reading

    run(scene())


def test_requests_that_take_long_are_answered_one_in_a_turn(run: Run) -> None:
    """Others have their turn, although more of this client's has come already."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        time.sleep(2 * TURN_SECONDS)
        await hello(scope, receive, send)

    async def scene() -> None:
        wire = Wire(app)
        wire.connection.data_received(get("/") * 12)
        answered = [0, len(bodies(wire.output))]
        while wire.service.requests < 12 or wire.service.running:
            await asyncio.sleep(0)
            answered.append(len(bodies(wire.output)))
        assert max(after - before for before, after in pairwise(answered)) <= 2
        assert answered[-1] == 12

    run(scene())


def test_who_waits_for_a_turn_is_paused_above_the_high_water_mark(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes meanwhile does not get a turn sooner."""
    monkeypatch.setattr("bare_serve.asgi.connection.TURN_SECONDS", -1.0)

    async def scene() -> None:
        wire = Wire(hello)
        wire.connection.data_received(GET * 3)
        begun = wire.service.requests
        while wire.transport.reading:
            wire.connection.data_received(GET * 100)
        assert wire.service.requests == begun < 3
        assert HIGH_WATER < wire.connection.core.buffered < 2 * HIGH_WATER
        while not wire.transport.reading:
            await asyncio.sleep(0)
        assert wire.connection.core.buffered <= HIGH_WATER

    run(scene())
