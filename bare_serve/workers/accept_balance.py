"""Which worker takes the next connection, where several share a listening socket.

What lives here: how many connections each worker holds, in memory that all share, and the
decision to let others accept first. What must not: sockets and loops; acceptors ask.

The kernel wakes all that wait, or always the same one; the first to come would take most of a
burst, and keep-alive connections stay where they are. So a worker that holds clearly more than the
mean stands back for a moment and then looks again. Standing back is bounded: if no other worker
has taken anything meanwhile, the others are busy or dead, and it takes ever more at a time.
"""

from __future__ import annotations

import mmap
import os
import time

# A worker stands back above mean * 1.1 + 2; the 2 keeps small counts from bouncing.
_TENTH = 1.1
_FEW = 2
# How long to stand back at a time, and in all while others do take connections.
STEP = 0.002
_MOST = 0.02
# So often it takes a single one when no other has moved: they may only be about to wake up, on
# a machine with little time. Then ever more at once, up to a batch.
_SINGLES = 50
_LARGEST_BATCH = 64
# A worker that has not been seen for so long is not counted on. Workers tick once a second.
_STALE = 3.0


class AcceptShares:
    """The memory, made by the master before it forks. Rows are the numbers of workers, from 1."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        words = memoryview(mmap.mmap(-1, 3 * 8 * rows)).cast("q")
        self.counts = words[:rows]
        self.seen = words[rows : 2 * rows]  # milliseconds of the monotonic clock; 0: not accepting
        self.owners = words[2 * rows :]

    def share(self, number: int) -> AcceptShare | None:
        """Return the share of the worker with this number; None for more than were expected."""
        return AcceptShare(self, number - 1) if 1 <= number <= self.rows else None


class AcceptShare:
    """One worker's part."""

    __slots__ = (
        "_accepts", "_counts", "_left", "_others", "_row", "_shares", "_since", "_then", "_vain",
    )  # fmt: skip

    def __init__(self, shares: AcceptShares, row: int) -> None:
        self._shares = shares
        self._counts = shares.counts
        self._row = row
        self._others: list[int] = []
        self._since = 0.0  # when it began to stand back
        self._then = -1  # what the others held at that time
        self._vain = 0  # how often it stood back and no other worker took anything
        self._left = 0  # how many it takes without asking again
        self._accepts = False

    def enter(self) -> None:
        """Count this worker among those that accept."""
        self._accepts = True
        self.tick(0)

    def tick(self, held: int) -> None:
        """Give a sign of life, and count the workers that accept; at least once a second."""
        if not self._accepts:
            return
        shares, row = self._shares, self._row
        now = int(time.monotonic() * 1000)
        # A worker and its successor share a row for the moment in which both accept.
        self._counts[row] = held
        shares.seen[row] = now
        shares.owners[row] = os.getpid()
        since = now - int(_STALE * 1000)
        self._others = [
            other for other in range(shares.rows) if shares.seen[other] > since and other != row
        ]

    @property
    def has_others(self) -> bool:
        """Another worker accepts as well, as of the last tick."""
        return bool(self._others)

    def hold(self, held: int) -> None:
        """Set the number of connections that this worker holds."""
        self._counts[self._row] = held

    def leave(self) -> None:
        """Count this worker no more among those that accept."""
        self._accepts = False
        if self._shares.owners[self._row] == os.getpid():
            self._shares.seen[self._row] = 0

    def should_yield(self, held: int, now: float) -> bool:
        """Return whether a connection that waits is left to others for STEP seconds."""
        others = self._others
        if not others:
            return False
        counts = self._counts
        theirs = 0
        for other in others:
            theirs += counts[other]
        if held <= (held + theirs) / (len(others) + 1) * _TENTH + _FEW:
            self._vain = self._left = 0
            self._since = 0.0
            return False
        if self._left:
            self._left -= 1
            return False
        return self._patience(theirs, now)

    def _patience(self, theirs: int, now: float) -> bool:
        """Decide whether to wait longer: this worker holds clearly more than the mean."""
        waited = now - self._since
        if waited > 10 * _MOST:  # the last wait is too long ago to count
            self._since, self._then = now, theirs
            return True
        if theirs == self._then:  # no other worker has moved
            self._vain += 1
            self._left = min(2 ** max(0, self._vain - _SINGLES), _LARGEST_BATCH) - 1
        elif waited < _MOST:
            self._then = theirs
            self._vain = 0
            return True
        self._since, self._then = 0.0, theirs
        return False
