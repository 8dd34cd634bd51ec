"""The stacks of a worker's threads, written when somebody asks by a signal.

What lives here: memory that stacks are written to, and the signal. What must not: reading them
(cli/verbs/), stacks of a worker that is about to be killed (supervision/worker_process.py).

C code writes, in the signal's handler: also while a call in C holds the interpreter, and without a
lock. The signal is taken only if the application has not taken it. The memory is appended to, so
that a reader can empty it before it asks.
"""

from __future__ import annotations

import faulthandler
import fcntl
import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from bare_serve.counts.layout import STACKS

STACKS_SIGNAL: int = signal.SIGRTMIN + 2 if hasattr(signal, "SIGRTMIN") else 0
LOOK_SIGNAL: int = signal.SIGRTMIN + 3 if hasattr(signal, "SIGRTMIN") else 0
"""Has a worker write its requests in flight."""


def is_free(signum: int) -> bool:
    """Return whether the application has left that signal alone."""
    return signum > 0 and signal.getsignal(signum) is signal.SIG_DFL


class Stacks:
    """Those of this process."""

    def __init__(self) -> None:
        self._fd = -1

    def register(self) -> None:
        """Have the signal write stacks from now on, if it is free."""
        if not is_free(STACKS_SIGNAL) or not hasattr(os, "memfd_create"):
            return
        with suppress(OSError):
            self._fd = os.memfd_create(STACKS, os.MFD_CLOEXEC)
            fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
            faulthandler.register(STACKS_SIGNAL, self._fd, all_threads=True)

    @property
    def signal(self) -> int:
        """The signal to ask by; 0 if there is none, or the application has taken it since."""
        return STACKS_SIGNAL if self._fd >= 0 and is_free(STACKS_SIGNAL) else 0

    def descriptors(self) -> Iterable[int]:
        """Return what a process that the application forks has to let go of."""
        return (self._fd,) if self._fd >= 0 else ()

    def unregister(self) -> None:
        """Give the signal back, and the memory."""
        if self._fd >= 0:
            if is_free(STACKS_SIGNAL):
                faulthandler.unregister(STACKS_SIGNAL)
            os.close(self._fd)
            self._fd = -1

    def forget(self) -> None:
        """In a process that the application forks: the signal means nothing."""
        if self._fd >= 0 and is_free(STACKS_SIGNAL):
            faulthandler.unregister(STACKS_SIGNAL)
