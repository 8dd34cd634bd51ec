"""A worker that leaves closes no connection whose request has arrived, or may be on its way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.asgi import Connection
from bare_serve.http import Deadlines, Timeouts
from bare_serve.workers import idle_rounds
from bare_serve.workers.idle_rounds import FRESH_LINGER, IDLE_LINGER, LATE, Rounds
from bare_serve.workers.wsgi.shared import Shared
from tests.support import RawClient, eventually
from tests.workers.asgi import threads as asgi_threads
from tests.workers.wsgi import threads as wsgi_threads
from tests.workers.wsgi.threads import get

STEP = IDLE_LINGER


# ------------------------------------------------------------------------------ when to look


def test_rounds_in_time() -> None:
    rounds = Rounds(100.0)
    assert rounds.due == 100.0 + STEP
    now = rounds.due + LATE / 2
    assert rounds.begin(now)
    assert rounds.due == now + STEP
    assert not rounds.fresh(100.0 + FRESH_LINGER - 0.01)
    assert rounds.fresh(100.0 + FRESH_LINGER)


def test_a_round_that_is_late_closes_nothing_and_gives_more_time() -> None:
    for late, wait in ((0.1, STEP + 0.4), (0.15, STEP + 0.6), (60.0, 1.0)):
        rounds = Rounds(0.0)
        now = rounds.due + late
        assert not rounds.begin(now)
        assert rounds.due == pytest.approx(now + wait)
        assert not rounds.fresh(now)
        assert rounds.begin(rounds.due)


def test_a_machine_that_stays_busy_does_not_hold_up_the_end() -> None:
    rounds = Rounds(0.0)
    postponed = 0
    while not rounds.begin(rounds.due + 10.0):
        postponed += 1
    assert postponed == 3
    assert rounds.begin(rounds.due + 10.0), "nor any later round"


# ------------------------------------------------------------------------------ real workers


class Gate:
    """Something the application waits for, and the test as well."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.entered.set()
        assert self.go.wait(30)


def wsgi_app(gate: Gate) -> Any:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/stall":
            gate.wait()
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        if environ["PATH_INFO"] == "/stream":
            gate.wait()
        yield b"b"

    return app


def asgi_app(gate: Gate) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/stall":
            gate.wait()  # and with it the loop
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        if scope["path"] == "/stream":
            gate.entered.set()
            while not gate.go.is_set():
                await asyncio.sleep(0.005)
        await send({"type": "http.response.body", "body": b"b"})

    return app


@contextlib.contextmanager
def leaving_worker(
    kind: str, gate: Gate, monkeypatch: pytest.MonkeyPatch, threads: int, **options: Any
) -> Iterator[tuple[Any, threading.Event]]:
    """A worker, and what is set once it has begun to leave."""
    draining = threading.Event()
    if kind == "wsgi":
        begin = Shared.begin_drain

        def begun(shared: Shared, now: float) -> None:
            begin(shared, now)
            draining.set()

        monkeypatch.setattr(Shared, "begin_drain", begun)
        with wsgi_threads.running(wsgi_app(gate), threads=threads, **options) as worker:
            yield worker, draining
    else:
        drain = Connection.drain

        def drained(connection: Connection) -> None:
            drain(connection)
            draining.set()

        monkeypatch.setattr(Connection, "drain", drained)
        loop = kind.partition("-")[2]
        with asgi_threads.worker_of(asgi_app(gate), loop=loop, **options) as worker:
            yield worker, draining


KINDS = pytest.mark.parametrize("kind", ["wsgi", "asgi-asyncio", "asgi-uvloop"])


def ask(client: RawClient) -> str | None:
    """Asks once more; what the answer says of the connection."""
    client.send(get("/"))
    answer = client.response()
    assert answer.body == b"ab"
    return answer.header("connection")


@KINDS
def test_whoever_was_promised_another_answer_gets_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head of the answer had left, without `Connection: close`, before the stop."""
    gate = Gate()
    with leaving_worker(kind, gate, monkeypatch, 8) as (worker, draining):
        with worker.client() as client:
            client.send(get("/stream"))
            assert gate.entered.wait(10)
            worker.stop()
            assert draining.wait(10)
            gate.go.set()
            answer = client.response()
            assert (answer.body, answer.header("connection")) == (b"ab", None)
            assert ask(client) == "close"
            assert client.is_closed()
        worker.join()


@KINDS
def test_a_stall_gives_clients_more_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that arrives in a stall longer than the linger is served, and one behind it."""
    linger = 1.0
    monkeypatch.setattr(idle_rounds, "IDLE_LINGER", linger)
    gate = Gate()
    with leaving_worker(kind, gate, monkeypatch, 1) as (worker, draining):
        with worker.client() as stalling, worker.client() as during, worker.client() as behind:
            for client in (stalling, during, behind):
                assert ask(client) is None
            worker.stop()
            assert draining.wait(10)
            stalling.send(get("/stall"))
            assert gate.entered.wait(10)
            over = time.monotonic() + linger + 2 * LATE
            during.send(get("/"))
            eventually(lambda: time.monotonic() > over)
            gate.go.set()
            assert stalling.response().header("connection") == "close"
            assert ask(behind) == "close"
            assert during.response().header("connection") == "close"
            for client in (stalling, during, behind):
                assert client.is_closed()
        worker.join()


@KINDS
def test_a_request_that_came_in_time_is_served_although_the_keep_alive_is_over(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was held up, and looks at deadlines before it looks at sockets."""
    gate, seen = Gate(), threading.Event()
    overdue = Deadlines.overdue

    def looked(deadlines: Deadlines, connection: Any, now: float, **more: Any) -> Any:
        verdict = overdue(deadlines, connection, now, **more)
        if connection.requests and verdict is None:
            seen.set()  # as idle: from now on its time runs
        return verdict

    monkeypatch.setattr(Deadlines, "overdue", looked)
    patience = {"timeouts": Timeouts(keep_alive=1.2)}
    with (
        leaving_worker(kind, gate, monkeypatch, 1, **patience) as (worker, _),
        worker.client() as idle,
        worker.client() as stalling,
    ):
        assert ask(idle) is None
        assert seen.wait(10)
        over = time.monotonic() + 1.3
        stalling.send(get("/stall"))
        assert gate.entered.wait(10)
        idle.send(get("/"))
        eventually(lambda: time.monotonic() > over)
        gate.go.set()
        assert idle.response().body == b"ab"
        assert stalling.response().body == b"ab"


@KINDS
def test_idle_connections_are_closed_soon(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with leaving_worker(kind, Gate(), monkeypatch, 8) as (worker, _):
        with worker.client() as client, worker.client() as fresh:
            assert ask(client) is None
            worker.stop()
            assert client.is_closed()
            assert fresh.is_closed()
        worker.join()
