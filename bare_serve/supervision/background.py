"""What the master does beside keeping workers: small works, one object each.

What lives here: what such a work has to be, and whose turn it is. What must not: the works
themselves (server/listeners.py has the first: a look at the certificates), which are handed to the
master. A work that takes long would keep the master from its workers: a child of it does the work,
and is heard of by a descriptor.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Protocol


class Work(Protocol):
    """One thing that the master looks at beside its workers.

    Its descriptor is the master's own: it is closed in each worker.
    """

    @property
    def fd(self) -> int | None:
        """A descriptor to be looked at once it can be read; None for none."""

    @property
    def due(self) -> float:
        """When to look at the latest, by time.monotonic(); infinite for never."""

    def look(self, now: float) -> None:
        """Do what there is to do, without waiting.

        A work that is looked at for its time sets another, and reads what made its descriptor
        readable: what stays is a reason to look again at once.
        """


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

    def look(self, now: float, readable: Collection[int]) -> None:
        """Look at those whose time has come or whose descriptor is among these."""
        for work in self._works:
            if now >= work.due or work.fd in readable:
                work.look(now)

    def forget(self) -> None:
        """In a new child: let go of what is the master's."""
        for fd in self.fds():
            with suppress(OSError):
                os.close(fd)
