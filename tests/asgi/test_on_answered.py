"""Each end of a request and of a WebSocket is told of once, with its status and its seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from bare_serve.asgi import Connection, admission, exchange, websocket_protocol
from bare_serve.http import Limits
from bare_serve.http1 import select_parser
from bare_serve.http1.redirect import Redirecting
from bare_serve.logs.on_answered import compose
from tests.asgi.conftest import Run
from tests.asgi.fakes import Recorder, Scope, Wire, body, get, hello, post, start, until
from tests.asgi.websocket_fakes import Scripted, SocketWire, opened, upgrade
from tests.support.answers import KeptAnswers
from tests.websocket.harness import close


class Clock:
    """`perf_counter` as the test has it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(exchange, "perf_counter", made)
    monkeypatch.setattr(websocket_protocol, "perf_counter", made)
    return made


class Case:
    """A request that goes on for two seconds and a half, and then ends."""

    def __init__(self, answers: KeptAnswers, clock: Clock) -> None:
        self.answers = answers
        self.clock = clock
        self.app = Recorder()

    async def begun(self, request: bytes = get("/asked"), **options: Any) -> Wire:
        wire = Wire(self.app, on_answered=self.answers, **options)
        await wire.feed(request)
        assert len(self.app.scopes) == 1
        assert self.answers.kept == []
        self.clock.now += 2.5
        return wire

    async def over(self, wire: Wire) -> None:
        """The application returns and the client leaves, if they have not yet."""
        for done in self.app.done:
            done.set()
        await wire.lose()
        await until(lambda: not wire.service.running)


async def answered(case: Case) -> None:
    wire = await case.begun()
    await case.app.send(start(201))
    await case.app.send(body(b"x"))
    await case.over(wire)


async def answered_piece_by_piece(case: Case) -> None:
    wire = await case.begun()
    await case.app.send(start(202))
    await case.app.send(body(b"x", more=True))
    await case.app.send(body())
    await case.over(wire)


async def returned_without_an_answer(case: Case) -> None:
    wire = await case.begun()
    case.app.done[0].set()
    await wire.settle()
    await case.over(wire)


async def broken_off(case: Case) -> None:
    wire = await case.begun()
    await case.app.send(start(203))
    await case.app.send(body(b"x", more=True))
    case.app.done[0].set()
    await wire.settle()
    await case.over(wire)


async def left_before_the_answer(case: Case) -> None:
    wire = await case.begun()
    await wire.lose()
    await case.over(wire)


async def left_during_the_answer(case: Case) -> None:
    wire = await case.begun()
    await case.app.send(start(206))
    await case.app.send(body(b"x", more=True))
    await wire.lose()
    await case.over(wire)


async def left_by_half(case: Case) -> None:
    """The client closes its side; who is told of that returns."""
    wire = await case.begun()
    await wire.eof()
    case.app.done[0].set()
    await wire.settle()
    await case.over(wire)


async def broke_the_protocol_in_its_body(case: Case) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = await case.begun(chunked)
    reading = asyncio.ensure_future(case.app.receive())
    await wire.settle()
    await wire.feed(b"zz\r\n")
    assert wire.output.startswith(b"HTTP/1.1 400 ")
    await reading
    await case.over(wire)


async def timed_out(case: Case) -> None:
    wire = await case.begun(request_seconds=0.02)
    await until(lambda: wire.output)
    await case.over(wire)


async def timed_out_unheeded(case: Case) -> None:
    """The application does not end when it is cancelled."""

    class Stubborn(Recorder):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await super().__call__(scope, receive, send)
            except asyncio.CancelledError:
                await self.done[0].wait()

    case.app = Stubborn()
    wire = await case.begun(request_seconds=0.02)
    await until(lambda: wire.output)
    await case.over(wire)


async def given_up(case: Case) -> None:
    """Cancelled, because the grace period is over."""
    wire = await case.begun()
    wire.service.draining = True
    for call in wire.service.running:
        assert call.task is not None
        call.task.cancel()
    await until(lambda: wire.output)
    await case.over(wire)


async def redirected(case: Case) -> None:
    wire = Wire(hello, on_answered=case.answers)
    redirect = partial(Redirecting, select_parser("auto").make(), Limits(), b"", 443)
    wire.connection = Connection(wire.service, None, ("10.0.0.9", 4711), new_exchange=redirect)
    wire.connection.connection_made(wire.transport)  # type: ignore[arg-type]
    await wire.feed(get("/asked"))
    await wire.lose()


async def refused_before_its_head_was_complete(case: Case) -> None:
    wire = Wire(hello, on_answered=case.answers)
    await wire.feed(b"nonsense\r\n\r\n")
    assert wire.output.startswith(b"HTTP/1.1 400 ")
    await wire.lose()


End = Callable[[Case], Awaitable[None]]

ENDS: list[tuple[End, list[tuple[int, float]]]] = [
    (answered, [(201, 2.5)]),
    (answered_piece_by_piece, [(202, 2.5)]),
    (returned_without_an_answer, [(500, 2.5)]),
    (broken_off, [(203, 2.5)]),
    (left_before_the_answer, [(499, 2.5)]),
    (left_during_the_answer, [(206, 2.5)]),
    (left_by_half, [(499, 2.5)]),
    (broke_the_protocol_in_its_body, [(400, 2.5)]),
    (timed_out, [(504, 2.5)]),
    (timed_out_unheeded, [(504, 2.5)]),
    (given_up, [(503, 2.5)]),
    (redirected, [(308, 0.0)]),
    (refused_before_its_head_was_complete, []),
]


@pytest.mark.parametrize(("end", "told"), ENDS, ids=[end.__name__ for end, _ in ENDS])
def test_each_end_of_a_request(
    run: Run,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    end: End,
    told: list[tuple[int, float]],
) -> None:
    monkeypatch.setattr(admission, "_LAST_SECONDS", 0.02)
    answers = KeptAnswers()

    async def scene() -> None:
        await end(Case(answers, clock))

    run(scene())
    assert [(line.status, line.seconds) for line in answers.kept] == told
    assert all(line.client == "10.0.0.9" and line.note == "" for line in answers.kept)


def test_a_request_whose_call_never_began(run: Run, clock: Clock) -> None:
    """Its task was cancelled before its first step, and its client has left, too."""
    answers = KeptAnswers()

    async def scene() -> None:
        wire = Wire(hello, on_answered=answers, concurrency=1)
        call = exchange.Exchange(wire.connection, _head(wire), {})
        wire.service.running.add(call)
        clock.now += 2.5
        call.tell_disconnect(gone=True)
        call.never_ran()
        assert not wire.service.running

    run(scene())
    assert [(line.status, line.seconds) for line in answers.kept] == [(499, 2.5)]


def _head(wire: Wire) -> Any:
    wire.connection.core.receive_data(post(b"abc"))
    return wire.connection.core.next_event()


@pytest.mark.parametrize("by", ["client", "application", "loss"])
def test_a_websocket_that_is_closed(run: Run, clock: Clock, by: str) -> None:
    answers = KeptAnswers()

    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, on_answered=answers)
        clock.now += 2.5
        if by == "client":
            await wire.feed(close(1001))
        elif by == "application":
            await app.send({"type": "websocket.close", "code": 1001})
            await wire.feed(close(1001))
        await wire.lose()
        app.over.set()
        await wire.settle()
        assert not wire.service.running

    run(scene())
    [line] = answers.kept
    assert line[:4] == ("10.0.0.9", "WEBSOCKET", b"/chat?room=1", "1.1")
    assert (line.status, line.seconds) == (1006 if by == "loss" else 1001, 2.5)
    assert line.note == "in=0/0 out=0/0" if by == "loss" else line.note.startswith("in=0/")


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([{"type": "websocket.close"}], 403),
        (
            [
                {"type": "websocket.http.response.start", "status": 401, "headers": []},
                {"type": "websocket.http.response.body", "body": b"who?"},
            ],
            401,
        ),
        ([], 499),
    ],
)
def test_a_websocket_that_is_refused(
    run: Run, clock: Clock, messages: list[dict[str, Any]], status: int
) -> None:
    answers = KeptAnswers()

    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app, on_answered=answers)
        await wire.feed(upgrade())
        clock.now += 2.5
        for message in messages:
            await app.send(message)
        await wire.lose()
        app.over.set()
        await wire.settle()
        assert not wire.service.running

    run(scene())
    [line] = answers.kept
    assert (line.method, line.target) == ("GET", b"/chat?room=1")
    assert (line.status, line.seconds) == (status, 2.5)


def test_an_observer_that_fails_does_not_reach_the_application(run: Run) -> None:
    answers = KeptAnswers()
    failures: list[BaseException] = []

    def fails(*_: Any) -> None:
        raise LookupError

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        try:
            await hello(scope, receive, send)
        except BaseException as error:
            failures.append(error)
            raise

    async def scene() -> None:
        wire = Wire(app, on_answered=compose(fails, answers))
        await wire.feed(get("/one") + get("/two"))
        await until(lambda: len(answers.kept) == 2)
        await wire.settle()
        assert wire.output.endswith(b"/two")
        assert not wire.transport.closed, "the connection goes on"
        await wire.lose()

    run(scene())
    assert failures == []


def test_nobody_looks_at_the_clock_if_nobody_listens(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "perf_counter", None)

    async def scene() -> None:
        wire = Wire(hello)
        await wire.feed(get("/one"))
        assert wire.output.endswith(b"/one")
        await wire.lose()

    run(scene())
