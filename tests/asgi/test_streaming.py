"""Pieces of an answer: alone they leave at once, those of a burst leave together, none is lost.

The clock stands still unless a test moves it: what is a burst does not depend on the machine.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

import pytest

from bare_serve.asgi import streaming
from bare_serve.errors import ClientGone
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, FakeTransport, Scope, Wire, body, get, start, until
from tests.support.answers import KeptAnswers

PIECES = [b"%03d" % number * 100 for number in range(100)]
WHOLE = b"".join(PIECES)


class Clock:
    """What `perf_counter` says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def go_on(self) -> None:
        """So far that the next piece is none of a burst."""
        self.now += 2 * streaming.BURST_SECONDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(streaming, "perf_counter", made)
    return made


def body_of(output: bytes) -> bytes:
    """The body of the one answer in `output`, which says that it is complete if it is in chunks."""
    head, _, rest = output.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return rest
    assert rest.endswith(b"0\r\n\r\n")
    return _chunks(rest.removesuffix(b"0\r\n\r\n"))


def _chunks(rest: bytes) -> bytes:
    found = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found += rest[: int(size, 16)]
        assert rest[int(size, 16) :][:2] == b"\r\n"
        rest = rest[int(size, 16) + 2 :]
    return found


async def burst(scope: Scope, receive: Any, send: Any) -> None:
    await send(start())
    for piece in PIECES:
        await send(body(piece, more=True))
    await send(body())


@pytest.mark.parametrize(
    ("request_", "headers"),
    [
        (GET, ()),
        (GET, ((b"content-length", b"%d" % len(WHOLE)),)),
        (b"GET / HTTP/1.0\r\n\r\n", ()),
    ],
    ids=["chunks", "length", "http10"],
)
def test_a_burst_takes_few_writes(
    run: Run, clock: Clock, request_: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start(200, *headers))
        for piece in PIECES:
            await send(body(piece, more=True))
        await send(body())

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(request_)
        assert body_of(wire.output) == WHOLE
        assert len(wire.transport.writes) == 2  # the first piece, and all others with the end

    run(scene())


def test_what_is_kept_is_bounded(run: Run, clock: Clock) -> None:
    piece = bytes(10_000)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for _ in range(50):
            await send(body(piece, more=True))
        await send(body(bytes(1 << 17), more=True))
        await send(body(piece, more=True))
        await send(body(bytes(1 << 17)))

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        assert body_of(wire.output) == bytes(51 * 10_000 + (1 << 18))
        small = [len(write) for write in wire.transport.writes if len(write) < 1 << 17]
        assert max(small) <= streaming.MOST_KEPT + 100

    run(scene())


def test_a_piece_that_comes_alone_leaves_before_send_returns(run: Run, clock: Clock) -> None:
    seen = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for number in range(5):
            clock.go_on()
            await send(body(b"event %d" % number, more=True))
            seen.append(wire.output.endswith(b"event %d\r\n" % number))
        await send(body())

    async def scene() -> None:
        nonlocal wire
        wire = Wire(app)
        await wire.feed(GET)
        assert seen == [True] * 5
        assert body_of(wire.output) == b"event 0event 1event 2event 3event 4"

    wire: Wire
    run(scene())


def test_the_pieces_of_a_burst_leave_while_the_application_waits(run: Run, clock: Clock) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for piece in (b"one", b"two", b"three"):
            await send(body(piece, more=True))
        await asyncio.Event().wait()

    async def scene() -> None:
        crowd = [Wire(app)]
        crowd[0].connection.data_received(GET)
        await until(lambda: len(crowd[0].transport.writes) == 2)
        assert crowd[0].output.endswith(b"3\r\none\r\n8\r\ntwothree\r\n")
        await crowd[0].lose()

    run(scene())


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError, None])
def test_what_is_kept_leaves_before_the_connection_breaks_off(
    run: Run, clock: Clock, failure: type[BaseException] | None
) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for piece in (b"one", b"two"):
            await send(body(piece, more=True))
        if failure is not None:
            raise failure

    async def scene() -> None:
        answers = KeptAnswers()
        wire = Wire(app, on_answered=answers)
        await wire.feed(GET)
        assert wire.output.endswith(b"3\r\none\r\n3\r\ntwo\r\n")  # and no last chunk
        assert wire.transport.closed
        assert [answer.bytes_sent for answer in answers.kept] == [6]

    run(scene())


def test_what_is_kept_leaves_before_a_request_is_refused(run: Run, clock: Clock) -> None:
    """Its body breaks the protocol in the middle of the answer, in the turn of a burst."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for piece in (b"one", b"two"):
            await send(body(piece, more=True))
        wire.connection.data_received(b"no chunk\r\n")
        await receive()

    async def scene() -> None:
        nonlocal wire
        wire = Wire(app)
        await wire.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert wire.output.endswith(b"3\r\none\r\n3\r\ntwo\r\n")
        assert wire.transport.closed

    wire: Wire
    run(scene())


def test_nothing_is_written_to_a_client_that_has_left(run: Run, clock: Clock) -> None:
    failed = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for piece in (b"one", b"two"):
            await send(body(piece, more=True))
        wire.connection.connection_lost(None)
        await asyncio.sleep(0)
        try:
            await send(body(b"three", more=True))
        except ClientGone as error:
            failed.append(error)
            raise

    async def scene() -> None:
        nonlocal wire
        answers = KeptAnswers()
        wire = Wire(app, on_answered=answers)
        await wire.feed(GET)
        assert failed
        assert wire.output.endswith(b"3\r\none\r\n")
        assert [answer.bytes_sent for answer in answers.kept] == [3]

    wire: Wire
    run(scene())


def test_the_end_of_the_grace_period_takes_what_is_kept_along(run: Run, clock: Clock) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for piece in (b"one", b"two"):
            await send(body(piece, more=True))
        wire.connection.cut()
        await receive()

    async def scene() -> None:
        nonlocal wire
        wire = Wire(app)
        await wire.feed(GET)
        assert wire.output.endswith(b"3\r\none\r\n3\r\ntwo\r\n")
        assert wire.transport.aborted

    wire: Wire
    run(scene())


class SlowTransport(FakeTransport):
    """Takes one write at a time."""

    connection: Any = None

    def write(self, data: bytes) -> None:
        super().write(data)
        self.connection.pause_writing()


def test_a_slow_reader_stops_the_application(run: Run, clock: Clock) -> None:
    sent = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for number in range(100):
            await send(body(bytes(20_000), more=True))
            sent.append(number)
        await send(body())

    async def scene() -> None:
        transport = SlowTransport()
        wire = Wire(app, transport=transport)
        transport.connection = wire.connection
        await wire.feed(GET)
        assert len(sent) == 0
        wire.connection.resume_writing()
        await wire.settle()
        assert 1 <= len(sent) <= 5  # as many as may be kept
        while not wire.output.endswith(b"0\r\n\r\n"):
            wire.connection.resume_writing()
            await wire.settle()
        assert body_of(wire.output) == bytes(20_000 * 100)

    run(scene())


def test_head_gets_no_body(run: Run, clock: Clock) -> None:
    async def scene() -> None:
        wire = Wire(burst)
        await wire.feed(GET.replace(b"GET", b"HEAD"))
        assert wire.output.endswith(b"\r\n\r\n")
        assert body_of(wire.output.replace(b"chunked", b"")) == b""

    run(scene())


def test_a_body_that_is_too_long_is_cut(run: Run, clock: Clock) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", b"7")))
        for piece in (b"one", b"two", b"three"):
            await send(body(piece, more=True))
        await send(body())

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(GET)
        assert body_of(wire.output) == b"onetwot"

    run(scene())


def test_trailers_and_files_come_behind_what_is_kept(run: Run, clock: Clock) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({**start(), "trailers": True})
        for piece in (b"one", b"two"):
            await send(body(piece, more=True))
        with tempfile.TemporaryFile() as file:
            os.write(file.fileno(), b"file")
            file.seek(0)
            message = {"type": "http.response.zerocopysend", "file": file, "more_body": True}
            await send(message)
        await send(body(b"three", more=True))
        await send(body(b"four"))
        fields = [(b"x-end", b"yes")]
        await send({"type": "http.response.trailers", "headers": fields, "more_trailers": False})

    async def scene() -> None:
        wire = Wire(app)
        await wire.feed(get("/", "TE: trailers"))
        rest = wire.output.partition(b"\r\n\r\n")[2]
        data, _, trailers = rest.partition(b"0\r\n")
        assert _chunks(data) == b"onetwofilethreefour"
        assert trailers == b"x-end: yes\r\n\r\n"

    run(scene())


def test_a_stop_sees_what_is_kept(run: Run, clock: Clock) -> None:
    """Or a stream might seem quiet that has just sent something."""
    sent = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start())
        for piece in (b"one", b"two"):
            await send(body(piece, more=True))
            (call,) = wire.service.running
            sent.append(call.sent)
        await send(body())

    async def scene() -> None:
        nonlocal wire
        wire = Wire(app)
        await wire.feed(GET)
        assert sent == [3, 6]

    wire: Wire
    run(scene())
