"""Requests that take too long, and requests that are too many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.asgi import admission
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Scope, Wire, bodies, body, get, hello, start, until
from tests.support.answers import KeptAnswers


def status(wire: Wire) -> bytes:
    return wire.output[9:12]


def test_a_request_that_takes_too_long_is_cancelled(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    cancelled: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/quick":
            await hello(scope, receive, send)
            return
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def scene() -> None:
        wire = Wire(app, request_seconds=0.1)
        begun = wire.loop.time()
        await wire.feed(GET)
        await until(lambda: wire.output)
        assert 0.1 <= wire.loop.time() - begun < 5
        assert status(wire) == b"504"
        await wire.feed(get("/quick"))
        assert len(bodies(wire.output)) == 2, "the connection goes on"

    run(scene())
    assert cancelled == [True]
    assert "takes longer than the request timeout" in caplog.text
    assert "Traceback" not in caplog.text


def test_part_of_an_answer_is_broken_off(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"part", more=True))
        await asyncio.Event().wait()

    async def scene() -> None:
        wire = Wire(app, request_seconds=0.05)
        await wire.feed(GET)
        await until(lambda: wire.transport.closed)
        assert wire.output.endswith(b"4\r\npart\r\n")

    run(scene())


def test_an_application_may_answer_its_cancellation(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await send(start(418))
            await send(body(b"mine"))
            raise

    async def scene() -> None:
        wire = Wire(app, request_seconds=0.05)
        await wire.feed(GET)
        await until(lambda: not wire.service.running)
        assert status(wire) == b"418"

    run(scene())


def test_one_that_makes_an_exception_of_it(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError from None

    async def scene() -> None:
        wire = Wire(app, request_seconds=0.05)
        await wire.feed(GET)
        await until(lambda: wire.output)
        assert status(wire) == b"504"

    run(scene())


def test_one_that_goes_on_all_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_LAST_SECONDS", 0.1)
    refused: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            while not scope["state"]["go"].is_set():
                await asyncio.sleep(0.005)
        try:
            await send(start())
        except ValueError as error:
            refused.append(str(error))

    async def scene() -> None:
        wire = Wire(app, request_seconds=0.05)
        wire.service.state["go"] = asyncio.Event()
        await wire.feed(GET)
        await until(lambda: wire.output)
        assert status(wire) == b"504"
        wire.service.state["go"].set()
        await until(lambda: not wire.service.running)

    run(scene())
    assert "the response is complete" in refused[0]


def test_work_after_the_answer_has_all_the_time_it_likes(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        await asyncio.sleep(0.3)
        scope["state"]["done"].append(True)

    async def scene() -> list[bool]:
        wire = Wire(app, request_seconds=0.05)
        done: list[bool] = []
        wire.service.state["done"] = done
        await wire.feed(GET)
        await until(lambda: not wire.service.running)
        return done

    assert run(scene()) == [True]


# ------------------------------------------------------------------------------- too many


def crowd(count: int, app: Any, limit: int) -> list[Wire]:
    """As many connections of one service."""
    wires = [Wire(app, concurrency=limit) for _ in range(count)]
    for wire in wires[1:]:
        wire.connection.service = wires[0].service
    return wires


def test_a_short_queue_and_then_503(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wires = crowd(6, app, 2)
        for wire in wires:
            await wire.feed(GET)
        assert len(app.scopes) == 2, "two are served, two wait"
        assert [status(wire) for wire in wires] == [b""] * 4 + [b"503"] * 2
        assert b"Retry-After: 1\r\n" in wires[5].output
        assert not wires[5].transport.closed
        for count in (3, 4):
            app.done[count - 3].set()
            await wires[0].settle()
            assert len(app.scopes) == count
        await wires[4].feed(GET)
        for done in app.done:
            done.set()
        await wires[0].settle()
        assert len(app.scopes) == 5
        for done in app.done:
            done.set()
        await wires[0].settle()
        assert not wires[0].service.running

    run(scene())


def test_nobody_waits_for_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "QUEUE_SECONDS", 0.05)

    async def scene() -> None:
        app = Recorder()
        wires = crowd(3, app, 2)
        for wire in wires:
            await wire.feed(GET)
        late = Wire(app, concurrency=2)
        late.connection.service = wires[0].service
        await late.feed(GET)
        await until(lambda: late.output)
        assert [status(wires[2]), status(late)] == [b"503"] * 2
        assert len(app.scopes) == 2
        for done in app.done:
            done.set()
        await late.settle()

    run(scene())


def test_a_client_that_left_the_queue_takes_no_turn(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wires = crowd(3, app, 1)
        await wires[0].feed(GET)
        await wires[1].feed(GET)
        await wires[1].lose()
        app.done[0].set()
        await wires[0].settle()
        assert len(app.scopes) == 1
        assert not wires[0].service.running

    run(scene())


def test_who_left_the_queue_is_told_of(run: Run) -> None:
    answers = KeptAnswers()
    kept = answers.kept

    async def scene() -> None:
        app = Recorder()
        wires = crowd(4, app, 1)
        wires[0].service.on_answered = answers
        await wires[0].feed(get("/served"))
        await wires[1].feed(get("/left"))
        await wires[2].feed(get("/refused"))
        assert [line.target for line in kept] == [b"/refused"]
        await wires[1].lose()
        app.done[0].set()
        await wires[0].settle()
        assert [line.target for line in kept] == [b"/refused", b"/served", b"/left"]
        assert [line.status for line in kept] == [503, 500, 499]
        assert kept[2].bytes_sent == 0, "nothing was sent"

    run(scene())


def test_a_long_queue_needs_no_stack(run: Run) -> None:
    async def scene() -> None:
        first = Recorder()
        wires = crowd(1200, hello, 600)
        service = wires[0].service
        service.app = first
        for wire in wires[:600]:
            wire.connection.data_received(GET)
        service.app = hello  # type: ignore[assignment]
        await wires[0].settle()
        for wire in wires[600:]:
            wire.connection.data_received(GET)
        for done in first.done:
            done.set()
        await until(lambda: all(wire.output for wire in wires))
        assert {status(wire) for wire in wires[600:]} == {b"200"}

    run(scene())


def test_idle_connections_do_not_count(run: Run) -> None:
    async def scene() -> None:
        wires = crowd(20, hello, 1)
        for _ in range(2):
            for wire in wires:
                await wire.feed(GET)
        assert {len(bodies(wire.output)) for wire in wires} == {2}

    run(scene())


def test_a_body_that_is_refused_is_drained(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wires = crowd(1, app, 1)
        await wires[0].feed(GET)
        others = [Wire(app, concurrency=1) for _ in range(2)]
        for other in others:
            other.connection.service = wires[0].service
            await other.feed(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n", b"hello")
        assert status(others[1]) == b"503"
        wires[0].service.app = hello  # type: ignore[assignment]
        app.done[0].set()
        await wires[0].settle()
        await others[1].feed(GET)
        assert len(bodies(others[1].output)) == 2

    run(scene())


@pytest.mark.parametrize("how", ["lose", "eof"])
def test_whose_client_has_left_takes_no_place(run: Run, how: str) -> None:
    """Also if the application goes on; those that waited for a place have it at once."""

    async def scene() -> None:
        app = Recorder()
        wires = crowd(4, app, 2)
        for wire in wires[:3]:
            await wire.feed(GET)
        assert len(app.scopes) == 2
        await getattr(wires[0], how)()
        assert len(app.scopes) == 3
        await getattr(wires[1], how)()
        await wires[3].feed(GET)
        assert len(app.scopes) == 4
        assert len(wires[0].service.running) == 4
        for done in app.done:
            done.set()
        await wires[0].settle()
        assert not wires[0].service.running

    run(scene())


def test_not_any_number_of_them(run: Run) -> None:
    """Or who comes and leaves could have the application do more than it can."""

    async def scene() -> None:
        app = Recorder()
        wires = crowd(30, app, 2)
        for wire in wires:
            await wire.feed(GET)
            await wire.lose()
        assert len(app.scopes) == 2 * (admission._FORSAKEN_TIMES + 1)
        app.done[0].set()
        await wires[0].settle()
        assert len(app.scopes) == 2 * (admission._FORSAKEN_TIMES + 1), "nobody waits any more"
        late = Wire(app, concurrency=2)
        late.connection.service = wires[0].service
        await late.feed(GET)
        assert len(app.scopes) == 2 * (admission._FORSAKEN_TIMES + 1) + 1
        for done in app.done:
            done.set()
        await wires[0].settle()

    run(scene())
