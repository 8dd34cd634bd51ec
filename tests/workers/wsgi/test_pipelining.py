"""A burst of pipelined requests on one connection: all are answered, and nobody waits for them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest

from tests.support import RawClient, eventually
from tests.workers.wsgi.threads import (
    GET,
    PLAIN,
    Environ,
    Running,
    Serve,
    get,
    hello,
    running,
    serve_on,
    serve_threaded,
)

__all__ = ["serve_on", "serve_threaded"]

CALL_SECONDS = 0.003


def slowish(environ: Environ, start_response: Any) -> list[bytes]:
    """Too quick to lose the lead, and much slower than a turn."""
    if environ["PATH_INFO"] == "/slowish":
        time.sleep(CALL_SECONDS)
    body = environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN])
    return [environ["PATH_INFO"].encode() + body]


def worst_wait(worker: Running, burst: bytes, count: int, bursts: int) -> float:
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
        before = worker.requests
        for client, thread in zip(clients, threads, strict=True):
            client.send(burst * count)
            thread.start()
        while any(thread.is_alive() for thread in threads):
            begun = time.monotonic()
            assert other.request("GET", "/").body == b"/"
            worst = max(worst, time.monotonic() - begun)
        for thread in threads:
            thread.join()
        assert len(answered) == bursts * count
        assert worker.requests >= before + bursts * count
    return worst


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_client_does_not_wait_for_a_burst(threads: int, method: str) -> None:
    request = get("/slowish")
    if method == "POST":
        request = get("/slowish", "Content-Length: 4", method="POST") + b"body"
    with running(slowish, threads=threads) as worker:
        # All of them take more than 2 seconds; on a machine that runs other tests as well.
        assert worst_wait(worker, request, 700, 1) < 0.5


@pytest.mark.long
@pytest.mark.parametrize("threads", [1, 8])
def test_another_client_does_not_wait_for_the_whole_burst(threads: int) -> None:
    with running(slowish, threads=threads) as worker:
        worst = worst_wait(worker, get("/slowish"), 2600, 1)
        print(f"--threads {threads}: {worst * 1000:.1f} ms")
        assert worst < 0.1


@pytest.mark.parametrize("look", [None, 0.0], ids=["", "each call is late"])
def test_bursts_are_answered_in_their_order(serve_on: Serve, look: float | None) -> None:
    with serve_on(slowish, look=look) as worker, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(worker.client()) for _ in range(4)]
        paths = [f"/{number}" if number % 5 else "/slowish" for number in range(100)]
        bodies = [b"x" * (number % 3) for number in range(100)]
        for client in clients:
            client.send(
                b"".join(
                    get(path, f"Content-Length: {len(body)}", method="POST") + body
                    for path, body in zip(paths, bodies, strict=True)
                )
            )
        expected = [path.encode() + body for path, body in zip(paths, bodies, strict=True)]
        for client in clients:
            assert [client.response().body for _ in paths] == expected
            assert client.request("GET", "/last").body == b"/last"


def test_a_burst_is_not_read_ahead_of_its_answers(serve_threaded: Serve) -> None:
    """While it waits for its turn its requests are left in the kernel."""
    go = threading.Event()

    def app(environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/wait":
            assert go.wait(30)
        return hello(environ, start_response)

    with serve_threaded(app) as worker, contextlib.ExitStack() as stack:
        threads = worker.shared.options.threads
        blocking = [stack.enter_context(worker.client()) for _ in range(threads)]
        for client in blocking:
            client.send(get("/wait"))
        connections = worker.shared.connections
        eventually(lambda: sum(each.busy for each in list(connections.values())) == threads)
        client = stack.enter_context(worker.client())
        client.send(GET * 5000)
        eventually(lambda: len(worker.shared.queue) == 1)
        queued = worker.shared.queue[0]
        assert queued.http.buffered == 0
        assert queued.events == 0, "and the loop is not woken for it"
        go.set()
        for _ in range(5000):
            assert client.response().status == 200


def test_a_client_that_leaves_a_burst_behind_is_forgotten(serve_on: Serve) -> None:
    with serve_on(slowish) as worker:
        for _ in range(3):
            client = worker.client()
            client.send(get("/slowish") * 300)
            client.response()
            client.close()
        eventually(lambda: not worker.shared.connections and not worker.shared.queue)
        with worker.client() as client:
            assert client.request("GET", "/").status == 200


def test_a_drain_ends_a_burst_after_the_request_it_has_begun(serve_on: Serve) -> None:
    with serve_on(slowish) as worker, worker.client() as client:
        client.send(get("/slowish") * 1000)
        for _ in range(3):
            assert client.response().status == 200
        worker.stop()
        last = client.response()
        while last.header("connection") is None:
            last = client.response()
        assert last.header("connection") == "close"
        client.close()
        worker.join()
