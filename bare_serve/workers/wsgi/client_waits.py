"""Threads of a WSGI worker that wait for their clients, and requests that wait for a thread.

What lives here: who is told when a thread begins to wait (so that another one leads), whom to cut
off when too many do, and the one warning when requests wait. What must not: sockets, leadership
(leadership.py), the loop (leader.py).

As many clients may be slow as `MOST_WAITING`, beside `--threads` calls. Beyond that each
request that finds no thread costs the slowest of them its connection: who has taken or sent
nothing for the longest time, and for a second at least.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from bare_serve.errors import ClientGone
from bare_serve.wsgi.connection import LONGEST_WAIT
from bare_serve.wsgi.service import describe

if TYPE_CHECKING:
    from bare_serve.workers.wsgi.call import Call
    from bare_serve.workers.wsgi.compute_gate import ComputeGate
    from bare_serve.workers.wsgi.leadership import Leadership
    from bare_serve.wsgi.connection import Connection

# Threads that may wait for clients at once, beside those of --threads. A thread that waits costs
# some tens of kilobytes, and its client's answer a quarter of a megabyte.
MOST_WAITING: Final = 256
# Who has kept a thread waiting for less than this is not cut off.
_LEAST_WAIT: Final = 1.0
# Seconds for which a worker with one thread waits for its client at a time: only in between it
# sees that it is to stop.
_LONGEST_ALONE: Final = 0.25
# Seconds between two lines about clients that were cut off.
_QUIET_SECONDS: Final = 10.0
# So long requests have waited for a thread when it is worth a line.
WAITED_LONG: Final = 5.0

logger = logging.getLogger("bare_serve.worker")


class CountedWaits:
    """Of a worker whose calls have threads to run on."""

    def __init__(
        self,
        leadership: Leadership,
        compute_gate: ComputeGate,
        calls: Sequence[Call],
        connections: Mapping[int, Connection],
    ) -> None:
        """`calls` and `connections`: those of the worker, which it goes on changing."""
        self._compute_gate = compute_gate
        self._calls = calls
        self._connections = connections
        self._leadership = leadership
        self._cut = 0
        self._silent_until = 0.0

    def begins(self, connection: Connection) -> None:
        """See `wsgi.connection.CountedWaits`: another thread leads, if this one did."""
        number = 0
        for call in list(self._calls):
            if call.serving is connection:
                number = call.ticket
                if call.compute_pass is not None:
                    self._compute_gate.let_pass(call.compute_pass)
                break
        self._leadership.begin_wait(number)

    def goes_on(self) -> float:
        """See `wsgi.connection.CountedWaits`."""
        return LONGEST_WAIT

    def ends(self, connection: Connection) -> None:
        """See `wsgi.connection.CountedWaits`."""
        self._leadership.end_wait()

    def look(self, now: float) -> None:
        """By the monitor: makes room if all threads that may wait for clients do, and nobody can
        serve the others."""
        leadership = self._leadership
        if not leadership.crowded or not (leadership.held or leadership.in_call):
            return
        waits = [each for each in list(self._connections.values()) if each.waits_since]
        slowest = min(waits, key=lambda each: each.waits_since or now, default=None)
        if slowest is not None and now - slowest.waits_since >= _LEAST_WAIT:
            self._cut_off(slowest, now)

    def _cut_off(self, connection: Connection, now: float) -> None:
        head, waited = connection.http.head, now - connection.waits_since
        connection.waits_since = now  # whoever looks next finds another one
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
    """Of a worker with one thread: it looks after what is due while it waits for its client."""

    def __init__(self, look: Callable[[], None], seconds_left: Callable[[], float]) -> None:
        """`look` does what is due, if anything is; `seconds_left` is what a stop still leaves to
        requests: infinite while nobody has asked for one."""
        self._look = look
        self._seconds_left = seconds_left
        self._connection: Connection | None = None

    def begins(self, connection: Connection) -> None:
        """See `wsgi.connection.CountedWaits`."""
        self._connection = connection

    def goes_on(self) -> float:
        """See `wsgi.connection.CountedWaits`. When the grace is over, cuts the client off, since
        nobody else can, and the worker is to end by itself."""
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
        """See `wsgi.connection.CountedWaits`."""


class QueueWarning:
    """Warns once an episode when requests have waited long for a thread."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._told = False

    def look(self, waiting: int, since: float, now: float) -> None:
        """`waiting`: requests that have come and find no thread; `since`: the first of them."""
        if not waiting:
            self._told = False
        elif not self._told and now - since >= WAITED_LONG:
            self._told = True
            logger.warning(
                "%d or more requests wait for one of %d threads, the first for %d s: each thread "
                "is in a call that takes long. Raise --threads or --workers, or bound calls by "
                "--timeout-request.",
                waiting, self._threads, now - since,
            )  # fmt: skip
