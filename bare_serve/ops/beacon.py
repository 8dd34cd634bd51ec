"""A page of shared memory in which the master says how the server does: it writes, others read.

What lives here: the page, its writer and its reader. What must not: what follows from it
(pages.py). A reader that has only this knows whether the master's loop turns, without asking the
master anything.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import NamedTuple

STARTING, SERVING, STOPPING = range(3)

_BEAT, _STATE, _WANTED, _SERVING, _STARTED = range(5)
_WORDS = 8
SIZE = mmap.PAGESIZE


class Told(NamedTuple):
    """What the master says of the server."""

    age: float
    """Seconds since the master's loop has turned."""
    state: int
    """STARTING until a worker has served, STOPPING from the moment a stop was asked for."""
    wanted: int
    """Workers there shall be."""
    serving: int
    """Workers that serve."""
    uptime: float
    """Seconds since this master began to keep workers."""


class Beacon:
    """The page in the master."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("bare-serve-beacon", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, SIZE)
        self._mapping = mmap.mmap(self.fd, SIZE)
        self._words = memoryview(self._mapping).cast("q")
        self._words[_STARTED] = time.monotonic_ns()
        self.tell(STARTING, 0, 0)

    def readable(self) -> int:
        """Return a descriptor of the page that cannot write to it; to be closed by the caller."""
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def tell(self, state: int, wanted: int, serving: int) -> None:
        """Say how the server does, and that the master's loop turns."""
        words = self._words
        words[_STATE] = state
        words[_WANTED] = wanted
        words[_SERVING] = serving
        words[_BEAT] = time.monotonic_ns()

    def close(self) -> None:
        """Let go of the page."""
        self._words.release()
        self._mapping.close()
        os.close(self.fd)


class BeaconReader:
    """The page in another process."""

    def __init__(self, fd: int) -> None:
        self._words = memoryview(mmap.mmap(fd, SIZE, prot=mmap.PROT_READ)).cast("q")

    def read(self) -> Told:
        """Return what the master says now."""
        words, now = self._words, time.monotonic_ns()
        return Told(
            age=(now - words[_BEAT]) / 1e9,
            state=words[_STATE],
            wanted=words[_WANTED],
            serving=words[_SERVING],
            uptime=(now - words[_STARTED]) / 1e9,
        )
