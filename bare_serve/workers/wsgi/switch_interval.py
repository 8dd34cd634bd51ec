"""How long a thread that holds the interpreter keeps it from one that waits for it.

What lives here: the switch interval of a worker, and what it is while a call computes in its turn.
What must not: which calls those are, and turns (compute_gate.py).

A view that computes meets the convoy of the interpreter's lock: each system call of the leader
gives the interpreter away for a whole interval. So the interval is brief, a tenth of a millisecond
in the place of Python's five. But then the leader, which has as much to do as there are clients,
takes half of the time from the one call whose turn it is. So while a call that is known to compute
has its turn, the interval is whatever gives the call `SHARE` of the time, and no longer: it grows
after a call that had less, and shrinks after one that had more. What an interval gives depends on
the cores, the load and the system calls of quick requests, so no fixed one is right everywhere.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Self

BRIEF: Final = 0.0001
LONGEST: Final = 0.005
# Without turns, four calls have about three quarters beside a leader that has enough to do.
SHARE: Final = 2 / 3
# How much longer, or shorter, the interval gets after one call at most.
MOST_STEP: Final = 2.0


class SwitchInterval:
    """The switch interval of a worker that calls the application in several threads.

    It is set between `__enter__` and `__exit__`, which puts back the one that was there before.
    """

    def __init__(self) -> None:
        self.while_computing = BRIEF
        """Seconds, while a call that is known to compute has its turn."""
        self._before: float | None = None

    def __enter__(self) -> Self:
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(BRIEF)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            sys.setswitchinterval(self._before)
        self._before = None  # a call may outlive its worker

    def begin_turn(self) -> None:
        """Give a call that computes its share."""
        if self._before is not None:
            sys.setswitchinterval(self.while_computing)

    def end_turn(self) -> None:
        """Let quick requests interrupt whatever runs."""
        if self._before is not None:
            sys.setswitchinterval(BRIEF)

    def learn(self, own: float, process_cpu: float, wall: float) -> None:
        """Take how a call went that had its turn to the end.

        Args:
            own: CPU seconds of the call.
            process_cpu: those of the process meanwhile.
            wall: seconds meanwhile; no more than these were there to be shared, and who computes
                without the interpreter takes none of them from the call.
        """
        had = own / max(min(process_cpu, wall), own)
        # Twice as long an interval gives the call about twice as much of what the leader has.
        step = SHARE / (1 - SHARE) * (1 - had) / had
        step = min(max(step, 1 / MOST_STEP), MOST_STEP)
        self.while_computing = min(max(self.while_computing * step, BRIEF), LONGEST)
