"""Nothing can be accepted: said once, and once that it works again.

What lives here: what is said of it. What must not: accepting, and when it is tried again.
"""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("bare_serve.worker")


class Scarcity:
    """Of descriptors or memory mostly, as one listener meets it."""

    __slots__ = ("_refusals", "_since", "is_here")

    def __init__(self) -> None:
        self.is_here = False
        self._since = 0.0
        self._refusals = 0

    def begins(self, error: OSError, pause: float) -> None:
        """Note that accepting failed; the worker tries it again after `pause` seconds."""
        self._refusals += 1
        if not self.is_here:
            self.is_here = True
            self._since = time.monotonic()
            logger.error("Cannot accept: %s. Trying again every %g s.", error.strerror, pause)

    def is_over(self) -> None:
        """Note that all that waited was accepted."""
        if self.is_here:
            logger.warning(
                "Accepting works again, after %.3g s and %d attempts.",
                time.monotonic() - self._since,
                self._refusals,
            )
            self.is_here, self._refusals = False, 0
