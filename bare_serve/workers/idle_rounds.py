"""When a worker that leaves closes connections on which nothing happens.

What lives here: the times of its rounds over them. What must not: connections; what is idle, each
kind of worker knows. A client whose last answer announced no close may have a request on its way.
So a connection is closed if it was idle in two rounds in a row, and served nothing in between. A
round that is late says that the machine is busy, or that the application held the worker up: then
clients are late as well, and have more time.
"""

from __future__ import annotations

from typing import Final

IDLE_LINGER: Final = 0.25
"""How long idle connections are kept, since a request may be on its way."""
FRESH_LINGER: Final = 0.75
"""Seconds for a connection that has sent nothing: no other worker can answer its first request."""

LATE: Final = 0.05
"""A round may come so much later than it was due."""
_FACTOR: Final = 4.0
_LONGEST: Final = 1.0
_POSTPONED_AT_MOST: Final = 3


class Rounds:
    """Those of one drain; times in seconds of the clock of its loop."""

    __slots__ = ("_fresh_at", "_postponed", "due")

    def __init__(self, now: float, fresh: float = FRESH_LINGER) -> None:
        self.due = now + IDLE_LINGER
        """When the next round is to be."""
        self._fresh_at = now + fresh
        self._postponed = 0

    def begin(self, now: float) -> bool:
        """Begin a round: return whether it may close anything, and set when the next is `due`."""
        late = now - self.due
        if late <= LATE or self._postponed == _POSTPONED_AT_MOST:
            self.due = now + IDLE_LINGER
            return True
        self._postponed += 1
        self.due = now + min(IDLE_LINGER + _FACTOR * late, _LONGEST)
        self._fresh_at = max(self._fresh_at, self.due)
        return False

    def fresh(self, now: float) -> bool:
        """Return whether also those may be closed that have not sent anything yet."""
        return now >= self._fresh_at
