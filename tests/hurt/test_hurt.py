"""Clients that mean harm, against real servers of both interfaces: slow, idle, endless, deaf.

What must hold: others are served meanwhile, memory and descriptors stay bounded and come back, and
each harmful client is gotten rid of in time. Those marked long are the project's promises.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hurt.crowd import (
    GET,
    Crowd,
    Process,
    allow_descriptors,
    latencies,
    percentile,
    pour,
    read_to_end,
)
from tests.support import RawClient, Server, eventually, serve

HERE = Path(__file__).parent
MIB = 1 << 20

WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SLOW_HEAD = b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: "
CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "header line": (b"GET / HTTP/1.1\r\nX: ", b"x" * 65536),
    "header lines": (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10922),
    "chunk extension": (CHUNKED + b"5;", b"x" * 65536),
    "trailer": (CHUNKED + b"0\r\nX: ", b"x" * 65536),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 10922),
}

REFUSED_HEADERS = b"HTTP/1.1 431 Request Header Fields Too Large"

pytestmark = pytest.mark.parametrize("interface", ["wsgi", "asgi"])


@contextlib.contextmanager
def serving(interface: str, *options: str) -> Iterator[tuple[Server, Process]]:
    """A server with one worker, warmed up, and that worker's process."""
    target = f"hurt_app:{interface}_app"
    with serve(target, "--no-access-log", *options, cwd=HERE) as server:
        (pid,) = server.workers
        worker = Process(pid)
        latencies(server.address, 200)
        with RawClient(server.address) as client:  # what serves WebSockets is imported late
            client.send(WEBSOCKET)
            client.response()
        worker.settle()
        yield server, worker
        assert server.workers == [pid], "the worker has outlived it all"


def small_talk(server: Server) -> None:
    """Somebody else is served."""
    with RawClient(server.address) as client:
        assert client.request().body == b"0"


def blocks(server: Server) -> int:
    """Blocks of memory that Python uses in the worker."""
    with RawClient(server.address) as client:
        return int(client.request("GET", "/blocks", "Connection: close").body)


# ------------------------------------------------------------------------------- idle and slow


def crowded(interface: str, idle: int, slow: int, back: int) -> tuple[float, int]:
    """p99 of a normal client amid the crowd, and all memory at the most.

    The crowd comes twice. Each time it leaves, descriptors come back, and memory to `back` bytes
    above where it was: no crowd leaves something for the next to add to. What stays is empty pages
    between the few objects that are younger than the crowd: in use is what was before.
    """
    best, most = 1.0, 0
    with serving(interface, "--timeout-headers", "600") as (server, worker):
        master = Process(server.pid)
        in_use = blocks(server)
        before, descriptors = worker.memory, worker.descriptors
        for _ in range(2):
            with Crowd(server.address, idle) as sleepers, Crowd(server.address, slow) as lorises:
                sleepers.converse()
                lorises.send(SLOW_HEAD)
                times = latencies(server.address, 1000, _trickle(lorises))
                best = min(best, percentile(times, 0.99))
                assert worker.descriptors >= idle + slow, "all of them are there"
                most = max(most, worker.memory + master.memory)
            eventually(lambda: worker.descriptors <= descriptors, "descriptors are back", 60)
            eventually(lambda: worker.memory - before < back, "the memory is back", 60)
            kept = blocks(server) - in_use  # what tidies up is loaded for a large crowd, once
            assert kept < max(500, (idle + slow) // 4), "less than one for each client"
    return best, most


def _trickle(lorises: Crowd) -> Iterator[None]:
    """With each step some of the slow clients send one byte more."""
    while True:
        for at in range(0, len(lorises.clients), 20):
            lorises.send(b"x", lorises.clients[at : at + 20])
            yield


def test_some_hundred_idle_and_slow_clients_harm_nobody(interface: str) -> None:
    if not allow_descriptors(1500):
        pytest.skip("the system allows too few file descriptors")
    p99, most = crowded(interface, idle=500, slow=200, back=8 * MIB)
    assert p99 < 1, "on a machine that runs other tests as well"
    assert most < 120 * MIB


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_thousand_idle_and_two_thousand_slow_clients_harm_nobody(interface: str) -> None:
    if not allow_descriptors(12_500):
        pytest.skip("the system allows too few file descriptors")
    p99, most = crowded(interface, idle=10_000, slow=2_000, back=20 * MIB)
    print(f"{interface}: p99 {p99 * 1000:.1f} ms, {most / MIB:.1f} MiB")
    assert p99 < 0.020
    assert most < 120 * MIB


def test_slow_heads_are_answered_408_in_time_and_silence_is_not_answered(interface: str) -> None:
    with serving(interface, "--timeout-headers", "1") as (server, worker):
        descriptors = worker.descriptors
        with Crowd(server.address, 30) as lorises, Crowd(server.address, 30) as silent:
            lorises.send(SLOW_HEAD)
            begun = time.monotonic()
            while time.monotonic() < begun + 0.7:  # they try to look alive
                lorises.send(b"x")
                small_talk(server)
            told = lorises.closed()
            assert all(text.startswith(b"HTTP/1.1 408 ") for text in told)
            assert all(b"connection: close" in text.lower() for text in told)
            assert silent.closed() == [b""] * 30
            assert time.monotonic() - begun < 15
        eventually(lambda: worker.descriptors <= descriptors, "the descriptors are back")


def test_idle_connections_are_closed_silently(interface: str) -> None:
    with serving(interface, "--timeout-keep-alive", "1") as (server, worker):
        descriptors = worker.descriptors
        with Crowd(server.address, 30) as sleepers:
            sleepers.converse()
            assert sleepers.closed() == [b""] * 30
            eventually(lambda: worker.descriptors <= descriptors, "the descriptors are back")


# ------------------------------------------------------------------------------------- endless


LITTLE = 2 * MIB


def flooded(interface: str, total: int) -> dict[str, int]:
    """How much the worker grew at the most while `total` bytes of each flood were poured in.

    If that is not little the flood comes again, twice: what it costs it costs each time, but
    another thread that comes to lead meanwhile, with buffers of its own, does so once.
    """
    grown: dict[str, int] = {}
    with serving(interface) as (server, worker):
        for flood, (head, piece) in FLOODS.items():
            pour(server.address, head, piece, 4 * MIB)
            for _ in range(3):
                worker.forget_peak()
                before = worker.memory
                told = pour(server.address, head, piece, total)
                small_talk(server)
                assert told, f"{flood}: nobody was told anything"
                assert told <= {REFUSED_HEADERS, b"HTTP/1.1 400 Bad Request"}
                grown[flood] = worker.peak - before
                if grown[flood] < LITTLE:
                    break
    return grown


def test_endless_lines_do_not_fill_the_memory(interface: str) -> None:
    grown = flooded(interface, 32 * MIB)
    assert max(grown.values()) < LITTLE, grown


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_gibibyte_of_endless_lines_does_not_fill_the_memory(interface: str) -> None:
    grown = flooded(interface, 1024 * MIB)
    print(interface, {flood: f"{size / MIB:.2f} MiB" for flood, size in grown.items()})
    assert max(grown.values()) < LITTLE, grown


def test_pipelined_requests_without_end_do_not_fill_the_memory(interface: str) -> None:
    """A client that asks and never reads: its requests are left in the kernel."""
    with serving(interface) as (server, worker):
        worker.forget_peak()
        before = worker.memory
        with socket.create_connection(server.address, timeout=10) as client:
            client.setblocking(False)
            flood, until = GET * 2000, time.monotonic() + 1.5
            while time.monotonic() < until:
                with contextlib.suppress(BlockingIOError):
                    client.send(flood)
            small_talk(server)
            assert worker.peak - before < 8 * MIB


# ---------------------------------------------------------------------------- slow body, deaf ear


def test_a_body_that_trickles_is_refused_in_time(interface: str) -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n"
    with serving(interface, "--timeout-body", "1") as (server, _):
        for raw in (head, CHUNKED + b"5;"):
            with RawClient(server.address) as client:
                client.send(raw)
                begun = time.monotonic()
                with contextlib.suppress(OSError):
                    for _ in range(300):
                        client.send(b"x")
                        small_talk(server)
                answer = client.response()
                assert (answer.status, answer.header("connection")) == (408, "close")
                assert time.monotonic() - begun < 10
                assert client.is_closed()


def test_a_client_that_takes_nothing_is_dropped_and_fills_no_memory(interface: str) -> None:
    with serving(interface, "--timeout-write", "1") as (server, worker):
        descriptors, before = worker.descriptors, worker.memory
        worker.forget_peak()
        with Crowd(server.address, 5) as deaf:
            deaf.send(GET.replace(b"/", b"/endless", 1))
            eventually(lambda: worker.descriptors >= descriptors + 5, "they are connected")
            small_talk(server)
            eventually(lambda: worker.descriptors <= descriptors, "they are dropped", 20)
        assert worker.peak - before < 12 * MIB


@pytest.mark.parametrize("behind", [b"", b"x" * MIB, b"x" * (8 * MIB)])
def test_a_client_that_is_still_sending_can_read_its_413(interface: str, behind: bytes) -> None:
    """Closing at once would make the kernel reset the connection, and the answer with it."""
    raw = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n"
    with (
        serving(interface, "--limit-body", "1MiB") as (server, _),
        RawClient(server.address) as client,
    ):
        client.send(raw + behind)
        answer = client.response()
        assert (answer.status, answer.header("connection")) == (413, "close")
        client.send_eof()
        assert client.is_closed()


def test_a_client_that_lingers_longer_than_the_server_is_cut(interface: str) -> None:
    with serving(interface) as (server, worker):
        descriptors = worker.descriptors
        with socket.create_connection(server.address, timeout=20) as client:
            client.sendall(b"BAD\r\n\r\n")
            assert read_to_end(client).startswith(b"HTTP/1.1 400 ")
            eventually(lambda: worker.descriptors <= descriptors, "it is cut", 15)


def test_a_thousand_resets_leave_nothing_behind(interface: str) -> None:
    """Connect and vanish, at every point of a request."""
    with serving(interface) as (server, worker):
        descriptors = worker.descriptors
        pieces = [b"", b"G", GET[:-1], GET, GET * 3, CHUNKED, CHUNKED + b"5\r\nhel"]
        for number in range(1000):
            client = socket.create_connection(server.address, timeout=10)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with client:
                client.sendall(pieces[number % len(pieces)])
        small_talk(server)
        eventually(lambda: worker.descriptors <= descriptors, "the descriptors are back")
        assert "Traceback" not in server.output
