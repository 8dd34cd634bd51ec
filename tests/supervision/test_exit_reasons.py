"""Why a worker ended, in one word."""

from __future__ import annotations

import signal

import pytest

from bare_serve.counts.layout import EXIT_REASONS
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.exit_reasons import exit_reason
from bare_serve.supervision.scoreboard import Scoreboard

FAILED = 1 << 8


@pytest.mark.parametrize(
    ("state", "status", "asked", "ready", "by_kernel", "reason"),
    [
        (State.READY, FAILED, "", True, False, "crash"),
        (State.READY, signal.SIGSEGV, "", True, False, "crash"),
        (State.READY, 0, "", True, False, "asked"),
        (State.READY, signal.SIGKILL, "", True, False, "killed"),
        (State.READY, signal.SIGKILL, "", True, True, "oom"),
        (State.LEAVING, signal.SIGKILL, "reload", True, True, "oom"),
        (State.LEAVING, 0, "reload", True, False, "reload"),
        (State.LEAVING, 0, "recycled", True, False, "recycled"),
        (State.KILLED, signal.SIGKILL, "reload", True, False, "late"),
        (State.KILLED, signal.SIGKILL, "", True, False, "timeout"),
        (State.WARNED, 0, "", True, False, "timeout"),
        (State.BOOTING, FAILED, "", False, False, "boot"),
        (State.LEAVING, 0, "asked", False, False, "asked"),
    ],
)
def test_reasons(
    state: State, status: int, asked: str, ready: bool, by_kernel: bool, reason: str
) -> None:
    board = Scoreboard(rows=1)
    child = Child(1, 0, -1, board.acquire())
    child.state, child._status = state, int(status)
    child.ready_at = 1.0 if ready else None
    if asked:
        child.was_asked, child.asked_for = True, asked
    assert exit_reason(child, by_kernel=by_kernel) == reason
    assert reason in EXIT_REASONS
    board.close()
