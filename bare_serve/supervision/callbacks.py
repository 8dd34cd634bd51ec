"""What the master calls of the server whose workers it keeps.

What lives here: the record of these functions. What must not: the functions themselves, which know
applications and listeners; `server/` has those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bare_serve.supervision.policy import Policy
from bare_serve.supervision.worker_process import RunWorker


def _nothing_to_reopen() -> None:
    """Do nothing: this master has no log files of its own."""


class Ended(NamedTuple):
    """A worker that has ended."""

    pid: int
    number: int
    """Its place, from 1 up."""
    reason: str
    """One of counts/layout.EXIT_REASONS."""
    how: str
    """The same in words, such as "was killed by SIGKILL, not by this server"."""


def _no_title(_workers: int) -> None:
    """Do nothing: this master's process keeps its command line."""


def _nothing_to_tell(_ended: Ended) -> None:
    """Do nothing: the end of a worker concerns only the master."""


class Callbacks(NamedTuple):
    """Functions that the master calls, in its own thread unless they say otherwise."""

    run_worker: RunWorker
    """Serve until told to stop; runs in a child process, with its slot and its worker's number."""
    on_ready: Callable[[Mapping[str, str]], None]
    """Take the facts that the first worker tells as it is ready."""
    reload_settings: Callable[[], Policy] | None = None
    """Return the policy of a reload, or raise a BareServeError that is shown; None if settings
    stay as they are."""
    reopen: Callable[[], None] = _nothing_to_reopen
    """Reopen the master's own log files, which workers to come will inherit."""
    describe: Callable[[], Mapping[str, Any]] = dict
    """Return what others may know of the server: `facts` of counts/records.py."""
    on_ended: Callable[[Ended], None] = _nothing_to_tell
    """Take the facts of a worker that has ended and was reaped."""
    on_count: Callable[[int], None] = _no_title
    """Take how many workers are wanted, before the first one is there and when that changes."""
