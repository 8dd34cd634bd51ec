"""Threads of a WSGI worker that wait for their clients, and requests that wait for a thread.

What lives here: what follows when a thread begins to wait (another one leads), which client is cut
off when too many threads do, and the one warning when requests wait. What must not: sockets,
leadership (leadership.py), the loop (leader.py).

`MOST_WAITING` threads may wait for slow clients, beside `--threads` calls. Beyond that each request
that finds no thread costs the slowest client its connection: the one that has taken or sent nothing
for the longest time, and for a second at least.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from bare_serve.errors import ClientGone
from bare_serve.http.log_text import describe
from bare_serve.wsgi.connection import LONGEST_WAIT

if TYPE_CHECKING:
    from bare_serve.workers.wsgi.call import Call
    from bare_serve.workers.wsgi.compute_gate import ComputeGate
    from bare_serve.workers.wsgi.leadership import Leadership
    from bare_serve.wsgi.connection import Connection

# Threads that may wait for clients at once, beside those of --threads. A thread that waits costs
# some tens of kilobytes, and its client's answer a quarter of a megabyte.
MOST_WAITING: Final = 256
# A client that has kept its thread waiting for less than so many seconds is not cut off.
_LEAST_WAIT: Final = 1.0
# Seconds for which a worker with one thread waits for its client at a time: only in between does
# the thread see that the worker is to stop.
_LONGEST_ALONE: Final = 0.25
# Seconds between two lines about clients that were cut off.
_QUIET_SECONDS: Final = 10.0
# Seconds that a request has waited for a thread when that is worth a line.
WAITED_LONG: Final = 5.0

logger = logging.getLogger("bare_serve.worker")


class CountedWaits:
    """The `ClientWaits` of a worker with a monitor: the leadership counts the threads that wait.

    A thread that waits does not count as one that is in a call, so another one can take its place.
    """

    def __init__(
        self,
        leadership: Leadership,
        compute_gate: ComputeGate,
        calls: Sequence[Call],
        connections: Mapping[int, Connection],
    ) -> None:
        """Keep `calls` and `connections`: those of the worker, which its threads go on changing."""
        self._compute_gate = compute_gate
        self._calls = calls
        self._connections = connections
        self._leadership = leadership
        self._cut = 0
        self._silent_until = 0.0
        self.later = leadership.at_next_look
        """See `ClientWaits`."""

    def begins(self, connection: Connection) -> None:
        """See `ClientWaits`: another thread leads, if this one did."""
        number = 0
        for call in list(self._calls):
            if call.serving is connection:
                number = call.ticket
                if call.compute_pass is not None:
                    self._compute_gate.let_pass(call.compute_pass)
                break
        self._leadership.begin_wait(number)

    def goes_on(self) -> float:
        """See `ClientWaits`."""
        return LONGEST_WAIT

    def ends(self, connection: Connection) -> None:
        """See `ClientWaits`."""
        self._leadership.end_wait()

    def look(self, now: float) -> None:
        """Cut a client off if all threads that may wait for clients do, and none is left to serve
        the others; for the monitor."""
        leadership = self._leadership
        if not leadership.crowded or not (leadership.held or leadership.in_call):
            return
        waits = [each for each in list(self._connections.values()) if each.waits_since]
        slowest = min(waits, key=lambda each: each.waits_since or now, default=None)
        if slowest is not None and now - slowest.waits_since >= _LEAST_WAIT:
            self._cut_off(slowest, now)

    def _cut_off(self, connection: Connection, now: float) -> None:
        head, waited = connection.http.head, now - connection.waits_since
        connection.waits_since = now  # the next look finds another one
        gone = ClientGone(errno.ETIMEDOUT, "the client was cut off: too many others wait as well")
        connection.failure = gone
        connection.hang_up()
        self._cut += 1
        if head is None or now < self._silent_until:
            return
        self._silent_until = now + _QUIET_SECONDS
        logger.warning(
            "%d threads wait for slow clients, which is all that may. Cut off for the others: %s "
            "from %s, who took nothing for %.0f s (%d clients so far).",
            self._leadership.waiting, describe(head), connection.client or "unix", waited,
            self._cut,
        )  # fmt: skip


class OneThreadWaits:
    """The `ClientWaits` of a worker with one thread, which does what is due while it waits."""

    later: Callable[[Callable[[], None]], None] | None = None

    def __init__(self, look: Callable[[], None], seconds_left: Callable[[], float]) -> None:
        """`look` does what is due, if anything is; `seconds_left` returns what a stop still leaves
        to requests: infinite while none is wanted."""
        self._look = look
        self._seconds_left = seconds_left
        self._connection: Connection | None = None

    def begins(self, connection: Connection) -> None:
        """See `ClientWaits`."""
        self._connection = connection

    def goes_on(self) -> float:
        """See `ClientWaits`. When the grace is over, cut the client off: there is no other thread
        to do so, and the worker is to end by itself."""
        self._look()
        left = self._seconds_left()
        if left <= 0 and self._connection is not None:
            self._cut_off(self._connection)
        return min(max(left, 0.0), _LONGEST_ALONE)

    def _cut_off(self, connection: Connection) -> None:
        if (head := connection.http.head) is not None:
            logger.warning("Given up at shutdown: %s", describe(head))
        connection.hang_up()
        self._connection = None

    def ends(self, connection: Connection) -> None:
        """See `ClientWaits`."""


class QueueWarning:
    """The warning that requests have waited long for a thread, once until none waits."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._warned = False

    def look(self, waiting: int, since: float, now: float) -> None:
        """Log it if it is due.

        Args:
            waiting: how many requests have come and find no thread.
            since: when the first of them came, as `now` in seconds of `time.monotonic`.
        """
        if not waiting:
            self._warned = False
        elif not self._warned and now - since >= WAITED_LONG:
            self._warned = True
            logger.warning(
                "%d or more requests wait for one of %d threads, the first for %d s: each thread "
                "is in a call that takes long. Raise --threads or --workers, or bound calls by "
                "--timeout-request.",
                waiting, self._threads, now - since,
            )  # fmt: skip
