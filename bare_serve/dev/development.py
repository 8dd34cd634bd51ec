"""What is known of the code under development: whether it serves, and what has failed.

The master's part: it writes the state that workers read (state.py), and decides whether a worker
that is started has the application or stands in for it. What must not live here: starting workers
(supervisor.py), and watching files.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from bare_serve.dev.state import DevState, record_of
from bare_serve.dev.watcher_process import WatcherProcess

_OWN_WRITES: Final = 2.0
"""Seconds for the watcher to see what an attempt to start has written."""
_NOTICED: Final = 0.3
"""The same for what it is told of at once."""


class Development:
    """One for each master."""

    def __init__(self, state: DevState, watcher: WatcherProcess) -> None:
        self.state = state
        self.watcher = watcher
        self._over_at = math.inf
        """When the last attempt to start was over, by time.monotonic(); never while one is made."""
        watcher.wants_again = self._wants_again
        watcher.on_change = self._begins
        watcher.is_starting = lambda: time.monotonic() <= self._over_at + _NOTICED
        self.is_broken = False
        """The code there is does not start, and no other serves: workers stand in for it."""
        self.on_first: Callable[[Mapping[str, str]], None] | None = None
        """Takes what the first worker with code that starts tells as it is ready."""

    @property
    def has_failed(self) -> bool:
        """Whether the newest code has failed."""
        return self.state.read().failure is not None

    def _begins(self) -> None:
        self._over_at = math.inf

    def is_over(self) -> None:
        """Note that an attempt to start new code has come to its end."""
        self._over_at = time.monotonic()

    def _wants_again(self) -> bool:
        """Return whether a file that was saved as it was is a wish to try again: what the code
        lacked may be there now. What the attempt itself has written is none."""
        return self.has_failed and time.monotonic() > self._over_at + _OWN_WRITES

    def serves(self, facts: Mapping[str, str]) -> None:
        """Note that a worker with the application is ready; `facts` are what it tells."""
        on_first, self.on_first = self.on_first, None
        if on_first is not None:
            self.is_over()
            on_first(facts)

    def failed(self, message: str, details: str = "", exception: str = "") -> None:
        """Note that new code does not start; the arguments are those of `record_of`."""
        self.state.failed(record_of(message, details, exception))
        self.is_over()

    def renewed(self) -> None:
        """Note that new code serves."""
        self.is_broken = False
        self.state.renewed()
