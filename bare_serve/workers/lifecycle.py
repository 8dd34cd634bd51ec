"""A worker's life as every kind of worker leads it: ready, tick, drain, gone.

ServeOptions is the slice of the settings that a worker needs. Slot is what it may tell its
master. Lifecycle owns the process's signals from `install` on: TERM drains, a second TERM or
QUIT hurries, and without a master (`--workers 0`) INT counts as TERM. Handlers only set a
flag and wake the loop; the loop looks at `stopping` and `hurry` and decides by itself. A
worker whose master is gone finds out on its next tick and drains as if told to.

No loop, socket or application is known here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

from bare_serve.access_log import AccessLog
from bare_serve.http1 import Limits, Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What both kinds of worker need to serve; composed once from the settings."""

    parser: str = "auto"
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    root_path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    access_log: AccessLog | None = None
    graceful_shutdown: float = 30.0
    multiprocess: bool = False
    threads: int = 8
    wsgi_buffer_chunked: bool = True
    loop: str = "auto"
    lifespan: str = "auto"


class Slot(Protocol):
    """What a worker may tell whoever started it."""

    def ready(self, facts: Mapping[str, str]) -> None:
        """Say once that the app is up and accepting; the facts are shown in the banner."""

    def failed(self, message: str, details: str = "") -> None:
        """Say that the boot failed; details is the app's own traceback."""

    def beat(self, connections: int, requests: int) -> None:
        """Show a sign of life and the present counts."""


class Lifecycle:
    """A worker's relation to signals and to its master.

    `master_pid` is None when there is no master and the loop runs in the user's own process.
    """

    __slots__ = ("_master_pid", "_previous", "_wake", "hurry", "slot", "stopping")

    def __init__(self, slot: Slot, master_pid: int | None) -> None:
        self.slot = slot
        self.stopping = False
        self.hurry = False
        self._master_pid = master_pid
        self._wake: Callable[[], None] | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def install(self, wake: Callable[[], None]) -> None:
        """Take over the signals; `wake` must interrupt the loop and is called in the handler.

        Outside the main thread Python allows no handlers: then only `stop` stops the loop.
        """
        self._wake = wake
        if threading.current_thread() is not threading.main_thread():
            return
        wanted = [signal.SIGTERM, signal.SIGQUIT]
        if self._master_pid is None:
            wanted.append(signal.SIGINT)
        for signum in wanted:
            self._previous.setdefault(signum, signal.signal(signum, self._on_signal))

    def restore(self) -> None:
        """Give the signals back; for a server that ran inside somebody else's process."""
        for signum, handler in self._previous.items():
            # None: the handler was not installed from Python and cannot be put back from here.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        self._wake = None

    def stop(self, *, hurry: bool = False) -> None:
        """Ask the loop to drain, or with `hurry` to stop without any grace."""
        self.stopping = True
        self.hurry = self.hurry or hurry
        if self._wake is not None:
            # The loop may be closed or its pipe full when the last signal arrives; both mean
            # that nobody needs waking. This must not surface inside the application.
            with contextlib.suppress(RuntimeError, OSError):
                self._wake()

    def tick(self, connections: int, requests: int) -> None:
        """Show a sign of life and look whether the master is still there; at least every second."""
        self.slot.beat(connections, requests)
        orphaned = self._master_pid is not None and os.getppid() != self._master_pid
        if orphaned and not self.stopping:
            self.stop()

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self.stop(hurry=self.stopping or signum == signal.SIGQUIT)
