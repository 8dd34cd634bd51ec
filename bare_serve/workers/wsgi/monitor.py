"""The monitor of a WSGI worker: the main thread, while other threads lead and serve.

What lives here: what the monitor does at each look beside passing the lead on: signs of life, room
for clients, calls over `--timeout-request`, the end of the grace period. What must not: when the
lead passes on (leadership.py), which calls are overdue (request_timeout.py), the loop (leader.py).

The monitor calls no application and waits for no client, so nothing of theirs holds it up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from bare_serve.errors import BareServeError, RequestError
from bare_serve.workers.wsgi.client_waits import CountedWaits
from bare_serve.workers.wsgi.leadership import Leadership
from bare_serve.workers.wsgi.request_timeout import RequestTimeouts, report_overdue
from bare_serve.workers.wsgi.shared import Shared

_TOO_LATE: Final = RequestError(504, "The application did not answer in time.")
_OVER_LIMIT: Final = "the request took longer than --timeout-request"

logger = logging.getLogger("bare_serve.worker")


class Monitor:
    """One per worker whose calls have threads to run on."""

    def __init__(
        self, shared: Shared, leadership: Leadership, show_life: Callable[[float], None]
    ) -> None:
        """`show_life(now)` shows a sign of life, if one is due."""
        self._shared = shared
        self._leadership = leadership
        self._show_life = show_life
        self.client_waits = CountedWaits(
            leadership, shared.compute_gate, shared.calls, shared.connections
        )
        """What connections report their waits to."""
        self._timeouts: RequestTimeouts | None = None
        if limit := shared.options.timeout_request:
            self._timeouts = RequestTimeouts(limit, shared.calls)

    def run(self) -> None:
        """Have threads serve until the worker is over.

        Raises:
            BareServeError: the system gives no thread.
        """
        try:
            if not self._leadership.start():
                raise BareServeError("the system gives no thread to serve with; try --threads 1")
            self._leadership.monitor(self._look)
        finally:
            self._leadership.close()

    def _look(self) -> bool:
        """Do what is due; return True when the worker is over, or out of time."""
        now, shared = time.monotonic(), self._shared
        self._show_life(now)
        if shared.over:
            return True
        self.client_waits.look(now)
        if self._timeouts is not None:
            self._end_overdue_calls(self._timeouts, now)
        return shared.drain.out_of_time(now) and self._leadership.end_leadership()

    def _end_overdue_calls(self, timeouts: RequestTimeouts, now: float) -> None:
        """Answer in the place of calls that are overdue; a worker with stuck threads ends."""
        shared = self._shared
        lifecycle, limit = shared.lifecycle, shared.options.timeout_request
        for call, connection in timeouts.look(now):
            head = connection.http.head
            if head is None:
                continue
            number = call.requests
            report_overdue(call, head, limit)
            with shared.park_lock:
                still = call.requests == number and connection.busy
                if not still or connection.http.response_complete:
                    continue  # it has come to its end meanwhile
                if shared.connections.get(connection.fd) is connection:
                    del shared.connections[connection.fd]
                if connection.events:
                    shared.poller.forget(connection.fd)
                    connection.events = 0
                shared.service.give_up(connection, head, _TOO_LATE, _OVER_LIMIT)
            if lifecycle.has_master:
                logger.warning("The worker is replaced once its other requests are answered.")
                lifecycle.stop()
        if timeouts.stuck >= shared.options.threads and lifecycle.stopping:
            lifecycle.hurry = True  # no thread is left to answer the others
