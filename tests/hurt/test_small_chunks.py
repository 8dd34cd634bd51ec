"""Uploads in chunks of a byte or two: much work for the server, next to nothing for an application.

What must hold: a body that is framing most of all is refused, and whoever sends the smallest chunks
that are taken, as fast as the server reads them, does not keep others waiting.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.hurt.crowd import GET
from tests.support import RawClient, Server, serve

HERE = Path(__file__).parent
CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"

SENDERS = 8
SECONDS = 2.0
PATIENCE = 1.0
"""Seconds. Measured on a machine with three times as much work as it has cores: 0.1 to 0.2; with a
loop that reads each piece to its end: 2."""


def pour(server: Server, chunk: bytes, stop: threading.Event) -> None:
    """One upload that does not end before `stop`, as fast as the server takes it."""
    with RawClient(server.address) as client:
        client.send(CHUNKED)
        piece = chunk * (65536 // len(chunk))
        while not stop.is_set():
            try:
                client.send(piece)
            except OSError:
                return


def longest_wait(server: Server, seconds: float) -> float:
    """The longest that a client with a connection of its own has waited for an answer."""
    worst, until = 0.0, time.monotonic() + seconds
    with RawClient(server.address) as client:
        while (asked := time.monotonic()) < until:
            client.send(GET)
            assert client.response().status == 200
            worst = max(worst, time.monotonic() - asked)
    return worst


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_small_chunks_keep_nobody_waiting(loop: str) -> None:
    options = ("--no-access-log", "--loop", loop, "--workers", "1")
    with serve("hurt_app:asgi_app", *options, cwd=HERE) as server:
        assert longest_wait(server, 0.2) < PATIENCE, "warm"
        stop = threading.Event()
        work = (server, b"2\r\nxy\r\n", stop)
        senders = [threading.Thread(target=pour, args=work) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            worst = longest_wait(server, SECONDS)
        finally:
            stop.set()
            for sender in senders:
                sender.join()
    assert worst < PATIENCE


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_chunks_of_one_byte_are_refused(interface: str) -> None:
    """With the application reading; after 64 KiB of framing."""
    target = f"hurt_app:{interface}_app"
    with serve(target, "--no-access-log", cwd=HERE) as server, RawClient(server.address) as client:
        client.send(CHUNKED + b"1\r\nx\r\n" * 15_000)
        answer = client.response()
        assert (answer.status, answer.header("connection")) == (400, "close")
        with RawClient(server.address) as other:
            other.send(CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")
            assert other.response().body == b"10000"
            other.send(CHUNKED + b"a\r\n0123456789\r\n" * 30_000 + b"0\r\n\r\n")
            assert other.response().body == b"300000"
