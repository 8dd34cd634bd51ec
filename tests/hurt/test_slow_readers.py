"""Clients that read 1.5 kB a second, or nothing, of answers of 10 MiB: nobody waits for them."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hurt.crowd import Process, allow_descriptors, latencies, percentile
from tests.support import serve

HERE = Path(__file__).parent
MIB = 1 << 20

pytestmark = pytest.mark.parametrize("kind", ["generator", "write", "file", "nothing"])


@contextlib.contextmanager
def slow_readers(address: tuple[str, int], count: int, kind: str) -> Iterator[list[socket.socket]]:
    """Connections that have begun to receive; each takes 1,500 bytes a second, or nothing."""
    clients: list[socket.socket] = []
    over = threading.Event()
    path = "generator" if kind == "nothing" else kind

    def read() -> None:
        while not over.wait(1.0):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.recv(1500, socket.MSG_DONTWAIT)

    thread = threading.Thread(target=read)
    try:
        for _ in range(count):
            client = socket.socket()
            clients.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(60)
            client.connect(address)
            client.sendall(f"GET /{path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        if kind != "nothing":
            thread.start()
        yield clients
    finally:
        over.set()
        if thread.ident:
            thread.join()
        for client in clients:
            client.close()


def beside(kind: str, count: int, requests: int, *options: str) -> tuple[float, int]:
    """p99 of a normal client beside `count` slow ones, and how much the worker grew."""
    with serve("slow_app:app", "--wsgi", "--no-access-log", *options, cwd=HERE) as server:
        (pid,) = server.workers
        worker = Process(pid)
        descriptors = worker.descriptors  # before there are connections that it may still close
        latencies(server.address, 100)
        before = worker.memory
        with slow_readers(server.address, count, kind) as clients:
            p99 = percentile(latencies(server.address, requests), 0.99)
            grown = worker.memory - before
            assert worker.descriptors >= descriptors + count, "all of them are there"
            server.send_signal(signal.SIGTERM)
            server.wait_for_output("Stopping: ")
            assert server.process.poll() is None
            for client in clients[:3]:
                assert client.recv(1 << 16), "nothing is cut before the grace is over"
        assert server.wait(30) == 0
        assert "no sign of life" not in server.output
    return p99, grown


def test_slow_readers_hold_up_nobody(kind: str) -> None:
    p99, grown = beside(kind, 30, 300, "--threads", "4")
    assert p99 < 1, "on a machine that runs other tests as well"
    assert grown < 40 * MIB


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_hundred_slow_readers_hold_up_nobody(kind: str) -> None:
    if not allow_descriptors(1500):
        pytest.skip("the system allows too few file descriptors")
    p99, grown = beside(kind, 200, 3000)
    print(f"{kind}: p99 {p99 * 1000:.1f} ms, {grown / MIB:.1f} MiB more")
    assert p99 < 0.020
    assert grown < 120 * MIB
