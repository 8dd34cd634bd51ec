"""What a server weighs: start-up to its first answer, memory idle and after load, connections held.

Servers are started one at a time here, since memory shared among several servers at once (the
interpreter's own pages) would be divided among them. Connections are opened, each asked once and
kept; the memory they add gives the connections per MiB.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from benchmarks import proc, wrk
from benchmarks.machine import Cores
from benchmarks.peers import Environment
from benchmarks.process import Running, ServerFailed, free_port
from benchmarks.scenarios import Scenario
from benchmarks.servers import Launch, Server

HELD = 500
LOAD_SECONDS = 1
SETTLE_SECONDS = 0.2
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Weight:
    """One round of one server."""

    startup_ms: float
    idle_mib: float
    loaded_mib: float
    held: int  # connections still answering of HELD
    per_mib: float | None  # None: not all were held, or too little memory to tell

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def connections_per_mib(held: int, before: int, after: int) -> float | None:
    """None when it would say nothing: not all were held, or hardly any memory was added."""
    grown = (after - before) / (1 << 20)
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


def weigh(server: Server, scenario: Scenario, environment: Environment, cores: Cores) -> Weight:
    launch = Launch(scenario.target(server.interface), free_port())
    running = Running(server, launch, environment, cores.server)
    try:
        startup = running.first_answer()
        time.sleep(SETTLE_SECONDS)
        idle = proc.tree_pss(running.pid)
        wrk.run(scenario.load, running.url, LOAD_SECONDS, cores.load)
        time.sleep(SETTLE_SECONDS)
        loaded = proc.tree_pss(running.pid)
        held, full = _hold(running)
        if died := running.obituary():
            raise ServerFailed(died)
    finally:
        running.stop()
    return Weight(
        startup_ms=startup * 1000,
        idle_mib=idle / (1 << 20),
        loaded_mib=loaded / (1 << 20),
        held=held,
        per_mib=connections_per_mib(held, loaded, full),
    )
