"""Why a connection was not accepted; that none can be is said once, and once that it works again.

What lives here: which errors mean that there is no connection, how long a listener rests after the
others, and what is said of that. What must not: accepting, and trying again.
"""

from __future__ import annotations

import logging
import time

NO_CONNECTION = (BlockingIOError, InterruptedError, ConnectionAbortedError)
"""Another worker was quicker, or the client has gone already (accept(2))."""
PAUSE = 1.0
"""Seconds until accepting is tried again, after any other error."""

logger = logging.getLogger("bare_serve.worker")


class Scarcity:
    """Of descriptors or memory mostly, as one listener meets it."""

    __slots__ = ("_refusals", "_since", "is_here")

    def __init__(self) -> None:
        self.is_here = False
        self._since = 0.0
        self._refusals = 0

    def begins(self, error: OSError) -> None:
        """Note that accepting failed; it is tried again after PAUSE seconds."""
        self._refusals += 1
        if not self.is_here:
            self.is_here = True
            self._since = time.monotonic()
            logger.error("Cannot accept: %s. Trying again every %g s.", error.strerror, PAUSE)

    def is_over(self) -> None:
        """Note that all that waited was accepted."""
        if self.is_here:
            logger.warning(
                "Accepting works again, after %.3g s and %d attempts.",
                time.monotonic() - self._since,
                self._refusals,
            )
            self.is_here, self._refusals = False, 0
