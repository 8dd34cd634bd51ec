"""The way of a request body to the application: pieces, flow control, 100-continue, leftovers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.asgi.connection import HIGH_WATER
from bare_serve.http import LINGER_BYTES
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Wire, bodies, get, hello, post


@pytest.mark.parametrize("parser", ["python", "httptools"])
def test_a_body_in_pieces(run: Run, parser: str) -> None:
    async def scene() -> list[Any]:
        app = Recorder()
        wire = Wire(app, parser=parser)
        await wire.feed(post(b"ab", length=6))
        seen = [await app.receive()]
        waiting = wire.loop.create_task(app.receive())
        await wire.feed(b"c")
        seen.append(await waiting)
        await wire.feed(b"d", b"e", b"f")
        seen.append(await app.receive())
        app.done[0].set()
        await wire.lose()
        return seen

    assert run(scene()) == [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"c", "more_body": True},
        {"type": "http.request", "body": b"def", "more_body": False},
    ]


def test_reading_pauses_above_the_high_water_mark(run: Run) -> None:
    piece = b"x" * 40_000

    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(post(piece, length=200_000))
        assert wire.transport.reading
        await wire.feed(piece)
        assert not wire.transport.reading
        assert len((await app.receive())["body"]) == 80_000 > HIGH_WATER
        assert wire.transport.reading
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_what_was_asked_for_and_is_not_taken_counts(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(post(b"x", length=500_000))
        assert (await app.receive())["body"] == b"x"
        for _ in range(2):  # what was taken does not
            await wire.feed(b"x" * (HIGH_WATER - 10), b"x" * 10)
            assert wire.transport.reading
            await wire.feed(b"x")
            assert not wire.transport.reading
            assert len((await app.receive())["body"]) == HIGH_WATER + 1
            assert wire.transport.reading
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_a_cancelled_receive_loses_nothing(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(post(b"", length=4))
        first = wire.loop.create_task(app.receive())
        await wire.settle()
        wire.connection.data_received(b"ab")  # wakes it, and then:
        first.cancel()
        second = wire.loop.create_task(app.receive())
        await wire.feed(b"cd")
        got = [await second]
        if not first.cancelled():
            got.insert(0, first.result())
        assert b"".join(message["body"] for message in got) == b"abcd"
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_two_may_wait_for_the_client_at_once(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.receive()
        waiting = [wire.loop.create_task(app.receive()) for _ in range(3)]
        await wire.settle()
        waiting[0].cancel()
        await wire.lose()
        assert await waiting[1] == await waiting[2] == {"type": "http.disconnect"}
        assert waiting[0].cancelled()
        app.done[0].set()
        await wire.settle()

    run(scene())


def test_100_continue_is_sent_when_the_body_is_wanted(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(post(b"", length=2, extra=b"Expect: 100-continue\r\n"))
        assert wire.output == b""
        waiting = wire.loop.create_task(app.receive())
        await wire.settle()
        assert wire.output == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.feed(b"ok")
        assert (await waiting)["body"] == b"ok"
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_an_unread_body_is_read_over(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(post(b"a" * 100_000, length=150_000), b"a" * 50_000 + get("/next"))
        assert bodies(wire.output) == [b"/", b"/next"]
        assert wire.transport.reading

    run(scene())


def test_an_unread_body_that_is_too_long_ends_the_connection(run: Run) -> None:
    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(post(b"a" * 1000, length=1 << 24))
        assert b"Connection: close" in wire.output
        assert wire.transport.eof_written, "a close that lingers"
        assert not wire.transport.closed
        await wire.feed(b"a" * LINGER_BYTES)
        assert wire.transport.closed

    run(scene())


def test_an_application_that_does_not_read_answers_before_the_body_is_judged(run: Run) -> None:
    data = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"

    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(data + get("/never"))
        assert bodies(wire.output) == [b"/"]
        assert wire.transport.eof_written or wire.transport.closed

    run(scene())


def test_a_body_nobody_asked_for_is_bounded(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(post(b"", length=200_000), b"x" * 40_000, b"x" * 40_000)
        assert not wire.transport.reading
        assert len((await app.receive())["body"]) == 80_000
        assert wire.transport.reading
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_a_body_that_came_with_the_end_of_the_connection(run: Run) -> None:
    """Also the second of two, which begins only after the end is known."""
    seen: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        seen.append((await receive())["body"])
        await hello(scope, receive, send)

    async def scene() -> None:
        wire = Wire(app)
        wire.connection.data_received(post(b"one") + post(b"two"))
        await wire.eof()
        assert bodies(wire.output) == [b"/", b"/"]

    run(scene())
    assert seen == [b"one", b"two"]
