"""A burst of pipelined requests on one connection: all are answered, and nobody waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.support import RawClient, eventually
from tests.workers.asgi.threads import GET, Scope, Serve, Worker, body, serve_on, start

__all__ = ["serve_on"]

CALL_SECONDS = 0.003


async def slowish(scope: Scope, receive: Any, send: Any) -> None:
    """Computes, and never waits for anything that has not come."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"].startswith("/slowish"):
        time.sleep(CALL_SECONDS)
    told = scope["path"].encode()
    if scope["method"] == "POST":
        told += (await receive())["body"]
    await send(start((b"content-length", b"%d" % len(told))))
    await send(body(told))


def request(path: str, data: bytes = b"") -> bytes:
    if not data:
        return b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode()
    length = b"Content-Length: %d" % len(data)
    return b"POST %s HTTP/1.1\r\nHost: test\r\n%s\r\n\r\n%s" % (path.encode(), length, data)


def worst_wait(worker: Worker, burst: bytes, count: int, bursts: int = 1) -> float:
    """Seconds that another client waited at most, while bursts were served that it came behind."""
    worst = 0.0
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(worker.client())
        assert other.request("GET", "/").status == 200
        clients = [stack.enter_context(RawClient(worker.address, 60)) for _ in range(bursts)]
        answered: list[bytes] = []

        def read(client: RawClient) -> None:
            answered.extend(client.response().body for _ in range(count))

        threads = [threading.Thread(target=read, args=(client,)) for client in clients]
        for client, thread in zip(clients, threads, strict=True):
            client.send(burst * count)
            thread.start()
        asked = 0
        while any(thread.is_alive() for thread in threads):
            begun = time.monotonic()
            assert other.request("GET", "/").body == b"/"
            worst = max(worst, time.monotonic() - begun)
            asked += 1
        for thread in threads:
            thread.join()
        assert len(answered) == bursts * count
        assert asked > 10
    return worst


@pytest.mark.parametrize("data", [b"", b"data"], ids=["GET", "POST"])
def test_another_client_does_not_wait_for_a_burst(serve_on: Serve, data: bytes) -> None:
    with serve_on(slowish) as worker:
        # The burst takes more than 2 seconds; on a machine that runs other tests as well.
        assert worst_wait(worker, request("/slowish", data), 700) < 0.7


@pytest.mark.long
def test_another_client_does_not_wait_for_the_whole_burst(serve_on: Serve) -> None:
    with serve_on(slowish) as worker:
        worst = worst_wait(worker, request("/slowish"), 2600)
        print(f"{worst * 1000:.1f} ms")
        assert worst < 0.7


def test_bursts_are_answered_in_their_order(serve_on: Serve) -> None:
    with serve_on(slowish) as worker, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(worker.client()) for _ in range(4)]
        asked = [
            (f"/{number}" if number % 5 else "/slowish", b"x" * (number % 3))
            for number in range(100)
        ]
        for client in clients:
            client.send(b"".join(request(path, data) for path, data in asked))
        for client in clients:
            assert [client.response().body for _ in asked] == [
                path.encode() + data for path, data in asked
            ]
            assert client.request("GET", "/last").body == b"/last"


def test_more_than_is_read_ahead_is_answered_to_the_end(serve_on: Serve) -> None:
    """Reading is paused while it waits for its turn, and goes on."""
    with serve_on(slowish) as worker, RawClient(worker.address, 60) as client:
        sender = threading.Thread(target=client.send, args=(GET * 20_000,))
        sender.start()
        for _ in range(20_000):
            assert client.response().body == b"/"
        sender.join()


def test_a_client_that_leaves_a_burst_behind_is_forgotten(serve_on: Serve) -> None:
    with serve_on(slowish) as worker:
        for _ in range(3):
            client = worker.client()
            client.send(request("/slowish") * 300)
            client.response()
            client.close()
        with worker.client() as client:
            assert client.request("GET", "/").status == 200
        eventually(lambda: bool(worker.slot.beats) and worker.slot.beats[-1][0] == 0)


def test_a_client_that_closes_its_side_behind_a_burst_has_its_answers(serve_on: Serve) -> None:
    with serve_on(slowish) as worker, RawClient(worker.address, 60) as client:
        client.send(request("/slowish") * 100)
        client.send_eof()
        for _ in range(100):
            assert client.response().body == b"/slowish"
        assert client.is_closed()


def test_a_drain_ends_a_burst_after_the_request_it_has_begun(serve_on: Serve) -> None:
    with serve_on(slowish) as worker, worker.client() as client:
        client.send(request("/slowish") * 1000)
        for _ in range(3):
            assert client.response().status == 200
        worker.stop()
        last = client.response()
        while last.header("connection") is None:
            last = client.response()
        assert last.header("connection") == "close"
        client.close()
        worker.join()


@pytest.mark.parametrize("waits", [False, True])
def test_background_work_goes_on_beside_a_burst(serve_on: Serve, waits: bool) -> None:
    """Not only other clients have their turn, and however the application answers."""
    turns: list[int] = []
    calls = 0

    async def count() -> None:
        while True:
            turns.append(calls)
            await asyncio.sleep(0)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        nonlocal calls
        if not calls:
            app.task = asyncio.ensure_future(count())  # type: ignore[attr-defined]
        if waits:
            await asyncio.sleep(0)
        calls += 1
        await slowish(scope, receive, send)
        if calls == 50:
            app.task.cancel()  # type: ignore[attr-defined]

    with serve_on(app) as worker, worker.client() as client:
        client.send(request("/slowish") * 50)
        for _ in range(50):
            assert client.response().status == 200
    first = turns.index(next(each for each in turns if each > 0))
    steps = [after - before for before, after in pairwise(turns[first:])]
    assert max(steps) <= 2, "one, or the first and one more"
