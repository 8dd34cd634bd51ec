"""Application calls of a WSGI worker that take longer than `--timeout-request` allows.

What lives here: since when each thread is in its call, and the stack of one that is overdue. What
must not: sockets and answers (wsgi/service.py), who leads (leadership.py).

A call pays nothing: the monitor looks a few times within the limit, and compares what each thread
serves with what it served before. A thread cannot be ended from outside, so one that is overdue is
counted as stuck until it serves something else.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bare_serve.http.log_text import describe

if TYPE_CHECKING:
    from bare_serve.http import RequestHead
    from bare_serve.workers.wsgi.call import Call
    from bare_serve.wsgi.connection import Connection

_LOOKS: Final = 20
logger = logging.getLogger("bare_serve.worker")


def look_seconds(limit: float) -> float:
    """Return the seconds between two looks at the calls, for a limit in seconds."""
    return min(1.0, limit / _LOOKS)


class RequestTimeouts:
    """Since when each thread is in its call."""

    def __init__(self, limit: float, calls: Sequence[Call]) -> None:
        """`limit`: in seconds; `calls`: those of all threads, to which threads go on adding."""
        self._limit = limit
        self._period = look_seconds(limit)
        self._calls = calls
        self._next_look = 0.0
        self._since: dict[Call, tuple[int, float]] = {}
        self._stuck: dict[Call, int] = {}

    @property
    def stuck(self) -> int:
        """How many threads are in a call that is overdue."""
        return sum(each.requests == number for each, number in self._stuck.items())

    def look(self, now: float) -> list[tuple[Call, Connection]]:
        """Return the calls that have become overdue since the last look, and their connections."""
        if now < self._next_look:
            return []
        self._next_look = now + self._period
        overdue = []
        if len(self._since) > len(self._calls):  # threads that have ended since
            self._since = {who: self._since[who] for who in self._since if who in self._calls}
        for call in list(self._calls):
            connection, number = call.serving, call.requests
            seen, since = self._since.get(call, (0, now))
            if number != seen:
                self._since[call] = (number, now)
            elif now - since < self._limit or self._stuck.get(call) == number:
                continue
            elif connection is not None and connection.busy and connection.upgraded is None:
                self._stuck[call] = number
                overdue.append((call, connection))
        return overdue


def report_overdue(call: Call, head: RequestHead, limit: float) -> None:
    """Log where the thread is whose call takes longer than `limit` seconds."""
    frame = sys._current_frames().get(call.ident)
    stack = "".join(traceback.format_stack(frame)).rstrip() if frame is not None else "(gone)"
    logger.error(
        "%s takes longer than %g s. Its thread %d is here:\n%s",
        describe(head),
        limit,
        call.number,
        stack,
    )
