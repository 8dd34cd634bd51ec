"""Requests that come all at once begin in lots, and nothing else about them changes."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from bare_serve.asgi import Connection, service
from bare_serve.http import Timeouts
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, FakeTransport, Recorder, Scope, Wire, bodies, get, hello, post

BATCH = 8
somebody_waits = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="a task runs at once here, so that nobody waits"
)


@pytest.fixture(autouse=True)
def small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """On every Python: those that run a task's first step at once do without."""
    monkeypatch.setattr(service, "BATCH", BATCH)


class Crowd(Wire):
    """Many connections of one worker."""

    def __init__(self, app: Any, count: int, **options: Any) -> None:
        super().__init__(app, **options)
        self.transports = [FakeTransport() for _ in range(count)]
        self.connections = [Connection(self.service, None, None) for _ in range(count)]
        for connection, transport in zip(self.connections, self.transports, strict=True):
            connection.connection_made(transport)  # type: ignore[arg-type]

    def ask(self) -> None:
        """All at once, before any task has its turn."""
        for number, connection in enumerate(self.connections):
            connection.data_received(get(f"/{number}"))

    def answers(self) -> list[bytes]:
        return [b"".join(bodies(b"".join(t.writes))) for t in self.transports]


def test_all_are_answered_and_few_at_a_time(run: Run) -> None:
    begun: list[str] = []
    waiting: list[int] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        waiting.append(len(crowd.service.running))
        begun.append(scope["path"])
        await hello(scope, receive, send)

    async def scene() -> None:
        nonlocal crowd
        crowd = Crowd(app, 5 * BATCH)
        for _ in range(2):
            crowd.ask()
            await crowd.settle()
        assert crowd.answers() == [b"/%d" % n * 2 for n in range(5 * BATCH)]

    crowd: Any = None
    run(scene())
    assert begun == [f"/{n}" for n in range(5 * BATCH)] * 2, "in the order in which they came"
    assert max(waiting) <= BATCH


@somebody_waits
def test_who_waits_is_paused_above_the_high_water_mark(run: Run) -> None:
    async def scene() -> None:
        crowd = Crowd(hello, BATCH + 1)
        crowd.ask()
        last, transport = crowd.connections[-1], crowd.transports[-1]
        for _ in range(40):
            if transport.reading:
                last.data_received(GET * 100)
        assert not transport.reading
        assert not transport.writes
        await crowd.settle()
        while not transport.reading:
            await crowd.settle()
        assert bodies(b"".join(transport.writes))[0] == b"/%d" % BATCH

    run(scene())


@somebody_waits
def test_a_client_that_leaves_while_it_waits(run: Run) -> None:
    paths: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        await hello(scope, receive, send)

    async def scene() -> None:
        crowd = Crowd(app, BATCH + 2)
        crowd.ask()
        crowd.connections[-2].connection_lost(None)
        await crowd.settle()
        assert not crowd.transports[-2].writes
        assert crowd.answers()[-1] == b"/%d" % (BATCH + 1)

    run(scene())
    assert f"/{BATCH}" not in paths


def test_a_client_that_closed_its_sending_side_while_it_waits(run: Run) -> None:
    async def scene() -> None:
        crowd = Crowd(hello, BATCH + 1)
        crowd.ask()
        crowd.connections[-1].eof_received()
        await crowd.settle()
        assert crowd.answers()[-1] == b"/%d" % BATCH
        assert crowd.transports[-1].closed

    run(scene())


@somebody_waits
def test_a_client_that_waits_is_not_late(run: Run) -> None:
    async def scene() -> None:
        crowd = Crowd(hello, BATCH + 1, timeouts=Timeouts(headers=1, keep_alive=1))
        crowd.ask()
        now = crowd.loop.time()
        for seconds in (0.5, 2.0, 4.0):
            crowd.connections[-1].check(now + seconds)
        await crowd.settle()
        assert crowd.answers()[-1] == b"/%d" % BATCH
        assert not crowd.transports[-1].closed

    run(scene())


def test_a_draining_worker_answers_who_waits(run: Run) -> None:
    async def scene() -> None:
        crowd = Crowd(hello, BATCH + 1)
        crowd.ask()
        crowd.service.draining = True
        for connection in list(crowd.service.connections):
            connection.drain()
            connection.wind_down(fresh=True)
        await crowd.settle()
        assert crowd.answers() == [b"/%d" % n for n in range(BATCH + 1)]
        assert all(transport.closed for transport in crowd.transports)

    run(scene())


def test_a_body_that_nobody_has_asked_for_stays_where_it_is(run: Run) -> None:
    """Its connection was called out of turn, since its client had taken an answer."""

    async def scene() -> None:
        app = Recorder()
        crowd = Crowd(app, BATCH + 1)
        crowd.ask()
        last = crowd.connections[-1]
        last.data_received(post(b"half", length=10))
        last.resume_writing()
        assert last.current is not None
        await crowd.settle()
        assert last.current.unread == 0
        for done in app.done:
            done.set()
        for connection in crowd.connections:
            connection.connection_lost(None)
        await asyncio.sleep(0)

    run(scene())


@somebody_waits
@pytest.mark.parametrize("fresh", [True, False])
def test_a_client_that_waits_is_answered_by_a_worker_that_stops(run: Run, fresh: bool) -> None:
    async def scene() -> None:
        crowd = Crowd(hello, BATCH + 1)
        if not fresh:
            crowd.ask()
            await crowd.settle()
        crowd.ask()
        last, transport = crowd.connections[-1], crowd.transports[-1]
        last.drain()
        last.wind_down(fresh=fresh)
        await crowd.settle()
        assert crowd.answers()[-1] == b"/%d" % BATCH * (1 if fresh else 2)
        assert b"connection: close" in b"".join(transport.writes).lower()
        assert transport.closed

    run(scene())
