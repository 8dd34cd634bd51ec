"""A worker that sits at a debugger's prompt is not ended by a reload.

It has stopped accepting, so new code serves; but the call that is looked at goes on for as long as
its developer likes, who may well edit the line while the prompt is there. The worker gives itself
the time, and the master asks again and again whether a debugger still holds it. A stop of the
server ends it like any other.
"""

from __future__ import annotations

import sys
from typing import Final

from bare_serve.supervision.child import Child, State
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.termination import HURRY, Terminator
from bare_serve.workers.debuggers import holds_any
from bare_serve.workers.lifecycle import Lifecycle

_AS_LONG_AS_IT_TAKES: Final = 24 * 3600.0
_ANSWER: Final = 0.5
"""Seconds for a worker to say that a debugger holds it; so often it is asked."""


class PatientLifecycle(Lifecycle):
    """The worker's part."""

    __slots__ = ()

    def stop(self, *, hurry: bool = False) -> None:
        """See `Lifecycle`."""
        if not (self.stopping or hurry) and holds_any(sys._getframe()):
            self.grace = _AS_LONG_AS_IT_TAKES
        super().stop(hurry=hurry)


class PatientTerminator(Terminator):
    """The master's part."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.is_patient = True
        """Until the server stops."""
        self._hurried: set[Child] = set()

    def enforce_deadline(self, child: Child, now: float, awake_since: float) -> None:
        """See `Terminator`."""
        is_late = child.deadline is not None and now >= child.deadline
        if not (is_late and child.state is State.LEAVING and child.ready_at is not None):
            super().enforce_deadline(child, now, awake_since)
        elif not self.is_patient and child not in self._hurried:
            self._hurried.add(child)  # it may have given itself much time
            self.stop_worker(child, HURRY, hurry=True)
        elif self.is_patient and not child.is_asked:
            self._ask(child)
            child.deadline = now + _ANSWER
        elif self.is_patient and child.debugged_at:  # no more: now it has the usual time
            child.is_asked, child.debugged_at = False, 0.0
            child.deadline = now + self.grace
        else:
            super().enforce_deadline(child, now, awake_since)
