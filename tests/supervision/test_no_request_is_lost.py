"""Under load every change of workers is invisible to clients: no refused, cut or failed request.

The bounded forms run always; the full ones are marked long.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hurt.crowd import Process
from tests.support import Server, eventually, killer, serve
from tests.support.load import Load

APPS = {
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"hi"]
""",
    "asgi": """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})
""",
}
MIB = 1 << 20
LONG = (pytest.mark.long, pytest.mark.timeout(900))
KINDS = pytest.mark.parametrize("kind", APPS)
WAYS = pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "one-request-each"])
OFTEN = pytest.mark.parametrize("times", [2, pytest.param(20, marks=LONG)])


def _said(server: Server, text: str, times: int) -> None:
    eventually(lambda: server.stderr.count(text) >= times, f"{times} times {text!r}", 120)


def _answered(load: Load, more: int = 100) -> None:
    """The service goes on: so many more answers come."""
    before = load.answers
    eventually(lambda: load.answers >= before + more, f"{more} more answers", 60)


def _load(server: Server, keep_alive: bool) -> Load:
    return Load(server.address, connections=64, keep_alive=keep_alive)


@KINDS
@WAYS
@OFTEN
def test_reloads(kind: str, keep_alive: bool, times: int) -> None:
    with (
        serve("app:app", "-w", "2", "--no-access-log", source=APPS[kind]) as server,
        _load(server, keep_alive) as load,
    ):
        _said(server, "All 2 workers are ready.", 1)
        for number in range(1, 2 * times + 1):
            server.send_signal(signal.SIGHUP if number <= times else signal.SIGUSR2)
            _said(server, "Reloaded: all workers are new.", number)
            _answered(load)
    assert load.failures == {}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
@KINDS
@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "one-request-each"])
@pytest.mark.parametrize(("signum", "times"), [(signal.SIGHUP, 20), (signal.SIGUSR2, 5)])
def test_reloads_as_wrk_sees_them(kind: str, keep_alive: bool, signum: int, times: int) -> None:
    header = () if keep_alive else ("-H", "Connection: close")
    with serve("app:app", "-w", "2", "--no-access-log", source=APPS[kind]) as server:
        _said(server, "All 2 workers are ready.", 1)
        command = ("wrk", "-t1", "-c64", "-d300", *header, server.url)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
            for number in range(1, times + 1):
                server.send_signal(signum)
                _said(server, "Reloaded: all workers are new.", number)
            assert wrk.poll() is None
            wrk.send_signal(signal.SIGINT)  # it reports what it has seen so far
            report, _ = wrk.communicate(timeout=30)
        print(report)
        assert re.search(r"[1-9]\d* requests in ", report)
        # It says nothing of errors where there were none.
        assert "Socket errors" not in report
        assert "Non-2xx" not in report


@KINDS
@WAYS
@OFTEN
def test_recycling(kind: str, keep_alive: bool, times: int) -> None:
    options = ("-w", "2", "--no-access-log", "--max-requests", "300")
    with (
        serve("app:app", *options, source=APPS[kind]) as server,
        _load(server, keep_alive) as load,
    ):
        _said(server, "and is replaced.", times)
        _answered(load)
    assert load.failures == {}


@KINDS
@OFTEN
def test_storms_of_more_and_fewer(kind: str, times: int) -> None:
    with (
        serve("app:app", "-w", "2", "--no-access-log", source=APPS[kind]) as server,
        _load(server, True) as load,
    ):
        _said(server, "All 2 workers are ready.", 1)
        for number in range(1, times + 1):
            for signum, count, said in (
                (signal.SIGTTIN, 3, 2 * number - 1),
                (signal.SIGTTIN, 4, number),
                (signal.SIGTTOU, 3, 2 * number),
                (signal.SIGTTOU, 2, number),
            ):
                server.send_signal(signum)
                # Two of a kind that wait together are one signal, by POSIX.
                _said(server, f"Now {count} workers.", said)
                _answered(load, 20)
        eventually(lambda: len(server.workers) == 2, "two workers", 60)
    assert load.failures == {}


@KINDS
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=LONG)])
def test_killing_cuts_only_what_the_killed_one_held(kind: str, kills: int) -> None:
    """Whichever worker, serving or still importing, in a steady rhythm; each kill is outlived."""
    held: Counter[int] = Counter()
    with (
        serve("app:app", "-w", "2", "--no-access-log", source=APPS[kind]) as server,
        _load(server, True) as load,
    ):
        _said(server, "All 2 workers are ready.", 1)
        for _ in _rhythm(kills, 0.2):
            if workers := server.workers:
                held += killer.kill(random.choice(workers), server.port)
            _answered(load, 10)
        eventually(lambda: load.cut == held, "each cut connection was held by a killed worker", 60)
        _answered(load)
        _said(server, "is ready", 2)
        eventually(lambda: len(server.workers) == 2)
        _answered(load, 1000)
    assert load.cut == held
    assert sum(load.failures.values()) == sum(load.cut.values()), load.failures
    assert load.longest_silence < 5, "it is never down"
    print(f"{kind}: {kills} kills cut {sum(held.values())} connections of {load.answers} answers;")
    print(f"the longest time without an answer was {load.longest_silence * 1000:.0f} ms")


def _rhythm(times: int, seconds: float) -> Iterator[int]:
    """A beat that does not drift: each step at its time, or at once if that is over."""
    begun = time.monotonic()
    for number in range(times):
        time.sleep(max(0.0, begun + number * seconds - time.monotonic()))
        yield number


STREAMS: dict[str, str] = {
    "wsgi": """
import time
def app(environ, start_response):
    start_response("200 OK", [])
    while True:
        yield b"x"
        time.sleep(0.05)
""",
    "asgi": """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0.05)
""",
}


@KINDS
@pytest.mark.parametrize("seconds", [15, pytest.param(2, marks=LONG)])
def test_stop_ends_with_100_open_streams(kind: str, seconds: int) -> None:
    """A second after the grace period, on a machine that does nothing else."""
    options = ("--no-access-log", "--threads", "128", "--timeout-graceful-shutdown", "1")
    with serve("app:app", *options, source=STREAMS[kind]) as server:
        clients = [socket.create_connection(server.address, 10) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        for client in clients:
            assert client.recv(1)
        before = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - before < seconds
        for client in clients:
            client.close()


@pytest.mark.parametrize("generations", [20, pytest.param(1000, marks=LONG)])
def test_master_stays_small(generations: int) -> None:
    with serve("app:app", "--no-access-log", source=APPS["wsgi"]) as server:
        master = Process(server.pid)

        def reload(number: int) -> None:
            server.send_signal(signal.SIGHUP)
            _said(server, "Reloaded: all workers are new.", number)

        for number in range(1, generations + 1):
            reload(number)
            if number == 5:
                # Until the last one before is reaped, its pipe is there too.
                eventually(lambda: len(_children(server.pid)) == 1)
                master.settle()
                memory, descriptors = master.memory, master.descriptors
        eventually(lambda: master.descriptors == descriptors, "as many descriptors as before", 30)
        assert master.memory - memory < MIB
        assert master.memory <= 25 * MIB


def _children(pid: int) -> list[str]:
    """Zombies as well, which `Server.workers` leaves out."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
