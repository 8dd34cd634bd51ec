"""Very many open connections that mostly wait: server-sent events, idle WebSockets, a chat room.

Memory is that of the whole tree while all are open. A time to reach all runs from the request that
sets it off to the moment when the last client has it.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import proc
from benchmarks.checks import HELLO
from benchmarks.probes.crowd import MIB, Crowd, asking, joining, quiet
from benchmarks.probes.subject import Subject
from benchmarks.process import Running

OPEN = 5000
READERS, DEAF = 1950, 50
TELLINGS = 7


def events(subject: Subject) -> dict[str, object]:
    running = subject.running
    idle = proc.tree_pss(running.pid)
    with Crowd(running) as crowd:
        crowd.open(OPEN, asking("/events", b"open\n\n"))
        quiet(running.pid)
        full = proc.tree_pss(running.pid)
        before = proc.tree_cpu(running.pid)
        took = _tell(crowd)
        spent = proc.tree_cpu(running.pid) - before
    return {
        **_memory(idle, full),
        "reach_ms": statistics.median(took) * 1000,
        "reach_us": spent.total * 1e6 / (OPEN * len(took)),
    }


def idle_sockets(subject: Subject) -> dict[str, object]:
    running = subject.running
    idle = proc.tree_pss(running.pid)
    with Crowd(running) as crowd:
        crowd.open(OPEN, joining())
        quiet(running.pid)
        return _memory(idle, proc.tree_pss(running.pid))


def broadcast(subject: Subject) -> dict[str, object]:
    """To all who read: first among themselves, then beside some who never do."""
    running = subject.running
    with Crowd(running) as crowd:
        crowd.open(READERS, joining())
        alone = _tell(crowd)
        with _deaf(running):
            beside = _tell(crowd)
    alone_ms, beside_ms = (statistics.median(took) * 1000 for took in (alone, beside))
    return {"alone_ms": alone_ms, "beside_ms": beside_ms, "stall": beside_ms / alone_ms}


def _memory(idle: int, full: int) -> dict[str, object]:
    return {
        "idle_mib": idle / MIB,
        "full_mib": full / MIB,
        "each_kib": (full - idle) / OPEN / 1024,
    }


def _tell(crowd: Crowd) -> list[float]:
    """Seconds each of some messages takes to reach all."""
    took = []
    with crowd.running.connect() as control:
        for number in range(TELLINGS):
            mark = f"n{time.monotonic_ns()}.{number}"
            asked = time.perf_counter()
            control.sendall(f"GET /tell?{mark} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            took.append(crowd.until_all_heard(mark.encode()) - asked)
            while not control.recv(65536).endswith(HELLO):
                pass
    return took


@contextmanager
def _deaf(running: Running) -> Iterator[None]:
    """Members who never read, and for whom the server is stuck already."""
    clients = []
    deaf = joining("/deaf")
    try:
        for _ in range(DEAF):
            client = socket.socket()
            clients.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(5.0)
            client.connect(("127.0.0.1", running.launch.port))
            client.sendall(deaf.words)
            deaf.await_answer(client)
        with running.connect() as control:
            fill = asking("/fill", HELLO)
            control.sendall(fill.words)
            fill.await_answer(control)
        quiet(running.pid)
        yield
    finally:
        for client in clients:
            client.close()
