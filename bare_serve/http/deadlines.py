"""Deadlines of one connection, kept without a timer and without a word per request.

What lives here: when a client has taken too long. What must not: clocks and sockets; the loop that
owns the connection calls `overdue` on its tick, at least once a second, and says what time it is.

A request that comes and goes between two ticks costs nothing: the tick compares the phase and the
number of requests with what it saw last, and starts a new measurement when they differ. So a
deadline is late by a tick at most.
"""

from __future__ import annotations

from typing import Final, Literal

from bare_serve.errors import RequestError
from bare_serve.http.exchange import Timed
from bare_serve.http.limits import Timeouts
from bare_serve.http.phases import BODY, HEAD, IDLE, RESPONSE

# Bytes a second. A client that trickles a byte now and then makes no progress, it holds a place.
MIN_BODY_RATE: Final = 500
# The same for an answer that waits for its client. The slowest that is in use by people (a phone at
# the edge of its network) takes three times as much.
MIN_ANSWER_RATE: Final = 500

# Who looks less often than this was busy elsewhere, with the application perhaps: the client
# could not be served in the meantime, so it is not held against its body.
LONGEST_GAP: Final = 5.0

_WRITING: Final = 5


class Deadlines:
    """One per connection."""

    __slots__ = ("_looked", "_mark", "_progress", "_since", "timeouts")

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        """`now`: seconds of a monotonic clock, as in `overdue`."""
        self.timeouts = timeouts
        self._mark = (IDLE, 0)
        self._since = now
        self._looked = now
        self._progress = 0

    def overdue(
        self, connection: Timed, now: float, *, paused: bool = False, unsent: int = 0
    ) -> RequestError | Literal["close", "abort"] | None:
        """Return what to do about this connection now, if anything.

        Args:
            paused: reading is stopped from our side, so the client is not to blame.
            unsent: bytes given to the transport that the client has not taken.

        Returns:
            None; a RequestError to answer with; "close" for an idle connection, silently;
            "abort" for a client that does not take its answer.
        """
        phase: int = _WRITING if unsent else connection.phase
        mark = (phase, connection.requests)
        gap, self._looked = now - self._looked, now
        ours = paused
        if phase == BODY:
            ours = ours or gap > LONGEST_GAP or _waits_for_us(connection)
        elif phase == _WRITING:
            ours = ours or gap > LONGEST_GAP
        if mark != self._mark or ours:
            self._mark = mark
            self._restart(now, connection, unsent)
            return None
        elapsed = now - self._since
        if phase == IDLE:
            waited = self.timeouts.keep_alive if connection.requests else self.timeouts.headers
            return "close" if waited and elapsed >= waited else None
        if phase == HEAD:
            if self.timeouts.headers and elapsed >= self.timeouts.headers:
                return RequestError(
                    408,
                    "The request head did not arrive in time.",
                    limit=f"--timeout-headers {self.timeouts.headers:g}s",
                )
        elif phase == BODY:
            return self._body(connection, now, elapsed)
        elif phase == _WRITING:
            return self._write(connection, now, elapsed, unsent)
        return None

    def _restart(self, now: float, connection: Timed, unsent: int) -> None:
        self._since = now
        body = connection.phase in (BODY, RESPONSE) and not unsent
        self._progress = connection.body_received if body else connection.bytes_sent - unsent

    def _body(
        self, connection: Timed, now: float, elapsed: float
    ) -> RequestError | Literal["close"] | None:
        """Hold the body to a minimum rate over the window, not merely to a longest gap."""
        window = self.timeouts.body
        if not window or elapsed < window:
            return None
        if connection.body_received - self._progress < MIN_BODY_RATE * window:
            if connection.response_complete:
                return "close"  # answered: late is only a rest that nobody wanted
            return RequestError(
                408,
                "The request body did not arrive fast enough.",
                limit=f"--timeout-body {window:g}s",
            )
        self._restart(now, connection, 0)
        return None

    def _write(
        self, connection: Timed, now: float, elapsed: float, unsent: int
    ) -> Literal["abort"] | None:
        """Hold the client to a minimum rate over the window, not a longest gap: a client that
        takes a byte now and then would hold its place for as long as it likes."""
        window = self.timeouts.write
        if not window or elapsed < window:
            return None
        taken = connection.bytes_sent - unsent - self._progress
        if taken < MIN_ANSWER_RATE * window:
            return "abort"
        self._restart(now, connection, unsent)
        return None


def _waits_for_us(connection: Timed) -> bool:
    """Bytes of the body lie here untaken, or the client waits for leave to send them."""
    return connection.buffered > 0 or connection.awaits_continue
