"""One measurement: a load for some seconds on one running server, and what it cost the server.

CPU microseconds per request are the user and system time of the server's whole process tree over
the requests answered meanwhile; they do not depend on how fast the load generator is. `foreign` is
what the rest of the machine used at the same time, so that a disturbed round can be told.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks import proc, wrk
from benchmarks.machine import Cores
from benchmarks.process import Running
from benchmarks.scenario import Scenario

DISTURBED = 0.10  # share of the machine used by others, above which a round is marked


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one server in one scenario."""

    rate: float  # requests a second
    requests: int
    bytes: int
    user_us: float  # CPU of the server per request
    system_us: float
    load_cpu: float  # share of its core that the load generator used
    foreign: float  # share of the machine that others used
    slowest_ms: float
    latency: dict[str, float] = field(default_factory=dict)  # percentile -> ms
    errors: dict[str, int] = field(default_factory=dict)
    second_rate: float = 0.0  # of the load beside, in a mixed scenario

    @property
    def cpu(self) -> float:
        return self.user_us + self.system_us

    @property
    def load_bound(self) -> bool:
        return self.load_cpu > wrk.LIMIT

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def commands(server: Running, scenario: Scenario, seconds: int) -> list[list[str]]:
    """Return the load generators of a scenario; the first is the one that is reported."""
    if scenario.kind == "websocket":
        numbers = (server.launch.port, scenario.load.connections, seconds, scenario.message)
        words = [sys.executable, "-m", "benchmarks.wsload"]
        return [[*words, *(str(number) for number in numbers)]]
    loads = [scenario.load, *([scenario.second] if scenario.second else [])]
    return [load.command(server.url, seconds) for load in loads]


def _drive(lines: list[list[str]], seconds: int, cores: Sequence[int]) -> list[wrk.LoadResult]:
    at_work: list[wrk.Running] = []
    try:
        at_work.extend(wrk.Running(line, seconds, cores) for line in lines)
        return [running.wait() for running in at_work]
    finally:
        for running in at_work:
            running.stop()


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system


def measure(server: Running, scenario: Scenario, seconds: int, cores: Cores) -> Sample:
    lines = commands(server, scenario, seconds)
    own, busy, before = _own_cpu(), proc.machine_busy(), proc.tree_cpu(server.pid)
    started = time.monotonic()
    results = _drive(lines, seconds, cores.load)
    elapsed = time.monotonic() - started
    spent = proc.tree_cpu(server.pid) - before
    load_cpu = sum(result.load_cpu for result in results)
    foreign = (proc.machine_busy() - busy - spent.total) / elapsed
    foreign -= load_cpu + (_own_cpu() - own) / elapsed
    answered = sum(result.requests for result in results)
    first = results[0]
    return Sample(
        rate=first.rate,
        requests=first.requests,
        bytes=first.bytes,
        user_us=spent.user * 1e6 / answered if answered else 0.0,
        system_us=spent.system * 1e6 / answered if answered else 0.0,
        load_cpu=load_cpu / len(cores.load),
        foreign=max(0.0, foreign) / (os.cpu_count() or 1),
        slowest_ms=first.slowest,
        latency=first.latency if scenario.latency else {},
        errors=first.errors,
        second_rate=results[1].rate if len(results) > 1 else 0.0,
    )
