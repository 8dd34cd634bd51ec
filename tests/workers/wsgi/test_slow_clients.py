"""Clients that send or read slowly: bodies hold half of the threads at most, and a worker whose
threads all wait for clients is not taken for stuck."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import RawClient, eventually
from tests.workers.wsgi.threads import PLAIN, Environ, Running, echo, get, running

SILENT = {
    "a large body that does not come": ("Content-Length: 100000",),
    "a small one that waits for leave": ("Content-Length: 10", "Expect: 100-continue"),
}


@contextlib.contextmanager
def posting(worker: Running, count: int, *lines: str) -> Iterator[list[RawClient]]:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(worker.client()) for _ in range(count)]
        for number, client in enumerate(clients):
            client.send(get("/", *lines, method="POST"))
            eventually(lambda n=number: waiting(worker) > n)
        yield clients


def waiting(worker: Running) -> int:
    """Requests whose body is waited for, by a thread or by the loop."""
    connections = list(worker.shared.connections.values())
    return sum(each.busy or each.collected is not None for each in connections)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("lines", SILENT.values(), ids=SILENT)
def test_who_sends_no_body_stops_nobody(threads: int, lines: tuple[str, ...]) -> None:
    with (
        running(echo, threads=threads) as worker,
        posting(worker, 2 * threads, *lines) as clients,
        worker.client() as quick,
    ):
        assert quick.request().status == 200
        assert sum(call.streams for call in worker.shared.calls) == threads // 2
        length = int(lines[0].partition(": ")[2])
        for client in clients:
            client.send(b"x" * length)
            answer = client.response()
            assert answer.body == b"x" * length
            assert [interim.status for interim in answer.interim] == [100] * (len(lines) - 1)


def test_threads_that_wait_for_clients_are_alive() -> None:
    piece = b"x" * (1 << 20)

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        while True:
            yield piece

    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(running(app, threads=2))
        readers = [stack.enter_context(worker.client()) for _ in range(2)]
        for reader in readers:
            reader.send(get("/"))
            reader.read_until(b"\r\n\r\n")
        connections = worker.shared.connections
        eventually(lambda: sum(each.waits_since > 0 for each in list(connections.values())) == 2)
        before = len(worker.slot.beats)
        eventually(lambda: len(worker.slot.beats) > before + 3)
