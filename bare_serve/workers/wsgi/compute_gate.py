"""Slow calls that compute take turns; those that wait for something do not.

What lives here: finding out which slow calls compute, and the gate before them. What must not:
paths (slow_calls.py), leadership (leadership.py), sockets.

One thread at a time runs Python. Four calls that compute gain nothing by running side by side, and
there each of them takes a whole switch interval whenever the leader lets the interpreter go. So of
the calls that are known to compute, one runs at a time, with a share of the interpreter that
switch_interval.py keeps. A call may wait for a request that waits for its turn: so no call waits
longer than `PATIENCE`.
"""

from __future__ import annotations

import threading
import time
from typing import Final, NamedTuple

from bare_serve.workers.wsgi.switch_interval import SwitchInterval

# Seconds that a call waits for its turn, before it runs beside the others.
PATIENCE: Final = 1.0
# Nothing is learnt of a call that had this much of the processor, or of what the process had of it.
_UNDISTURBED: Final = 0.8
# Otherwise it waited for the interpreter, if it had about its share, while the process used about
# one core: less, and some call slept; more, and they compute without the interpreter.
_SHARE: Final = 0.7
_CPU_SECONDS: Final = 0.005
_LEAST_CORE: Final = 0.8
_MOST_CORE: Final = 1.5
# Such a verdict is a matter of luck if the machine is busy: so many more for it than against it
# make a kind one that computes, and no more than so many are kept to hold against others.
CONVINCED: Final = 2
MOST_EVIDENCE: Final = 8
# Calls until a kind that took turns for nothing may do so again, and until a verdict expires, since
# a call that runs alone shows nothing about contention.
SPARED_CALLS: Final = 100
VALID_CALLS: Final = 1000


class Spent(NamedTuple):
    """Seconds of a thread: on a processor, waiting for one to be free, and in all."""

    own: float
    queued: float
    wall: float

    def since(self, earlier: Spent) -> Spent:
        """Return what has been spent from `earlier` on."""
        return Spent(*(now - then for now, then in zip(self, earlier, strict=True)))


def spent() -> Spent:
    """Return this thread's time so far. Where the system does not say, nothing is queued."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            queued = int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        queued = 0.0
    return Spent(time.thread_time(), queued, time.monotonic())


def is_gil_bound(took: Spent, process_cpu: float, rivals: int) -> bool | None:
    """Return whether a call waited for the interpreter alone; None if it hardly waited.

    Args:
        took: what its thread did with its time.
        process_cpu: CPU seconds of the process meanwhile.
        rivals: how many threads may have wanted the interpreter, this one included.
    """
    own, queued, wall = took
    ready = own + queued
    # What other processes took from this thread, they took from the others as well.
    if own < _CPU_SECONDS or process_cpu * ready < _LEAST_CORE * wall * own:
        return False
    if own >= _UNDISTURBED * wall or own >= _UNDISTURBED * process_cpu:
        return None
    return ready * rivals >= _SHARE * wall and process_cpu <= _MOST_CORE * wall


class CallProfile:
    """What is known of the slow calls of one kind."""

    __slots__ = ("_calls_left", "_evidence", "computes")

    def __init__(self) -> None:
        self.computes = False
        self._evidence = 0
        self._calls_left = 0

    def learn(self, verdict: bool | None) -> None:
        """Take how a call went, by `is_gil_bound`."""
        self._calls_left -= 1
        if self.computes and not self._calls_left:
            self.computes, self._evidence = False, 0
        if verdict is None or (self._calls_left > 0 and not self.computes):
            return
        evidence = self._evidence + (1 if verdict else -1)
        self._evidence = max(0, min(evidence, MOST_EVIDENCE))
        if self.computes and not self._evidence:
            self.computes, self._calls_left = False, SPARED_CALLS
        elif not self.computes and self._evidence >= CONVINCED:
            self.computes, self._calls_left = True, VALID_CALLS


class Pass:
    """One call, from `ComputeGate.begin` to `ComputeGate.end`, both in its thread."""

    __slots__ = ("has_gate", "process_cpu", "profile", "since")

    def __init__(self, profile: CallProfile, has_gate: bool) -> None:
        self.profile = profile
        self.has_gate = has_gate
        self.process_cpu = time.process_time()
        self.since = spent()


class ComputeGate:
    """The gate of a worker."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """`patience` is in seconds."""
        self._patience = patience
        self.interval = SwitchInterval()
        self._gate = threading.Lock()
        self._taken_at = 0.0
        self._lock = threading.Lock()
        self._running = 0

    def begin(self, profile: CallProfile) -> Pass:
        """Before a slow call: waits for its turn, if it is of those that compute."""
        has_gate = profile.computes and self._take_gate()
        with self._lock:
            self._running += 1
        return Pass(profile, has_gate)

    def _take_gate(self) -> bool:
        """Take the gate; do not wait if a call holds it for long: that one waits for its client."""
        if self._gate.locked() and time.monotonic() - self._taken_at > self._patience:
            return False
        taken = self._gate.acquire(timeout=self._patience)
        if taken:
            self._taken_at = time.monotonic()
            self.interval.begin_turn()
        return taken

    def _leave_gate(self) -> None:
        self.interval.end_turn()  # before the next one begins
        self._gate.release()

    def let_pass(self, compute_pass: Pass) -> None:
        """Let the next call compute: this one waits for its client."""
        if compute_pass.has_gate:
            compute_pass.has_gate = False
            self._leave_gate()

    def end(self, compute_pass: Pass, waiting: int = 0) -> float:
        """After it; gives back the seconds it took, without those it waited for its turn.

        `waiting`: how many calls wait for their clients, and not for the interpreter.
        """
        took = spent().since(compute_pass.since)
        process_cpu = time.process_time() - compute_pass.process_cpu
        if compute_pass.has_gate:
            if took.own >= _CPU_SECONDS:
                self.interval.learn(took.own, process_cpu, took.wall)
            self._leave_gate()
        with self._lock:
            rivals = max(self._running - waiting, 1) + 1  # those that run, and the leader
            self._running -= 1
            compute_pass.profile.learn(is_gil_bound(took, process_cpu, rivals))
        return took.wall
