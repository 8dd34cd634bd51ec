"""Server-sent events: how they are written, pings, and generators that are closed."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

import pytest

from bare_serve.bare.calls import inline
from bare_serve.bare.sse import EventStream, event
from bare_serve.testing import TestClient

EVENTS: list[tuple[Any, dict[str, Any], str]] = [
    ("hi", {}, "data: hi\n\n"),
    ("", {}, "data: \n\n"),
    ("a\nb\r\nc\rd", {}, "data: a\ndata: b\ndata: c\ndata: d\n\n"),
    ("a\n", {}, "data: a\ndata: \n\n"),
    ("a\u2028b\x0bc\x85d", {}, "data: a\u2028b\x0bc\x85d\n\n"),  # no ends of lines there
    (0, {}, "data: 0\n\n"),
    (None, {}, "data: null\n\n"),
    ({"a": "\u00e4\n"}, {}, 'data: {"a":"\u00e4\\n"}\n\n'),
    (
        "x",
        {"id": 0, "event": "tick", "retry": 0},
        "event: tick\nid: 0\nretry: 0\ndata: x\n\n",
    ),
    ("x", {"id": ""}, "id: \ndata: x\n\n"),  # the browser forgets the last one
]


@pytest.mark.parametrize(("data", "fields", "text"), EVENTS)
def test_how_an_event_is_written(data: Any, fields: dict[str, Any], text: str) -> None:
    assert event(data, **fields) == text


@pytest.mark.parametrize(
    "fields",
    [{"id": "a\nb"}, {"id": "a\rb"}, {"id": "a\0b"}, {"event": "a\nb"}, {"retry": -1}],
    ids=str,
)
def test_what_would_break_an_event_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        event("x", **fields)


@pytest.mark.parametrize("ping", [0, -1])
def test_pings_take_time(ping: float) -> None:
    with pytest.raises(ValueError, match="ping is a number of seconds above 0"):
        EventStream([], ping=ping)


def test_the_head() -> None:
    fields = dict(EventStream([]).headers)
    assert fields["content-type"] == "text/event-stream"
    assert fields["cache-control"] == "no-store"
    assert fields["x-accel-buffering"] == "no"
    own = EventStream([], 202, {"Cache-Control": "no-cache", "X-Accel-Buffering": "yes"})
    assert own.status == 202
    assert sorted(own.headers) == [
        ("cache-control", "no-cache"),
        ("content-type", "text/event-stream"),
        ("x-accel-buffering", "yes"),
    ]


def pieces(stream: EventStream) -> AsyncIterator[Any]:
    assert isinstance(stream._iterator, AsyncIterable)
    return aiter(stream._iterator)


class Source:
    """An async generator that a test steers, and that says how it ended."""

    def __init__(self, *values: Any, fails: bool = False) -> None:
        self.values = values
        self.fails = fails
        self.go_on = asyncio.Event()
        self.ended = ""

    async def events(self) -> AsyncIterator[Any]:
        try:
            for value in self.values:
                if value is ...:
                    await self.go_on.wait()
                else:
                    yield value
            if self.fails:
                raise ZeroDivisionError
            self.ended = "whole"
        except BaseException as error:
            self.ended = type(error).__name__
            raise


VALUES = ["text", 1, {"a": 2}, event("x", id=3)]
TEXTS = ["data: text\n\n", "data: 1\n\n", 'data: {"a":2}\n\n', "id: 3\ndata: x\n\n"]


@pytest.mark.parametrize("ping", [None, 15])
def test_data_and_events(ping: float | None) -> None:
    async def play() -> None:
        source = Source(*VALUES)
        stream = EventStream(source.events(), ping=ping)
        assert [piece async for piece in pieces(stream)] == TEXTS
        assert source.ended == "whole"

    asyncio.run(play())


def test_a_plain_iterable() -> None:
    closed = []

    def events() -> Iterator[Any]:
        try:
            yield from VALUES
        finally:
            closed.append(True)

    stream: Any = EventStream(events())
    assert list(stream._iterator) == TEXTS
    first: Any = EventStream(events())
    assert next(first._iterator) == TEXTS[0]
    inline(first.close())
    assert closed == [True, True]
    also: Any = EventStream(VALUES)
    assert list(also._iterator) == TEXTS


def test_pings_while_there_is_nothing() -> None:
    async def play() -> None:
        source = Source("a", ..., "b")
        stream = pieces(EventStream(source.events(), ping=0.01))
        assert await anext(stream) == "data: a\n\n"
        for _ in range(3):
            assert await anext(stream) == ": ping\n\n"
        source.go_on.set()
        while (piece := await anext(stream)) == ": ping\n\n":
            pass
        assert piece == "data: b\n\n"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert source.ended == "whole"

    asyncio.run(play())


@pytest.mark.parametrize("ping", [None, 15])
def test_an_exception_comes_after_the_events(ping: float | None) -> None:
    async def play() -> None:
        source = Source("a", fails=True)
        stream = pieces(EventStream(source.events(), ping=ping))
        assert await anext(stream) == "data: a\n\n"
        with pytest.raises(ZeroDivisionError):
            await anext(stream)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("ping", "waits", "ended"),
    [
        (None, False, "GeneratorExit"),
        (15, False, "GeneratorExit"),
        (15, True, "CancelledError"),
    ],
)
def test_leaving_closes_the_generator(ping: float | None, waits: bool, ended: str) -> None:
    async def play() -> None:
        source = Source("a", ...) if waits else Source("a", "b", "c", "d")
        stream: Any = pieces(EventStream(source.events(), ping=ping))
        assert await anext(stream) == "data: a\n\n"
        await asyncio.sleep(0)
        await stream.aclose()
        assert source.ended == ended
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())


def test_leaving_before_the_first_step() -> None:
    async def play() -> None:
        stream: Any = pieces(EventStream(Source("a").events()))
        await stream.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())


def test_cancellation_reaches_the_generator() -> None:
    async def play() -> None:
        source = Source("a", ...)
        stream = pieces(EventStream(source.events()))
        assert await anext(stream) == "data: a\n\n"
        waiting = asyncio.ensure_future(anext(stream))
        for _ in range(3):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert source.ended == "CancelledError"

    asyncio.run(play())


@pytest.mark.parametrize("ping", [None, 15])
def test_one_task_runs_the_generator(ping: float | None) -> None:
    """Else `asyncio.timeout` around a `yield`, and context variables, would break."""
    variable = contextvars.ContextVar("variable", default=0)

    async def events() -> AsyncIterator[int]:
        async with asyncio.timeout(60):
            for number in range(3):
                variable.set(variable.get() + 1)
                yield variable.get() * 10 + number

    async def play() -> None:
        stream = EventStream(events(), ping=ping)
        texts = [piece async for piece in pieces(stream)]
        assert texts == ["data: 10\n\n", "data: 21\n\n", "data: 32\n\n"]

    asyncio.run(play())


def test_an_iterator_that_is_no_generator() -> None:
    class Numbers:
        def __init__(self) -> None:
            self.last = 0

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            self.last += 1
            if self.last > 2:
                raise StopAsyncIteration
            return self.last

    async def play() -> None:
        for ping in (None, 15):
            stream = EventStream(Numbers(), ping=ping)
            assert [piece async for piece in pieces(stream)] == ["data: 1\n\n", "data: 2\n\n"]

    asyncio.run(play())


def test_a_client_understands_them() -> None:
    """By the client's own reader of events; the framework is not needed to send them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        stream = EventStream(Source(event("a\nb", id=1, event="tick", retry=5), 2).events())
        head = stream.start()
        await send(head)
        async for piece in pieces(stream):
            body = {"type": "http.response.body", "body": piece.encode(), "more_body": True}
            await send(body)
        await send({"type": "http.response.body"})

    with TestClient(app, interface="asgi").stream("GET", "/") as answer:
        one, two = answer.events()
    assert (one.data, one.event, one.id, one.retry) == ("a\nb", "tick", "1", 5)
    assert (two.data, two.event) == ("2", "message")
