"""What another client waits while one attacks the server, and how much its memory grows.

The attacker yields its core to the other client (niceness), so that on two cores, where both share
one, the clock of the waiting client runs on.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from benchmarks import proc
from benchmarks.hostile.attacks import SECONDS
from benchmarks.hostile.bystander import PATIENCE
from benchmarks.peers import REPOSITORY
from benchmarks.probes.crowd import MIB
from benchmarks.probes.subject import Subject
from benchmarks.process import ServerFailed

READY_SECONDS = 15.0
YIELDING = 10


def besiege(subject: Subject) -> dict[str, object]:
    running, port = subject.running, str(subject.running.launch.port)
    words = [port, f"{SECONDS:g}", "tls" if subject.scenario.tls else "plain"]
    with ExitStack() as stack:
        started = time.monotonic()
        own, busy, spent = _own_cpu(), proc.machine_busy(), proc.tree_cpu(running.pid)
        bystander = stack.enter_context(Program("bystander", words))
        attacker = stack.enter_context(
            Program("attacker", [subject.scenario.attack, *words[:2]], YIELDING)
        )
        for program in (bystander, attacker):
            program.line(READY_SECONDS)
        growth = proc.Growth(running.pid)
        for program in (bystander, attacker):
            program.begin()
        told = json.loads(attacker.line(SECONDS + READY_SECONDS))
        seen = json.loads(bystander.line(PATIENCE + READY_SECONDS))
        grown = _grown(growth, subject)
    elapsed = time.monotonic() - started
    cpu = (proc.tree_cpu(running.pid) - spent).total
    foreign = (proc.machine_busy() - busy - cpu - (_own_cpu() - own)) / elapsed
    return {
        **seen,
        **told,
        "grown_mib": grown / MIB,
        "foreign": max(0.0, foreign) / (os.cpu_count() or 1),
    }


def _grown(growth: proc.Growth, subject: Subject) -> int:
    try:
        return growth.bytes()
    except (OSError, ValueError):
        said = subject.running.obituary() or subject.running.last_words()
        raise ServerFailed(f"a process of its ended under the attack: {said}") from None


def _own_cpu() -> float:
    """Of this process and of those it has ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Program:
    """A program of benchmarks.hostile; ended with the context. It inherits this one's cores."""

    def __init__(self, name: str, words: Sequence[str], niceness: int = 0) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.hostile.{name}", *words],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.nice(niceness),
        )
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        with self.process:  # closes its pipes and waits
            pass

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def line(self, seconds: float) -> bytes:
        """Return the next line it prints. ServerFailed when there is none in time."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise ServerFailed(f"the {self.name} found no end in {seconds:g} s")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise ServerFailed(f"the {self.name} failed: see what it printed")
            self._seen += piece
        line, _, self._seen = self._seen.partition(b"\n")
        return line
