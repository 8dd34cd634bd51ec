"""Whom a worker that stops tells, whom it cancels, and whom it leaves alone."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.asgi import Looks
from bare_serve.asgi.service import MARK
from bare_serve.asgi.stopping import is_young, mark_of
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Scope, Wire, bodies, body, get, start
from tests.asgi.websocket_fakes import ACCEPT, SocketWire, upgrade

STATUS = slice(9, 12)


class Deaf:
    """Begins to answer by `messages`, then waits for something else; notes how that ends."""

    def __init__(self, *messages: Any) -> None:
        self.messages = messages
        self.ended: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        for message in self.messages:
            await send(message)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        await send(body(b"!") if self.messages else start())
        if not self.messages:
            await send(body(b"answer"))
        self.ended.append("answered")


class Stop:
    """The looks of a worker that stops."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.looks = Looks(wire.service, 30.0)
        wire.service.draining = True
        wire.connection.drain()

    async def look(self) -> None:
        self.wire.connection.wind_down(fresh=False)
        self.looks.look()
        await self.wire.settle()


STREAM = (start(), body(b"first", more=True))


@pytest.mark.parametrize("messages", [(), STREAM])
def test_nobody_can_receive_what_it_sends(
    run: Run, messages: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """A moment after it was told so, its call is cancelled."""
    caplog.set_level(logging.INFO)

    async def scene() -> None:
        app = Deaf(*messages)
        wire = Wire(app)
        await wire.feed(GET)
        await wire.lose()
        stop = Stop(wire)
        await stop.look()
        assert app.ended == []
        await stop.look()
        assert app.ended == ["cancelled"]
        assert not wire.service.running

    run(scene())
    logged = [(record.name, record.levelname) for record in caplog.records]
    assert logged == [("bare_serve.worker", "INFO")]
    assert "Cancelling 1 requests whose clients have left." in caplog.text


def test_one_that_will_not_be_cancelled_is_cancelled_once(run: Run) -> None:
    cancelled: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        while not scope["state"]["go"].is_set():
            try:
                await scope["state"]["go"].wait()
            except asyncio.CancelledError:
                cancelled.append(True)

    async def scene() -> None:
        wire = Wire(app)
        wire.service.state["go"] = asyncio.Event()
        await wire.feed(GET)
        await wire.lose()
        stop = Stop(wire)
        for _ in range(5):
            await stop.look()
        wire.service.state["go"].set()
        await wire.settle()

    run(scene())
    assert cancelled == [True]


def test_who_has_closed_his_side_may_wait_for_his_answer(run: Run) -> None:
    """He is asked by a 100 whether he is there: where nobody is, the system answers by a reset."""

    async def scene() -> None:
        app = Deaf()
        there, gone = Wire(app), Wire(app)
        gone.connection.service = there.service
        for wire in (there, gone):
            await wire.feed(GET)
            await wire.eof()
        stop = Stop(there)
        for _ in range(3):
            await stop.look()
        hundred = b"HTTP/1.1 100 Continue\r\n\r\n" * 2
        assert (there.output, gone.output) == (hundred, hundred), "and no more"
        await gone.lose()
        for _ in range(2):
            await stop.look()
        assert app.ended == ["cancelled"]
        app.go.set()
        await there.settle()
        assert app.ended == ["cancelled", "answered"]
        assert bodies(there.output.removeprefix(hundred)) == [b"answer"]

    run(scene())


def test_http_1_0_knows_no_100(run: Run) -> None:
    async def scene() -> None:
        app = Deaf()
        wire = Wire(app)
        await wire.feed(b"GET / HTTP/1.0\r\n\r\n")
        await wire.eof()
        stop = Stop(wire)
        for _ in range(3):
            await stop.look()
        assert wire.output == b""
        app.go.set()
        await wire.settle()
        assert bodies(wire.output) == [b"answer"]

    run(scene())


def test_a_stream_to_who_has_closed_his_side_is_cancelled(run: Run) -> None:
    async def scene() -> None:
        app = Deaf(*STREAM)
        wire = Wire(app)
        await wire.feed(GET)
        await wire.eof()
        stop = Stop(wire)
        await stop.look()
        await stop.look()
        assert app.ended == ["cancelled"]

    run(scene())


def test_a_stream_that_goes_on_to_who_has_closed_his_side_is_left_to_it(run: Run) -> None:
    """Such a client may still read, and if it does not, sending will tell."""

    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        await app.send(start())
        await wire.eof()
        stop = Stop(wire)
        for _ in range(4):
            await app.send(body(b"more", more=True))
            await stop.look()
        await app.send(body(b"end"))
        app.done[0].set()
        await wire.settle()
        assert wire.output.endswith(b"0\r\n\r\n")
        assert not wire.service.running

    run(scene())


# ------------------------------------------------------------------------- before the answer


async def until_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def poll(scope: Scope, receive: Any, send: Any) -> None:
    await until_disconnect(receive)
    if scope["path"] == "/polite":
        await send(start())
        await send(body(b"nothing new"))
    elif scope["path"] == "/raises":
        raise ConnectionError from ClientDisconnect()


class ClientDisconnect(Exception):
    """Starlette's name for it."""


@pytest.mark.parametrize(
    ("path", "status"), [("/", b"503"), ("/polite", b"200"), ("/raises", b"503")]
)
def test_a_call_that_only_listens_is_told(
    run: Run, path: str, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        wire = Wire(poll)
        await wire.feed(get(path))
        stop = Stop(wire)
        await stop.look()
        assert wire.output == b""
        await stop.look()
        assert wire.output[STATUS] == status
        assert b"Connection: close" in wire.output
        assert wire.transport.closed
        assert not wire.service.running

    run(scene())
    assert caplog.text == ""


def test_a_look_whether_the_client_is_there_is_no_listening(run: Run) -> None:
    """As Starlette's `request.is_disconnected()`: its wait in `receive` is cancelled at once."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        for _ in range(50):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await receive()
        await send(start())
        await send(body(b"answer"))

    async def scene() -> None:
        wire = Wire(app)
        stop = Stop(wire)
        wire.connection.data_received(GET)
        seen = []
        while wire.service.running:
            stop.looks.look()
            seen += [call.only_listens_since for call in wire.service.running]
            await asyncio.sleep(0)
        assert any(seen), "some of the looks came while it waited"
        assert bodies(wire.output) == [b"answer"]

    run(scene())


def test_who_has_listened_and_works_now_is_left_to_it(run: Run) -> None:
    """Its wait in `receive` is over, also if it was given up."""
    told: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        for go in scope["state"]["go"]:
            try:
                async with asyncio.timeout(0):
                    await receive()
                told.append(True)
            except TimeoutError:
                told.append(False)
            await go.wait()
        await send(start())
        await send(body(b"answer"))

    async def scene() -> None:
        wire = Wire(app)
        wire.service.state["go"] = events = [asyncio.Event(), asyncio.Event()]
        await wire.feed(GET)
        stop = Stop(wire)
        for go in events:
            assert [call.only_listens_since for call in wire.service.running] == [None]
            for _ in range(3):
                await stop.look()
            go.set()
            await wire.settle()
        assert bodies(wire.output) == [b"answer"]

    run(scene())
    assert told == [False, False]


def test_who_listens_beside_his_work_is_left_to_it(run: Run) -> None:
    """As Django and Quart do, which drop the work when they are told."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        listening = asyncio.ensure_future(receive())
        await asyncio.wait(
            [listening, asyncio.ensure_future(scope["state"]["go"].wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not listening.done():
            await send(start())
            await send(body(b"answer"))
            await listening

    async def scene() -> None:
        wire = Wire(app)
        wire.service.state["go"] = asyncio.Event()
        await wire.feed(GET)
        stop = Stop(wire)
        for _ in range(3):
            await stop.look()
        wire.service.state["go"].set()
        await wire.settle()
        assert bodies(wire.output) == [b"answer"]

    run(scene())


def test_who_has_started_a_task_for_his_work_is_left_to_it(run: Run) -> None:
    """As who ends a task group when the client leaves; told when that task is done."""

    async def work(scope: Scope, send: Any) -> None:
        await scope["state"]["go"].wait()
        if scope["path"] == "/answers":
            await send(start())
            await send(body(b"answer"))

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        task = asyncio.ensure_future(work(scope, send))
        await until_disconnect(receive)
        task.cancel()

    async def scene() -> None:
        first, second, listens = Wire(app), Wire(app), Wire(poll)
        service = first.service
        service.state["go"] = asyncio.Event()
        stray = asyncio.ensure_future(asyncio.Event().wait())  # as a lifespan's: nobody's work
        for wire, path, mark in ((first, "/answers", 1), (second, "/", 1), (listens, "/", 2)):
            wire.connection.service = service
            service.app = app if mark == 1 else poll
            service.check_deadlines(wire.loop.time() + mark)
            await wire.feed(get(path))
        stop = Stop(first)
        for _ in range(3):
            await stop.look()
        assert [wire.output[STATUS] for wire in (first, second, listens)] == [b"", b"", b"503"]
        service.state["go"].set()
        await first.settle()
        assert bodies(first.output) == [b"answer"]
        assert second.output == b""
        await stop.look()
        await stop.look()
        assert second.output[STATUS] == b"503"
        stray.cancel()

    run(scene())


def test_who_waits_for_the_body_is_not_told(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        size = 0
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            size += len(message["body"])
            if not message["more_body"]:
                break
        await send(start())
        await send(body(b"%d" % size))

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\n", b"abc")
        stop = Stop(wire)
        await stop.look()
        await stop.look()
        await wire.feed(b"def")
        assert bodies(wire.output) == [b"6"]

    run(scene())


# ---------------------------------------------------------------------------------- streams


class Streams:
    """A stream for each of `ages` in seconds, each with a listener beside it, and their looks."""

    def __init__(self, *ages: float, grace: float = 30.0) -> None:
        self.app = Recorder()
        self.wires = [Wire(self.app) for _ in ages]
        self.service = self.wires[0].service
        self.looks = Looks(self.service, grace)
        self.ages = ages
        self.sends: list[Any] = []
        self.listeners: list[asyncio.Future[Any]] = []

    async def begin(self) -> None:
        now = self.wires[0].loop.time()
        for wire, age in zip(self.wires, self.ages, strict=True):
            wire.connection.service = self.service
            self.service.check_deadlines(now - age)
            await wire.feed(GET)
            await self.app.receive()
            self.listeners.append(asyncio.ensure_future(self.app.receive()))
            self.sends.append(self.app.send)
            await self.app.send(start())
            await self.app.send(body(b"first", more=True))

    async def look(self) -> list[bool]:
        """Who has been told of the stop after one more look."""
        self.looks.look()
        await self.wires[0].settle()
        return [each.done() for each in self.listeners]

    async def end(self) -> None:
        for done in self.app.done:
            done.set()
        await self.wires[0].settle()


def test_a_stream_that_has_only_just_begun_may_be_short(run: Run) -> None:
    async def scene() -> None:
        streams = Streams(5, 0)
        await streams.begin()
        assert await streams.look() == [False, False], "whether they send is seen at the next look"
        assert await streams.look() == [True, False]
        await streams.sends[1](body(b"last"))
        assert streams.wires[1].output.endswith(b"\r\n0\r\n\r\n")
        await streams.end()

    run(scene())


def test_an_answer_of_known_length_is_no_stream(run: Run) -> None:
    """It comes to its end, be it quiet for so long."""

    async def scene() -> None:
        app = Deaf(start(200, (b"content-length", b"6")), body(b"first", more=True))
        wire = Wire(app)
        wire.service.check_deadlines(wire.loop.time() - 5)
        await wire.feed(GET)
        stop = Stop(wire)
        for _ in range(4):
            await stop.look()
        await wire.eof()
        for _ in range(4):
            await stop.look()
        assert app.ended == []
        (call,) = wire.service.running
        assert (call.may_be_endless, call.unheard) == (False, False)
        app.go.set()
        await wire.settle()
        assert app.ended == ["answered"]
        assert bodies(wire.output) == [b"first!"]

    run(scene())


def test_a_stream_that_sends_at_each_look_may_come_to_its_end(run: Run) -> None:
    async def scene() -> None:
        streams = Streams(5, 5)
        await streams.begin()
        assert await streams.look() == [False, False]
        for _ in range(5):
            await streams.sends[0](body(b"more", more=True))
            assert await streams.look() == [False, True]
        assert await streams.look() == [True, True], "quiet for once"
        await streams.end()

    run(scene())


def test_a_stream_that_sends_without_end_has_half_of_the_grace(run: Run) -> None:
    async def scene() -> None:
        streams = Streams(5, grace=0.0)
        await streams.begin()
        assert await streams.look() == [True]
        await streams.end()

    run(scene())


@pytest.mark.parametrize("grace", [10.0, 30.0])
def test_half_of_the_grace_is_from_the_first_look_on(run: Run, grace: float) -> None:
    async def scene() -> None:
        streams = Streams(5)
        await streams.begin()
        first = streams.service.loop.time()
        clock = SimpleNamespace(now=first, time=lambda: clock.now)
        service: Any = SimpleNamespace(loop=clock, running=streams.service.running)
        streams.looks = Looks(service, grace)
        told = {}
        for share in (0.0, 0.1, 0.49, 0.5):
            clock.now = first + share * grace
            await streams.sends[0](body(b"more", more=True))
            told[share] = (await streams.look())[0]
        assert told == {0.0: False, 0.1: False, 0.49: False, 0.5: True}
        await streams.end()

    run(scene())


def test_how_old_a_stream_is_that_may_come_to_its_end(run: Run) -> None:
    async def nothing() -> None: ...

    async def scene() -> None:
        context = contextvars.copy_context()
        context.run(MARK.set, 100.0)
        task: asyncio.Task[None] = asyncio.Task(nothing(), context=context)
        ages = {}
        for age in (0.0, 1.49, 1.5):
            service: Any = SimpleNamespace(loop=SimpleNamespace(time=lambda at=100 + age: at))
            ages[age] = is_young(service, task)
        assert ages == {0.0: True, 1.49: True, 1.5: False}
        assert is_young(service, None) is False
        await task

    run(scene())


# ------------------------------------------------------------------------------- WebSockets


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (None, 503),
        ({"type": "websocket.close"}, 503),
        (ACCEPT, 101),
    ],
)
def test_a_handshake_that_listens_is_told(
    run: Run, answer: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(await receive())
        seen.append(await receive())
        if answer is not None:
            await send(answer)

    async def scene() -> None:
        wire = SocketWire(app)
        await wire.feed(upgrade())
        await Stop(wire).look()
        assert wire.status == status
        if status == 101:
            assert wire.close_code == 1012

    run(scene())
    assert [message["type"] for message in seen] == ["websocket.connect", "websocket.disconnect"]
    assert seen[1]["code"] == 1012
    assert caplog.text == ""


@pytest.mark.parametrize(("ago", "told"), [(5, True), (-60, False)])
def test_a_handshake_that_has_only_just_begun_has_time_to_listen_for_something_else(
    run: Run, ago: float, told: bool
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await receive()

    async def scene() -> None:
        wire = SocketWire(app)
        # In the future, since this machine may be slow; not by the tick, which would close it then.
        mark = wire.loop.time() - ago
        wire.service.context = contextvars.copy_context()
        wire.service.context.run(MARK.set, mark)
        await wire.feed(upgrade())
        assert [mark_of(call.task) for call in wire.service.running] == [mark]
        await Stop(wire).look()
        assert (wire.output != b"") is told
        await wire.lose()

    run(scene())


def test_a_handshake_that_does_not_listen_is_left_alone(run: Run) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await scope["state"]["go"].wait()
        await send({"type": "websocket.close"})

    async def scene() -> None:
        wire = SocketWire(app)
        wire.service.state["go"] = asyncio.Event()
        await wire.feed(upgrade())
        stop = Stop(wire)
        for _ in range(3):
            await stop.look()
        assert wire.output == b""
        wire.service.state["go"].set()
        await wire.settle()
        assert wire.status == 403

    run(scene())


def test_a_websocket_whose_client_has_left(run: Run) -> None:
    """Its call is cancelled, but not before it has had what came before."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await receive()
        await scope["state"]["go"].wait()
        seen.append((await receive())["text"])
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def scene() -> None:
        wire = SocketWire(app, concurrency=1)
        wire.service.state["go"] = asyncio.Event()
        await wire.feed(upgrade(), b"\x81\x82\0\0\0\0hi")
        await wire.lose()
        stop = Looks(wire.service, 30.0)
        wire.service.draining = True
        for _ in range(3):
            stop.look()
            await wire.settle()
        assert seen == []
        wire.service.state["go"].set()
        await wire.settle()
        for _ in range(2):
            stop.look()
            await wire.settle()
        assert seen == ["hi", "cancelled"]

    run(scene())


@pytest.mark.parametrize("closed_by", ["the application", "the stop"])
def test_work_behind_a_websocket_that_we_have_closed_goes_on(run: Run, closed_by: str) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = SocketWire(app)
        await wire.feed(upgrade())
        await app.send(ACCEPT)
        if closed_by == "the application":
            await app.send({"type": "websocket.close"})
        wire.service.draining = closed_by == "the stop"
        await wire.lose()
        stop = Looks(wire.service, 30.0)
        for _ in range(3):
            stop.look()
            await wire.settle()
        assert len(wire.service.running) == 1
        app.done[0].set()
        await wire.settle()

    run(scene())
