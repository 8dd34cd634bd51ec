"""What is said of a stop: that it has begun, and only then of requests if there are any.

The law: a worker without a request ends at once, so that how long requests have is said when
workers are still there a second later. What is waited for until then is not worth a line.
"""

from __future__ import annotations

import logging
import math
import time

logger = logging.getLogger("bare_serve.supervision")

_PATIENCE = 1.0


class StopRemark:
    """Says once that requests are waited for, when it is clear that they are."""

    def __init__(self) -> None:
        self.due = math.inf
        """When there may be something to say, by time.monotonic()."""
        self._seconds = 0.0

    def begin(self, seconds: float, *, hurry: bool) -> None:
        """Say that the server stops; `seconds` is what requests have, none of them in a `hurry`."""
        logger.info("Stopping at once." if hurry else "Stopping.")
        self.due = math.inf if hurry else time.monotonic() + _PATIENCE
        self._seconds = seconds

    def look(self, now: float, waits: bool) -> None:
        """Say how long requests have, if it is time and workers are waited for."""
        if now >= self.due:
            self.due = math.inf
            if waits:
                text = "Stopping: requests have %g s to finish. Once more stops at once."
                logger.info(text, self._seconds)
