"""Why a worker ended, in one word: for the history and for counters.

What lives here: the word, one of counts/layout.EXIT_REASONS. What must not: what is logged
(exit_reports.py), what follows (supervisor.py).
"""

from __future__ import annotations

from bare_serve.supervision.child import ENDING, Child


def exit_reason(child: Child, *, by_kernel: bool) -> str:
    """Return it; `by_kernel`: the kernel has just killed a process for want of memory."""
    if child.state in ENDING:
        return "late" if child.was_asked else "timeout"
    if child.was_killed_from_outside:
        return "oom" if by_kernel else "killed"
    if child.was_asked:
        return child.asked_for
    if child.ready_at is None:
        return "boot"
    return "crash" if child.ended_badly else "asked"
