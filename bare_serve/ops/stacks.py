"""The stacks of workers, asked for without waiting: the loop goes on while they are written.

What lives here: which workers are asked, how long at most, and the text. What must not: when stacks
are complete (counts/stack_request.py), how they are written (workers/stacks.py: C code, in the
handler of a signal, also while a call in C holds the interpreter), and sockets.
"""

from __future__ import annotations

import os
import time
from typing import Final

from bare_serve.counts.flight_request import FlightRequest
from bare_serve.counts.records import Worker
from bare_serve.counts.snapshot import Memory
from bare_serve.counts.stack_request import StackRequest

_PATIENCE: Final = 1.0
"""Seconds for all workers; one that is stopped writes nothing."""
_LONGEST: Final = 1 << 18
"""Bytes that are read of one worker."""
_FRESH: Final = 2.0


class Dump:
    """Those of all workers, or of one."""

    def __init__(self, memory: Memory, number: int | None, *, with_requests: bool) -> None:
        """Ask. `with_requests`: have workers say which requests are in flight as well."""
        self._memory = memory
        self._flight = FlightRequest(memory, signal) if with_requests else None
        self._asked: list[tuple[Worker, StackRequest]] = []
        for worker in memory.snapshot().workers:
            if number in (None, worker.number):
                self._asked.append((worker, _ask(worker)))
        self._until = time.monotonic() + _PATIENCE

    @property
    def is_empty(self) -> bool:
        """There is no such worker."""
        return not self._asked

    def text(self) -> str | None:
        """Return what was written, once it is complete or takes too long; None before."""
        waits = [worker for worker, request in self._asked if not request.is_done()]
        if waits and time.monotonic() < self._until:
            return None
        snapshot = self._memory.snapshot() if self._flight is None else self._flight.snapshot()
        if snapshot is None:
            return None
        fresh = {each.order: each for each in snapshot.workers}
        parts: list[str] = []
        for before, request in self._asked:
            worker = fresh.get(before.order, before)
            parts += (f"worker {worker.number}, pid {worker.pid}, {worker.state}",)
            if self._flight is not None and (worker.flight_written_for or _FRESH) < _FRESH:
                parts += (
                    f"  {each.age:.3f} s  {each.request}  {each.where}".rstrip()
                    for each in worker.flight
                )
            parts += (request.text(_LONGEST) or f"  no stacks: {request.trouble}", "")
        return "\n".join(parts)

    def close(self) -> None:
        """Let go of what is open."""
        for _, request in self._asked:
            request.close()


def _ask(worker: Worker) -> StackRequest:
    return StackRequest(worker.pid, worker.stacks_signal, lambda signum: signal(worker, signum))


def signal(worker: Worker, signum: int) -> bool:
    """Send a worker a signal; return whether that could be done."""
    try:
        os.kill(worker.pid, signum)
    except OSError:  # it has ended, or is another user's
        return False
    return True
