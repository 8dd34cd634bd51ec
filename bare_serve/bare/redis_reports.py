"""What the log says of Redis: once that it is away and why, once that it is back.

What lives here: the sentences, and what was said last. What must not: connections (redis_bus.py).
No sentence holds the URL, which may have a password.
"""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("bare_serve.bare")

_AWAY = (
    "Rooms: Redis at %s %s. Until it is back, members hear only those in the same process, and %d "
    "messages at most are kept for the others."
)
_BACK = "Rooms: Redis at %s is back after %.1f s; %d messages were kept, %d lost so far."
_FULL = "Rooms: %d messages wait for Redis at %s. From now on the oldest are lost."


class Reports:
    """Whether Redis is away, and what was said of that."""

    def __init__(self, place: str, prefix: str, buffer: int) -> None:
        """Take Redis for present; nothing is said before it is away."""
        self._place, self._prefix, self._buffer = place, prefix, buffer
        self._since: float | None = None
        self._told = ""

    @property
    def away(self) -> bool:
        """Whether it is."""
        return self._since is not None

    def lost(self, error: Exception) -> None:
        """Say why it is away, unless that was said."""
        reason = self._reason(error)
        if reason != self._told:
            logger.warning(_AWAY, self._place, reason, self._buffer)
        self._told = reason
        if self._since is None:
            self._since = time.monotonic()

    def back(self, kept: int, lost: int) -> None:
        """Say that it is back, if it was away; `lost` messages since the start."""
        if self._since is not None:
            logger.info(_BACK, self._place, time.monotonic() - self._since, kept, lost)
        self._since, self._told = None, ""

    def full(self, kept: int) -> None:
        """Say that messages are lost from now on."""
        logger.warning(_FULL, kept, self._place)

    def _reason(self, error: Exception) -> str:
        """Say what is wrong, and what to do."""
        from redis import exceptions as known

        if isinstance(error, known.AuthenticationError):
            return f"does not take the user and password of the URL ({error})"
        if isinstance(error, known.NoPermissionError):
            needs = f"+ping, +publish, +subscribe, +unsubscribe and &{self._prefix}*"
            return f"forbids this user what the bus does ({error}): it needs {needs}"
        if isinstance(error, (TimeoutError, known.TimeoutError)):
            return "does not answer in time"
        if isinstance(error, (OSError, known.RedisError)):
            return f"cannot be used ({str(error).rstrip('.') or type(error).__name__})"
        logger.error("Rooms: the bus on Redis failed; it begins anew.", exc_info=error)
        return f"cannot be used ({type(error).__name__})"
