"""Runs wrk and understands what it says.

bench.lua makes wrk print one line, `BENCH {json}`; `parse` reads it. How much CPU wrk itself used
comes from wait4: above LIMIT of its core, wrk was the bottleneck and requests/s say nothing about
the server.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT = 0.95
SCRIPT = Path(__file__).with_name("bench.lua")


class WrkError(Exception):
    """wrk is missing, failed, or said something else than expected."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send. The defaults are a plain GET on 64 kept-alive connections."""

    connections: int = 64
    path: str = "/"
    script: tuple[str, ...] = ()  # arguments of bench.lua

    def command(self, url: str, seconds: int) -> list[str]:
        connections = str(self.connections)
        options = ["-t1", "-c", connections, f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT)]
        tail = ["--", *self.script] if self.script else []
        return ["wrk", *options, url + self.path, *tail]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load generator found, wrk or our own, which knows its own share of a core best."""

    requests: int
    bytes: int
    seconds: float
    errors: dict[str, int]
    latency: dict[str, float]  # percentile -> milliseconds
    slowest: float
    load_cpu: float = 0.0  # share of a core the generator used, 1.0 = all of it

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def parse(output: str, load_cpu: float = 0.0) -> LoadResult:
    lines = [line for line in output.splitlines() if line.startswith("BENCH ")]
    if not lines:
        raise WrkError(f"wrk printed no result: {output.strip()[-300:] or 'nothing at all'}")
    found = json.loads(lines[-1].removeprefix("BENCH "))
    # wrk corrects for requests it could not send in time; where that correction falls below the
    # fastest answer seen, its percentiles come out as 0 and are no figure at all.
    latency = {point: micro / 1000 for point, micro in found["latency"].items() if micro > 0}
    return LoadResult(
        requests=found["requests"],
        bytes=found["bytes"],
        seconds=found["microseconds"] / 1e6,
        errors={kind: count for kind, count in found["errors"].items() if count},
        latency=latency,
        slowest=found["slowest"] / 1000,
        load_cpu=found.get("load_cpu", load_cpu),
    )


def require() -> None:
    if shutil.which("wrk") is None:
        raise WrkError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")


def version() -> str:
    words = subprocess.run(["wrk", "--version"], capture_output=True, text=True).stdout.split()
    return words[1] if len(words) > 1 else "unknown"


class Running:
    """One load generator at work. `wait` returns its findings; `stop` ends it early."""

    def __init__(self, command: Sequence[str], seconds: float, cores: Sequence[int]) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + seconds + 20
        self.process = subprocess.Popen(
            command,
            cwd=SCRIPT.parent.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def wait(self) -> LoadResult:
        output = self._output()
        _, status, usage = os.wait4(self.process.pid, 0)
        elapsed = time.monotonic() - self.started
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise WrkError(f"wrk failed: {output.strip()[-300:]}")
        return parse(output, (usage.ru_utime + usage.ru_stime) / elapsed)

    def _output(self) -> str:
        """All it prints, until it ends; it ends by itself, and if not, we end it."""
        assert self.process.stdout is not None
        pieces: list[bytes] = []
        with self.process.stdout as stream:
            while True:
                left = self.deadline - time.monotonic()
                if left <= 0 or not select.select([stream], [], [], left)[0]:
                    self.stop()
                    raise WrkError("wrk did not end in time")
                piece = os.read(stream.fileno(), 65536)
                if not piece:
                    return b"".join(pieces).decode(errors="replace")
                pieces.append(piece)

    def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


def run(load: Load, url: str, seconds: int, cores: Sequence[int]) -> LoadResult:
    running = Running(load.command(url, seconds), seconds, cores)
    try:
        return running.wait()
    finally:
        running.stop()
