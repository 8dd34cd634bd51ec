"""What is known of the code under development: whether it serves, and what has failed.

The master's part: it writes the state that workers read (state.py), and decides whether a worker
that is started has the application or stands in for it. What must not live here: starting workers
(supervisor.py), and watching files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bare_serve.dev.state import DevState, record_of
from bare_serve.dev.watcher_process import WatcherProcess


class Development:
    """One for each master."""

    def __init__(self, state: DevState, watcher: WatcherProcess) -> None:
        self.state = state
        self.watcher = watcher
        self.is_broken = False
        """The code there is does not start, and no other serves: workers stand in for it."""
        self.on_first: Callable[[Mapping[str, str]], None] | None = None
        """Takes what the first worker with code that starts tells as it is ready."""

    @property
    def has_failed(self) -> bool:
        """Whether the newest code has failed."""
        return self.state.read().failure is not None

    def serves(self, facts: Mapping[str, str]) -> None:
        """Note that a worker with the application is ready; `facts` are what it tells."""
        on_first, self.on_first = self.on_first, None
        if on_first is not None:
            on_first(facts)

    def failed(self, message: str, details: str = "", exception: str = "") -> None:
        """Note that new code does not start; the arguments are those of `record_of`."""
        self.state.failed(record_of(message, details, exception))

    def renewed(self) -> None:
        """Note that new code serves."""
        self.is_broken = False
        self.state.renewed()
