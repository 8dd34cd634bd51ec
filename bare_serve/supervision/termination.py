"""How workers leave: asked first, then killed in time; and which worker has to leave at all.

Nothing is killed without having said what it was doing: a worker that is to be killed is first
CONDEMNED, and has a moment to write its requests in progress and the stacks of its threads. One
that was never asked to leave is asked then, and killed a second later. One that is silent is asked
before whether a debugger holds it, and then lives on.

A terminator acts on one child at a time. Which places there are, and what fills them, is the
supervisor's business.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from bare_serve.supervision.child import ENDING, Child, State
from bare_serve.supervision.policy import Policy, WornOut
from bare_serve.supervision.worker_process import ASK_SIGNAL, DUMP_SIGNAL
from bare_serve.workers.slot import TELL_SIGNAL

logger = logging.getLogger("bare_serve.supervision")

# Seconds. Together they keep the promise that a stop ends within the grace period plus one.
_MARGIN = 0.5  # for a worker to notice by itself that its grace is over
_ASK_BEFORE = 3.0  # before the end of --timeout-worker
_ANSWER = 0.5  # for a worker to say that a debugger holds it
_TELLING = 0.15  # for a condemned worker to report its requests, and as much for its stacks
_LAST_CHANCE = 1.0  # between TERM and KILL, for one that was silent and may come round
_NEVER_READY = 1.5  # for one that never served, and may have to undo what it has begun
HURRY = 1.0  # for a worker that was asked to stop at once
# A worker that is over --max-memory as soon as it is up would be replaced again and again.
_SETTLED = 10.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Terminator:
    """Stops workers: TERM, dump, TERM, KILL, each with a deadline."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.silent = False
        """The first boot failure is reported; the other workers are killed without dumps."""

    @property
    def grace(self) -> float:
        return self.policy.timeout_graceful_shutdown + _MARGIN

    def stop_worker(
        self, child: Child, grace: float, *, hurry: bool = False, why: str = "asked"
    ) -> None:
        """Ask it to end within `grace` seconds; sooner if no request can be waited for.

        `why`: one of counts/layout.EXIT_REASONS.
        """
        if child.state in ENDING:
            return
        if not child.was_asked:
            child.asked_for = why
        if child.state is not State.LEAVING or hurry:
            now = time.monotonic()
            never_ready = child.state is State.BOOTING
            child.deadline = now + (min(grace, _NEVER_READY) if never_ready else grace)
            child.deadline_if_ready = now + grace
            child.state = State.LEAVING
            child.was_asked = True
            child.send(signal.SIGTERM)
            if hurry:  # after TERM, which ends a worker that has no handlers yet
                child.send(signal.SIGQUIT)

    def note_ready(self, child: Child, now: float) -> None:
        """Give a worker the time of a ready one: it became ready while it was asked to leave."""
        if child.state is State.LEAVING and child.ready_at is None:
            child.ready_at = now
            child.deadline = child.deadline_if_ready

    def enforce_deadline(self, child: Child, now: float, awake_since: float) -> None:
        """Act if it is late. `awake_since`: silence from before then means nothing."""
        policy = self.policy
        if child.deadline is not None and now < child.deadline:
            return
        if child.state is State.BOOTING and child.deadline is not None:
            if not child.is_asked:
                self._ask(child)
                child.deadline = now + _ANSWER
                return
            seconds = f"{policy.timeout_boot:g} s"
            child.failure = (f"{child} was not ready within {seconds}.", "")
            self._begin_kill(child, f"was not ready within {seconds}")
        elif child.state is State.LEAVING:
            unready = "was not ready yet, and does not stop by itself"
            self._begin_kill(child, "did not finish in time" if child.ready_at else unready)
        elif child.state is State.TO_KILL:
            # Not together with the other one: of two signals that wait, any thread may take the
            # first, and Python code is only run by the main thread.
            child.state = State.DUMPED
            child.deadline = now + _TELLING
            child.send(DUMP_SIGNAL)
        elif child.state is State.DUMPED and not child.was_asked:
            child.state = State.WARNED
            child.deadline = now + _LAST_CHANCE
            child.send(signal.SIGTERM)
        elif child.state in (State.DUMPED, State.WARNED):
            self.kill(child)
        elif child.state is State.READY and policy.timeout_worker:
            silence = now - max(child.row.last_beat, child.debugged_at, awake_since)
            # As late as can be: the question interrupts system calls, though Python repeats them.
            if silence <= max(policy.timeout_worker / 2, policy.timeout_worker - _ASK_BEFORE):
                child.is_asked = False
            elif not child.is_asked:
                self._ask(child)
            elif silence > policy.timeout_worker:
                self._begin_kill(child, f"has shown no sign of life for {silence:.0f} s")

    def _ask(self, child: Child) -> None:
        child.is_asked = True
        child.send(ASK_SIGNAL)

    def let_debug(self, child: Child, now: float) -> None:
        """Give a worker that a debugger holds its whole time again, from now on."""
        logger.debug("%s is held by a debugger.", child)
        child.is_asked = False
        child.debugged_at = now
        if child.state is State.BOOTING and self.policy.timeout_boot:
            child.deadline = now + self.policy.timeout_boot

    def replace_reason(self, child: Child, now: float) -> WornOut | None:
        """Return why a worker that serves well has to be replaced; None for not at all."""
        requests = child.row.requests
        if requests >= child.requests_at_most:
            return WornOut("recycled", f"has served {requests} requests")
        if now >= child.expires_at:
            return WornOut("lifetime", f"has served for {now - (child.ready_at or now):.0f} s")
        most = self.policy.max_memory
        if most and child.ready_at is not None and now >= child.ready_at + _SETTLED:
            resident = _resident(child.pid)
            if resident > most:
                mib = 1 << 20
                text = f"takes {resident / mib:.0f} MiB of memory, more than {most / mib:g} MiB"
                return WornOut("memory", text)
        return None

    def _begin_kill(self, child: Child, why: str) -> None:
        """Nothing is killed without saying what it was doing."""
        if self.silent:
            self.kill(child)
            return
        logger.error(
            "%s %s, with %d connections open, and is ended. This is what it was doing:",
            child,
            why,
            child.row.connections,
        )
        child.state = State.TO_KILL
        child.deadline = time.monotonic() + _TELLING
        child.send(TELL_SIGNAL)

    def kill(self, child: Child) -> None:
        child.state = State.KILLED
        child.deadline = None
        child.send(signal.SIGKILL)


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process has; 0 where /proc is missing."""
    with suppress(OSError, ValueError, IndexError):
        # size resident shared ... (proc_pid_statm(5))
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0
