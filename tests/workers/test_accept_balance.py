"""Whose turn it is to accept: the rule, step by step, and what comes of it among real workers."""

from __future__ import annotations

import collections
import selectors
import socket
import time
from pathlib import Path

import pytest

from bare_serve.workers import accept_balance
from bare_serve.workers.accept_balance import STEP, AcceptShare, AcceptShares
from tests.support import Server, eventually, serve


@pytest.fixture
def shares() -> list[AcceptShare]:
    """Four workers that accept, in this process."""
    memory = AcceptShares(8)
    found = [share for number in range(1, 5) if (share := memory.share(number))]
    for _ in range(2):
        for share in found:
            share.enter()
    return found


def hold(shares: list[AcceptShare], *counts: int) -> None:
    for share, count in zip(shares, counts, strict=True):
        share.hold(count)


def test_whoever_holds_no_more_than_others_takes_at_once(shares: list[AcceptShare]) -> None:
    hold(shares, 10, 10, 10, 12)
    assert not any(
        share.should_yield(count, 100.0)
        for share, count in zip(shares, (10, 10, 10, 12), strict=True)
    )


def test_whoever_holds_clearly_more_stands_back_while_others_take(
    shares: list[AcceptShare],
) -> None:
    hold(shares, 40, 10, 10, 10)
    now = 100.0
    for taken in range(1, 5):
        assert shares[0].should_yield(40, now)
        hold(shares, 40, 10 + taken, 10, 10)
        now += STEP
    hold(shares, 40, 40, 40, 40)
    assert not shares[0].should_yield(40, now), "it is level with them again"


def test_to_stand_back_has_an_end_while_others_take(shares: list[AcceptShare]) -> None:
    hold(shares, 1000, 10, 10, 10)
    now, taken = 100.0, 0
    while shares[0].should_yield(1000, now):
        now += STEP
        taken += 1
        hold(shares, 1000, 10 + taken, 10, 10)
    assert now - 100.0 <= 0.02 + 2 * STEP


def test_nobody_waits_for_the_dead(shares: list[AcceptShare]) -> None:
    """Others that do not move: one at first, in case they only wake up late, then many."""
    hold(shares, 100, 0, 0, 0)
    now, held = 100.0, 100
    while held < 1000:
        if shares[0].should_yield(held, now):
            now += STEP
        else:
            held += 1
            shares[0].hold(held)
    assert now - 100.0 < 0.5


def test_a_worker_that_left_or_died_does_not_count(
    shares: list[AcceptShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(shares, 40, 10, 10, 0)
    for share in shares[1:3]:
        share.leave()
    shares[0].tick(40)
    assert shares[0].should_yield(40, 100.0), "one is left"
    later = time.monotonic() + 5
    monkeypatch.setattr(accept_balance.time, "monotonic", lambda: later)
    shares[1].tick(10)  # it left, and says nothing any more
    shares[0].tick(40)
    assert not shares[0].should_yield(40, 200.0), "nobody is left"


def test_a_successor_keeps_the_place_that_its_predecessor_leaves(
    shares: list[AcceptShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = accept_balance.os.getpid()
    monkeypatch.setattr(accept_balance.os, "getpid", lambda: pid + 1)
    successor = AcceptShare(shares[1]._shares, 1)
    successor.enter()
    monkeypatch.setattr(accept_balance.os, "getpid", lambda: pid)
    shares[1].leave()
    hold(shares, 40, 0, 0, 0)
    for share in shares[2:]:
        share.leave()
    shares[0].tick(40)
    assert shares[0].should_yield(40, 100.0)


def test_one_worker_never_stands_back() -> None:
    share = AcceptShares(8).share(1)
    assert share is not None
    share.enter()
    assert not share.should_yield(1000, 100.0)


def test_more_workers_than_there_are_places() -> None:
    assert AcceptShares(2).share(3) is None


# --------------------------------------------------------------------------------- for real

WORKERS, MANY = 4, 400
APP = """
import os

PID = str(os.getpid())

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(PID)))])
    return [PID.encode()]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": PID.encode()})
"""


def open_at_once(address: tuple[str, int], count: int) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(address)
        clients.append(client)
    return clients


def holders(clients: list[socket.socket]) -> collections.Counter[bytes]:
    """How many of the connections each worker holds."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client, selectors.EVENT_WRITE)
    found: collections.Counter[bytes] = collections.Counter()
    deadline = time.monotonic() + 20
    while selector.get_map():
        assert time.monotonic() < deadline
        for key, events in selector.select(1):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            if events & selectors.EVENT_WRITE:
                client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                selector.modify(client, selectors.EVENT_READ)
            else:
                found[client.recv(4096).rpartition(b"\r\n")[2]] += 1
                selector.unregister(client)
    selector.close()
    return found


def burst(server: Server) -> float:
    """The busiest worker's share of many connections opened at once, in means."""
    clients = open_at_once(server.address, MANY)
    try:
        found = holders(clients)
    finally:
        for client in clients:
            client.close()
    eventually(lambda: sum(established(pid) for pid in server.workers) == 0)
    return max(found.values()) / (MANY / WORKERS)


def established(pid: int) -> int:
    """How many connections a process holds."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(entry.readlink().name)
        except OSError:
            continue
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(
        f"socket:[{fields[9]}]" in inodes and fields[3] == "01" for fields in map(str.split, lines)
    )


# Four workers share two cores with other tests otherwise, and the spread is the scheduler's.
@pytest.mark.long
@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_a_burst_of_connections_is_shared_evenly(interface: str) -> None:
    with serve(f"app:{interface}", "-w", str(WORKERS), source=APP) as server:
        eventually(lambda: len(server.workers) == WORKERS)
        # On a machine that is busy with other things a worker may get no time at all during the
        # burst: the best of some is what the workers do of themselves.
        best = WORKERS * 1.0
        for _ in range(6):
            best = min(best, burst(server))
            if best <= 1.3:
                break
        assert best <= 1.3
