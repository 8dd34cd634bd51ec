"""A stop that is put off: load balancers are to see first that the server will be gone.

What lives here: whether one is, and until when. What must not: the stop (supervisor.py), and who
tells load balancers (ops/pages.py).
"""

from __future__ import annotations

import logging
import math
import time

from bare_serve.supervision.systemd import Notifier

logger = logging.getLogger("bare_serve.supervision")


class StopDelay:
    """The time between the wish to stop and its beginning, in which the server goes on serving."""

    def __init__(self, systemd: Notifier) -> None:
        self._systemd = systemd
        self.ends = math.inf
        """When the stop begins, by time.monotonic(); infinite if none was asked for."""

    @property
    def is_on(self) -> bool:
        """Whether a stop was asked for, and has not begun."""
        return self.ends < math.inf

    def begin(self, seconds: float) -> bool:
        """Put a stop off; False if there is nothing to wait for, or one is put off already."""
        if not seconds or self.is_on:
            return False
        self.ends = time.monotonic() + seconds
        self._systemd.stopping()
        logger.info("Serving for %g s more, then stopping. Once more stops at once.", seconds)
        return True
