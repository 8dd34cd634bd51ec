"""Shared memory in which workers show signs of life: written there, read by the master.

One mapping made before the first fork, one row per worker: some 64-bit words and a little
text. A worker writes only its own row, each word by one aligned store, so there is nothing to
lock: no system call, no message. Rows outlive their worker, so the master can read what a
dead one was doing before it gives the row to the next. The memory hangs on a descriptor where
the system can do that, so that a master that replaces itself finds it again.

The master may be root, and the application is foreign code, possibly with another user's
rights. So the memory is sealed: no process can make it smaller, at which the master would die by
SIGBUS. A row is a page, a worker maps its own page and no other, and has no descriptor of the
memory. What stands in a row is a claim: a text is made fit for a log, and a number that cannot be
true counts as 0.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bare_serve.supervision.messages import printable

_WORDS = 8  # 64 bytes: a cache line
ROW = mmap.ALLOCATIONGRANULARITY
"""Bytes of a row: what can be mapped by itself."""
_BEAT, _CONNECTIONS, _REQUESTS, _LENGTH = range(4)
_TEXT = 8 * _WORDS
_LONGEST = 960
_MOST = 1 << 48
LAYOUT = 2
"""To be counted up with every change above: another version of this file may read a row."""


class Row:
    """One worker's words, and what it says it is doing."""

    __slots__ = ("_text", "_words", "number")

    def __init__(self, number: int, memory: memoryview) -> None:
        self.number = number
        self._map(memory)

    def _map(self, memory: memoryview) -> None:
        self._words = memory[:_TEXT].cast("q")
        self._text = memory[_TEXT : _TEXT + _LONGEST]

    def move(self, memory: memoryview) -> None:
        """Be in this memory from now on, which holds the same."""
        self.let_go()
        self._map(memory)

    def let_go(self) -> None:
        """Hold the memory no longer: nothing else can be done with the row then."""
        self._words.release()
        self._text.release()

    def beat(self, connections: int, requests: int) -> None:
        words = self._words
        words[_CONNECTIONS] = connections
        words[_REQUESTS] = requests
        words[_BEAT] = time.monotonic_ns()

    def clear(self) -> None:
        for word in range(_WORDS):
            self._words[word] = 0

    @property
    def last_beat(self) -> float:
        """When the worker last beat, by time.monotonic(), which all processes share.

        A time that is still to come would make a worker immortal, and counts as 0.
        """
        beat = int(self._words[_BEAT])
        return beat / 1e9 if 0 < beat <= time.monotonic_ns() else 0.0

    @property
    def connections(self) -> int:
        return self._count(_CONNECTIONS)

    @property
    def requests(self) -> int:
        return self._count(_REQUESTS)

    def _count(self, word: int) -> int:
        count = int(self._words[word])
        return count if 0 <= count < _MOST else 0

    @property
    def doing(self) -> str:
        """What the worker was doing at its last tick, in one line; empty for nothing."""
        length = min(max(int(self._words[_LENGTH]), 0), _LONGEST)
        return printable(bytes(self._text[:length]).decode("utf-8", "replace"))

    @doing.setter
    def doing(self, text: str) -> None:
        data = text.encode("utf-8", "replace")[:_LONGEST]
        self._words[_LENGTH] = 0  # a worker may die within the next line
        self._text[: len(data)] = data
        self._words[_LENGTH] = len(data)


class Scoreboard:
    """All rows; the master hands them out and takes them back."""

    def __init__(self, rows: int, fd: int = -1) -> None:
        """`fd` is the descriptor of the memory that another Scoreboard of as many rows had."""
        self.rows = rows
        self.fd = fd if fd >= 0 else _sealed_memory(rows * ROW)
        self._mapping = _mapped(self.fd, rows * ROW)
        self._memory = memoryview(self._mapping)
        self._taken: dict[int, Row] = {}

    @staticmethod
    def is_sound(fd: int, rows: int) -> bool:
        """Return whether that descriptor is the sealed memory of as many rows."""
        try:
            return os.fstat(fd).st_size == rows * ROW and _is_sealed(fd)
        except OSError:
            return False

    def acquire(self) -> Row:
        """Return a cleared row, the lowest number first."""
        for number in range(self.rows):
            if number not in self._taken:
                row = self.at(number)
                row.clear()
                return row
        raise OSError(errno.EAGAIN, "too many workers are still finishing")

    def at(self, number: int) -> Row:
        """Return the row of that number, which is taken from now on."""
        row = Row(number, self._memory[number * ROW : (number + 1) * ROW])
        self._taken[number] = row
        return row

    def release(self, row: Row) -> None:
        self._taken.pop(row.number, None)
        row.let_go()

    def close(self) -> None:
        """Give the descriptor back; rows can be used as before."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def keep_only(self, row: Row) -> None:
        """In a worker: have this row and nothing else of the memory.

        Without a descriptor, as on systems that cannot make one, all rows stay mapped.
        """
        if self.fd < 0:
            return
        own = memoryview(_mapped(self.fd, ROW, row.number * ROW))
        self.close()
        row.move(own)
        for other in self._taken.values():
            if other is not row:
                other.let_go()
        self._memory.release()
        self._mapping.close()

    @contextmanager
    def lend(self) -> Iterator[Row]:
        """Give a row to a block that may fail; a failure releases the row."""
        row = self.acquire()
        try:
            yield row
        except BaseException:
            self.release(row)
            raise


def _sealed_memory(size: int) -> int:
    """Return the descriptor of memory whose size is sealed; -1 where no system call does it."""
    with suppress(AttributeError, OSError):
        fd = os.memfd_create("bare-serve", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())
        except BaseException:
            os.close(fd)
            raise
        return fd
    return -1


def _is_sealed(fd: int) -> bool:
    with suppress(AttributeError, OSError):
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _seals() == _seals()
    return False


def _seals() -> int:
    # The last one: a process with the descriptor could seal the memory against writing.
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _mapped(fd: int, size: int, offset: int = 0) -> mmap.mmap:
    """Map the memory without keeping its descriptor; anonymous memory for -1."""
    if fd < 0:
        return mmap.mmap(-1, size)
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, size, offset=offset, trackfd=False)
    # Before 3.13 a mapping has a duplicate of its own, under the lowest number that is free, and
    # closes that number at its end. Something harmless takes the duplicate's place.
    free = os.dup(fd)
    os.close(free)
    mapping = mmap.mmap(fd, size, offset=offset)
    for number in {free, *_open_descriptors()} - {fd}:
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), os.fstat(fd)):
                _replace(number)
    return mapping


def _open_descriptors() -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir("/proc/self/fd")]
    return []


def _replace(number: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, number, inheritable=False)
    os.close(null)
