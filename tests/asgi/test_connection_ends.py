"""Refusals, deadlines, draining, and what the access log says."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import ClientGone
from bare_serve.http import LINGER_SECONDS, Limits, Timeouts
from tests.asgi.conftest import Run
from tests.asgi.fakes import (
    GET,
    FakeTransport,
    Recorder,
    Scope,
    Wire,
    body,
    get,
    hello,
    post,
    start,
)
from tests.support.answers import KeptAnswers


@pytest.mark.parametrize("parser", ["python", "httptools"])
def test_a_bad_request_behind_good_ones(run: Run, parser: str) -> None:
    async def scene() -> None:
        wire = Wire(hello, parser=parser)
        await wire.feed(get("/good") + b"BAD\r\n\r\n" + get("/never"))
        good, _, bad = wire.output.partition(b"/good")
        assert b"200 OK" in good
        assert bad.startswith(b"HTTP/1.1 400 ")
        assert b"Connection: close" in bad
        assert wire.transport.eof_written
        await wire.feed(get("/never"))
        assert wire.service.requests == 1

    run(scene())


def test_a_body_that_breaks_the_protocol(run: Run) -> None:
    data = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(data, b"zz\r\n")
        assert wire.output == b"", "an application that does not read it may still answer"
        assert (await app.receive())["body"] == b"abc"
        assert wire.output.startswith(b"HTTP/1.1 400 ")
        assert (await app.receive())["type"] == "http.disconnect"
        with pytest.raises(ClientGone):
            await app.send(start())
        app.done[0].set()
        await wire.settle()

    run(scene())


def test_a_body_over_the_limit(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello, limits=Limits(body=10))
        await wire.feed(post(b"", length=11))
        assert wire.output.startswith(b"HTTP/1.1 413 ")

    run(scene())


def overdue(wire: Wire, seconds: float) -> None:
    """Two ticks, `seconds` apart."""
    now = wire.loop.time()
    wire.service.check_deadlines(now)
    wire.service.check_deadlines(now + seconds)


def test_deadlines(run: Run) -> None:
    times = Timeouts(headers=1, body=2, write=3, keep_alive=4)

    async def scene() -> None:
        silent = Wire(hello, timeouts=times)
        overdue(silent, 0.5)
        assert not silent.transport.closed
        overdue(silent, 1.1)
        assert silent.transport.closed
        assert silent.output == b""

        half = Wire(hello, timeouts=times)
        await half.feed(b"GET ")
        overdue(half, 1.1)
        assert half.output.startswith(b"HTTP/1.1 408 ")

        idle = Wire(hello, timeouts=times)
        await idle.feed(GET)
        overdue(idle, 3.9)
        assert not idle.transport.closed
        overdue(idle, 4.1)
        assert idle.transport.closed

        deaf = Wire(hello, timeouts=times)
        await deaf.feed(GET)
        deaf.transport.unsent = 10
        overdue(deaf, 3.1)
        assert deaf.transport.aborted

    run(scene())


def test_a_slow_body(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        for asked in (False, True):
            wire = Wire(app, timeouts=Timeouts(body=2))
            await wire.feed(post(b"abc", length=10_000))
            if asked:
                await app.receive()
            overdue(wire, 2.1)
            assert wire.output.startswith(b"HTTP/1.1 408 ") is asked
            app.done[-1].set()
            await wire.lose()

    run(scene())


def test_a_client_held_up_by_us_is_not_late(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app, timeouts=Timeouts(body=2))
        await wire.feed(post(b"", length=10, extra=b"Expect: 100-continue\r\n"))
        overdue(wire, 100)
        assert wire.output == b"", "it waits for our leave to send"
        full = Wire(app, timeouts=Timeouts(body=2))
        await full.feed(post(b"x" * 70_000, length=90_000))
        overdue(full, 100)
        assert full.output == b"", "it is not read from"
        for done in app.done:
            done.set()
        await wire.lose()
        await full.lose()

    run(scene())


def test_a_lingering_close_ends(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(b"BAD\r\n\r\n")
        assert wire.transport.eof_written
        overdue(wire, 1.0)
        assert not wire.transport.closed
        overdue(wire, LINGER_SECONDS + 0.1)
        assert wire.transport.aborted

    run(scene())


def test_a_slow_reader_gets_all_of_the_last_answer(run: Run) -> None:
    """Patience begins anew whenever the client has taken something."""

    async def scene() -> None:
        wire = Wire(hello, timeouts=Timeouts(write=10))
        wire.transport.unsent = 1000
        await wire.feed(b"BAD\r\n\r\n")
        now = wire.loop.time()
        for step in range(1, 6):
            wire.transport.unsent -= 200
            wire.connection.check(now + 9 * step)
            assert not wire.transport.aborted
        wire.connection.check(now + 45 + LINGER_SECONDS - 0.1)
        assert not wire.transport.aborted
        wire.connection.check(now + 45 + LINGER_SECONDS)
        assert wire.transport.aborted

    run(scene())


def test_draining(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        idle, fresh, busy, stream = (Wire(app) for _ in range(4))
        await busy.feed(GET)
        busy_send, busy_done = app.send, app.done[-1]
        await stream.feed(GET)
        await app.send(start())
        await app.send(body(b"event", more=True))
        await app.receive()
        waiting = stream.loop.create_task(app.receive())
        stream_send, stream_done = app.send, app.done[-1]
        await idle.feed(GET)
        await app.send(start())
        await app.send(body())
        app.done[-1].set()
        for wire in (idle, fresh, busy, stream):
            await wire.settle()
            wire.connection.drain()
            wire.connection.wind_down(fresh=False)
        assert [w.transport.closed for w in (idle, fresh, busy, stream)] == [
            True, False, False, False,
        ]  # fmt: skip
        stream.connection.current.tell_stop()
        assert await waiting == {"type": "http.disconnect"}
        await stream_send(body(b"last words"))
        assert stream.output.endswith(b"last words\r\n0\r\n\r\n"), "told, and still able to end"
        assert not stream.transport.closed, "its client was told nothing, and may ask again"
        for _ in range(2):
            assert not stream.transport.closed
            stream.connection.wind_down(fresh=False)
        assert stream.transport.closed, "idle at two looks in a row"
        await busy_send(start())
        await busy_send(body(b"done"))
        assert b"Connection: close" in busy.output
        assert busy.transport.closed
        fresh.connection.wind_down(fresh=True)
        assert fresh.transport.closed
        busy_done.set()
        stream_done.set()
        await busy.settle()

    run(scene())


@pytest.mark.parametrize("closed", [True, False])
def test_the_end_of_the_grace_resets_only_what_is_not_over(run: Run, closed: bool) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(GET)
        if closed:
            wire.connection.drain()
            wire.connection.wind_down(fresh=False)
            assert wire.transport.closed
        wire.connection.cut()
        assert wire.transport.aborted is not closed

    run(scene())


def test_a_file_does_not_wait_for_a_client_that_has_left(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(bytes(1 << 20))

    async def scene() -> None:
        async def app(scope: Scope, receive: Any, send: Any) -> None:
            await send(start())
            wire.connection.pause_writing()  # as a transport would
            await send({"type": "http.response.pathsend", "path": str(path)})

        wire = Wire(app, transport=FakeTransport(ssl_object=object()))  # so that it is read
        await wire.feed(GET)
        assert len(wire.service.running) == 1, "it waits"
        await wire.lose()
        assert not wire.service.running

    run(scene())


def test_a_download_of_known_length_is_left_in_peace_when_draining(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.receive()
        await app.send(start(200, (b"content-length", b"6")))
        await app.send(body(b"abc", more=True))
        waiting = wire.loop.create_task(app.receive())
        wire.connection.drain()
        wire.connection.wind_down(fresh=True)
        await wire.settle()
        assert not waiting.done()
        await app.send(body(b"def"))
        await waiting
        app.done[0].set()
        await wire.settle()

    run(scene())


def test_each_answer_is_told_of(run: Run) -> None:
    answers = KeptAnswers()

    async def scene() -> None:
        wire = Wire(hello, on_answered=answers)
        await wire.feed(get("/one?x") + get("/two"))
        async with asyncio.timeout(5):
            while len(answers.kept) < 2:
                await asyncio.sleep(0.01)

    run(scene())
    assert [line[:6] for line in answers.kept] == [
        ("10.0.0.9", "GET", b"/one?x", "1.1", 200, 4),
        ("10.0.0.9", "GET", b"/two", "1.1", 200, 4),
    ]
    assert all(0 <= line[6] < 60 for line in answers.kept)


def test_refusals_are_logged_once_and_quietly(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        await Wire(hello).feed(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")

    with caplog.at_level(logging.INFO):
        run(scene())
    assert [record.levelname for record in caplog.records] == ["INFO"]
