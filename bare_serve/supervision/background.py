"""What the master does beside keeping workers: small works, one object each.

What lives here: what such a work has to be, and whose turn it is. What must not: the works
themselves (a look at the certificates in server/listeners.py, the ops process in ops_process.py),
which are handed to the master. A work that takes long would keep the master from its workers: a
child of it does the work, and is heard of by a descriptor.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from bare_serve.supervision.signals import Intent


class Means(NamedTuple):
    """What a work may use of its master."""

    memory: int
    """The descriptor of the shared memory (counts/layout.py); -1 where the system has none."""
    ask: Callable[[Intent], None]
    """Have the master act as by a signal, at its next turn."""
    replace: Callable[[int], int]
    """Have the worker of this number replaced; the result is one of counts/layout.py."""


class Work:
    """One thing that the master looks at beside its workers.

    Its descriptor is the master's own: it is closed in each worker.
    """

    fd: int | None = None
    """A descriptor to be looked at once it can be read; None for none."""
    pid: int = -1
    """A child of the master that this work reaps itself; -1 for none."""
    due: float = math.inf
    """When to look at the latest, by time.monotonic(); infinite for never."""

    def look(self, now: float) -> None:
        """Do what there is to do, without waiting.

        A work that is looked at for its time sets another, and reads what made its descriptor
        readable: what stays is a reason to look again at once.
        """
        raise NotImplementedError

    def begin(self, means: Means) -> None:
        """Take what there is to use; the master is about to turn."""

    def end(self) -> None:
        """Let go of what runs: the master ends, or becomes another program.

        If that fails, the work is looked at again, and begins anew.
        """

    def forget(self) -> None:
        """In a new child: let go of what is the master's."""
        if self.fd is not None:
            with suppress(OSError):
                os.close(self.fd)


class Background:
    """All of the master's works."""

    def __init__(self, works: Sequence[Work] = ()) -> None:
        self._works = works

    @property
    def due(self) -> float:
        """When the next of them is to be looked at; infinite for never."""
        return min((work.due for work in self._works), default=math.inf)

    def fds(self) -> Iterator[int]:
        """Return the descriptors to be waited for."""
        return (work.fd for work in self._works if work.fd is not None)

    def pids(self) -> Iterator[int]:
        """Return the children of the master that are not its workers."""
        return (work.pid for work in self._works if work.pid >= 0)

    def look(self, now: float, readable: Collection[int]) -> None:
        """Look at those whose time has come or whose descriptor is among these."""
        for work in self._works:
            if now >= work.due or work.fd in readable:
                work.look(now)

    def begin(self, means: Means) -> None:
        """Give all of them what they may use."""
        for work in self._works:
            work.begin(means)

    def end(self) -> None:
        """End all of them."""
        for work in self._works:
            work.end()

    def forget(self) -> None:
        """In a new child: let go of what is the master's."""
        for work in self._works:
            work.forget()
