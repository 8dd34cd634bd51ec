"""A connection by its parts: redirections, resets, proxies, refusals, offers."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from functools import partial
from typing import Any

import pytest

from bare_serve.asgi import Connection, HttpOptions, service
from bare_serve.counts.tally import UNCOUNTED
from bare_serve.http import Limits, Timeouts
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.http1.redirect import Redirecting
from bare_serve.net.forwarded import parse_trust
from bare_serve.net.proxy_protocol import ProxyHeader
from bare_serve.websocket import WebSocketOptions
from tests.asgi.conftest import Run
from tests.asgi.fakes import FakeTransport, Recorder, Wire, body, get, hello, post, start
from tests.support.answers import KeptAnswers


def test_a_listener_that_sends_its_clients_on(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bare_serve")

    async def scene() -> None:
        answers = KeptAnswers()
        wire = Wire(hello, on_answered=answers)
        peer = ("10.0.0.9", 4711)
        parser = select_parser("auto").make()
        redirect = partial(Redirecting, parser, Limits(), b"X-Extra: 1\r\n", 8443)
        wire.connection = Connection(wire.service, None, peer, new_exchange=redirect)
        wire.connection.connection_made(wire.transport)  # type: ignore[arg-type]
        await wire.feed(get("/a?b"))
        head, _, text = wire.output.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 308 ")
        assert b"Location: https://test:8443/a?b" in lines
        assert b"X-Extra: 1" in lines
        assert text == b"See https://test:8443/a?b\n"
        assert wire.transport.eof_written
        [line] = answers.kept
        assert line[:5] == ("10.0.0.9", "GET", b"/a?b", "1.1", 308)
        assert line.seconds == 0.0
        await wire.lose()

    run(scene())
    assert "refused" not in caplog.text


@pytest.mark.parametrize("kind", ["tcp", "unix", "none"])
@pytest.mark.parametrize("minor", [0, 1])
def test_an_answer_that_ends_by_the_end_is_broken_off_by_a_reset(
    run: Run, kind: str, minor: int
) -> None:
    """HTTP/1.0 has no chunks; with chunks their end is missing, and a clean close is enough."""

    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            sock = {"tcp": tcp, "unix": unix, "none": None}[kind]
            app = Recorder()
            wire = Wire(app, transport=FakeTransport(socket=sock))
            await wire.feed(get("/").replace(b"HTTP/1.1", b"HTTP/1.%d" % minor))
            await app.send(start())
            await app.send(body(b"part", more=True))
            wire.connection.break_off()
            assert wire.transport.closed
            assert wire.transport.aborted is (minor == 0)
            for each in (tcp, unix):
                option = each.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
                reset = each is tcp and kind == "tcp" and minor == 0
                assert struct.unpack("ii", option) == ((1, 0) if reset else (0, 0))
            app.done[0].set()
            await wire.lose()

    run(scene())


async def not_taken(wire: Wire, app: Recorder) -> None:
    """The client takes nothing for longer than the write timeout."""
    wire.transport.unsent = 1000
    for seconds in range(12):
        wire.connection.check(wire.loop.time() + seconds)


async def closed_and_not_taken(wire: Wire, app: Recorder) -> None:
    """Its last piece was sent, and not taken, when the write timeout is over."""
    wire.transport.unsent = 1000
    await app.send(body(b"end"))
    await not_taken(wire, app)


async def cut(wire: Wire, app: Recorder) -> None:
    """The grace period is over, and the application goes on."""
    wire.connection.cut()


async def late_body(wire: Wire, app: Recorder) -> None:
    """The body of the request comes too slowly behind the beginning of its answer."""
    receiving = wire.loop.create_task(app.receive())
    await wire.settle()
    for seconds in range(3):
        wire.connection.check(wire.loop.time() + seconds)
    await receiving


async def half_a_body(wire: Wire, app: Recorder) -> None:
    """The client ends its side within its body, and may still read."""
    await wire.eof()


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("end", [not_taken, closed_and_not_taken, cut, late_body, half_a_body])
def test_an_answer_that_is_given_up_never_looks_whole(run: Run, end: Any, minor: int) -> None:
    """HTTP/1.0 has no chunks, so only a reset tells; with chunks the last one is missing."""

    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            app = Recorder()
            timeouts = Timeouts(write=10, body=1)
            wire = Wire(app, transport=FakeTransport(socket=sock), timeouts=timeouts)
            request = post(b"", length=3 if end in (late_body, half_a_body) else 0)
            await wire.feed(request.replace(b"HTTP/1.1", b"HTTP/1.%d" % minor))
            await app.send(start())
            await app.send(body(b"part", more=True))
            await end(wire, app)
            option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            assert struct.unpack("ii", option) == ((0, 0) if minor else (1, 0))
            assert wire.transport.closed
            app.done[0].set()
            await wire.lose()

    run(scene())


def test_a_reset_of_a_socket_that_is_closed_already(run: Run) -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            app = Recorder()
            wire = Wire(app, transport=FakeTransport(socket=sock))
            await wire.feed(get("/").replace(b"HTTP/1.1", b"HTTP/1.0"))
            await app.send(start())
            await app.send(body(b"part", more=True))
        await wire.lose()
        wire.connection.break_off()
        app.done[0].set()
        await wire.settle()

    run(scene())


@pytest.mark.parametrize(
    ("field", "client", "logged"),
    [
        ("Forwarded: for=203.0.113.5", ("203.0.113.5", 0), "203.0.113.5"),
        ("Forwarded: for=unknown", None, ""),
        ("X-Other: 1", ("10.0.0.9", 4711), "10.0.0.9"),
    ],
)
def test_a_client_behind_a_proxy(run: Run, field: str, client: Any, logged: str) -> None:
    async def scene() -> None:
        app = Recorder()
        answers = KeptAnswers()
        trust = parse_trust(["10.0.0.9"])
        wire = Wire(app, trust=trust, on_answered=answers)
        await wire.feed(get("/", field))
        assert app.scopes[0]["client"] == client
        await app.send(start())
        await app.send(body(b"x"))
        app.done[0].set()
        await wire.settle()
        assert answers.kept[0][0] == logged
        await wire.lose()

    run(scene())


@pytest.mark.parametrize("secure", [False, True])
def test_tls_that_a_proxy_has_ended(run: Run, secure: bool) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        told = ProxyHeader(source=("203.0.113.5", 1), destination=("a", 443), secure=secure)
        wire.connection = Connection(wire.service, None, ("10.0.0.9", 4711), told)
        wire.connection.connection_made(wire.transport)  # type: ignore[arg-type]
        await wire.feed(get("/"))
        assert app.scopes[0]["scheme"] == ("https" if secure else "http")
        assert app.scopes[0]["server"] == ("a", 443)
        app.done[0].set()
        await wire.lose()

    run(scene())


@pytest.mark.parametrize("peer", [("10.0.0.9", 4711), ""])
def test_a_refusal_names_its_client(run: Run, peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bare_serve")

    async def scene() -> None:
        answers = KeptAnswers()
        wire = Wire(hello, transport=FakeTransport(peername=peer), on_answered=answers)
        await wire.feed(b"nonsense\r\n\r\n")
        assert wire.output.startswith(b"HTTP/1.1 400 ")
        assert answers.kept == []
        await wire.lose()

    run(scene())
    assert f"{peer[0] if peer else '-'}: refused: " in caplog.text


@pytest.mark.parametrize("fault", ["X-Forwarded-For: no address", "X-A : no field"])
def test_a_refusal_names_no_client_that_asked_before(
    run: Run, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients share the connection of their proxy."""
    caplog.set_level("INFO", "bare_serve")

    async def scene() -> None:
        peer = FakeTransport(peername=("10.0.0.9", 4711))
        answers = KeptAnswers()
        wire = Wire(hello, transport=peer, trust=parse_trust(["10.0.0.9"]), on_answered=answers)
        await wire.feed(get("/", "X-Forwarded-For: 203.0.113.5"))
        assert [line[0] for line in answers.kept] == ["203.0.113.5"]
        await wire.feed(get("/", fault))
        assert b"HTTP/1.1 400 " in wire.output
        await wire.lose()

    run(scene())
    assert "10.0.0.9: refused: 400" in caplog.text
    assert "203.0.113.5" not in caplog.text


def test_a_head_that_is_late_is_not_told_as_the_one_before(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bare_serve")

    async def scene() -> None:
        peer = FakeTransport(peername=("10.0.0.9", 4711))
        trust = parse_trust(["10.0.0.9"])
        wire = Wire(hello, transport=peer, trust=trust, timeouts=Timeouts(headers=1))
        await wire.feed(get("/first", "X-Forwarded-For: 203.0.113.5"))
        await wire.feed(b"GET /second HT")
        now = wire.loop.time()
        wire.service.check_deadlines(now)
        wire.service.check_deadlines(now + 1.1)
        assert b"HTTP/1.1 408 " in wire.output
        await wire.lose()

    run(scene())
    assert "10.0.0.9: refused: 408" in caplog.text
    assert "/first" not in caplog.text


def test_who_is_cancelled_because_the_server_stops(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(get("/slow"))
        wire.service.draining = True
        for call in list(wire.service.running):
            assert call.task is not None
            call.task.cancel()
        await wire.settle()
        assert wire.output.startswith(b"HTTP/1.1 503 ")
        await wire.lose()

    run(scene())
    assert "GET /slow: cancelled, because the server is stopping." in caplog.text


def test_http_1_0_is_offered_no_trailers(run: Run) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(get("/", "TE: trailers").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert "http.response.trailers" not in app.scopes[0]["extensions"]
        app.done[0].set()
        await wire.lose()

    run(scene())


@pytest.mark.parametrize(
    ("lines", "offered"),
    [
        ((), False),
        (("TE: trailers",), True),
        (("TE: Trailers",), True),
        (("TE: gzip, trailers",), True),
        (("TE: gzip", "TE: trailers"), True),
        (("TE: gzip",), False),
        (("TE: trailersX",), False),
        (("Trailer: trailers",), False),
    ],
)
def test_who_is_offered_trailers(run: Run, lines: tuple[str, ...], offered: bool) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(get("/", *lines))
        assert ("http.response.trailers" in app.scopes[0]["extensions"]) is offered
        app.done[0].set()
        await wire.lose()

    run(scene())


def test_what_is_not_said() -> None:
    new_exchange = partial(ServerConnection, select_parser("auto").make(), Limits())
    assert HttpOptions(new_exchange, Timeouts())[2:] == (
        *("", None, None, 0, 0.0, WebSocketOptions(), UNCOUNTED, None),
    )


def test_a_request_is_seen_before_the_loop_has_seen_it() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire = Wire(hello, transport=FakeTransport(socket=ours))
            assert not wire.connection._can_be_read()
            theirs.sendall(b"G")
            assert wire.connection._can_be_read()
        assert not wire.connection._can_be_read(), "closed"
        assert not Wire(hello).connection._can_be_read(), "no socket"

    asyncio.run(scene())


def test_lots_are_for_loops_whose_tasks_wait() -> None:
    assert (64 if sys.version_info[:2] == (3, 11) else sys.maxsize) == service.BATCH
