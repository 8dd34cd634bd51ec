"""What a server weighs: start-up to its first answer, memory idle and after load, connections held.

Connections are opened, each asked once and kept; the memory they add gives the connections per MiB.
"""

from __future__ import annotations

import time

from benchmarks import proc, wrk
from benchmarks.probes.crowd import MIB, REQUEST
from benchmarks.probes.subject import Subject
from benchmarks.process import Running

HELD = 500
LOAD_SECONDS = 1
SETTLE_SECONDS = 0.2


def connections_per_mib(held: int, before: int, after: int) -> float | None:
    """None when it would say nothing: not all were held, or hardly any memory was added."""
    grown = (after - before) / MIB
    return held / grown if held == HELD and grown > 0.05 else None


def _hold(server: Running) -> tuple[int, int]:
    """How many of HELD connections answer while all are open, and the memory then."""
    clients = []
    held = 0
    deadline = time.monotonic() + 3
    try:
        for _ in range(HELD):
            if time.monotonic() > deadline:
                break
            try:
                client = server.connect(0.5)
                clients.append(client)
                client.sendall(REQUEST)
                answer = client.recv(4096)
            except OSError:
                break
            if b"200" not in answer[:16] or b"connection: close" in answer.lower():
                break
            held += 1
        return held, proc.tree_pss(server.pid)
    finally:
        for client in clients:
            client.close()


def weigh(subject: Subject) -> dict[str, object]:
    running = subject.running
    time.sleep(SETTLE_SECONDS)
    idle = proc.tree_pss(running.pid)
    before = proc.read_all_stats()
    wrk.run(subject.scenario.load, running.url, LOAD_SECONDS, subject.cores.load)
    worker = proc.busiest(before, proc.read_all_stats(), proc.tree_pids(running.pid))
    time.sleep(SETTLE_SECONDS)
    loaded, worker_pss = proc.tree_pss(running.pid), proc.pss(worker)
    held, full = _hold(running)
    return {
        "startup_ms": subject.startup * 1000,
        "idle_mib": idle / MIB,
        "loaded_mib": loaded / MIB,
        "worker_mib": worker_pss / MIB,
        "held": held,
        "per_mib": connections_per_mib(held, loaded, full),
    }
