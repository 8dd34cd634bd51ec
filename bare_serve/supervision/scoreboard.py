"""Shared memory in which workers show signs of life: written there, read by the master.

One anonymous mapping made before the first fork, one row of 64-bit words per worker. A worker
writes only its own row, each word by one aligned store, so there is nothing to lock: no system
call, no file, no message. Rows outlive their worker, so the master can read what a dead one
was doing before it gives the row to the next.
"""

from __future__ import annotations

import errno
import mmap
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WORDS = 8  # 64 bytes: a cache line of its own for every worker
_BEAT, _CONNECTIONS, _REQUESTS = range(3)


class Row:
    """One worker's words."""

    __slots__ = ("_words", "number")

    def __init__(self, number: int, words: memoryview) -> None:
        self.number = number
        self._words = words

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
        """When the worker last beat, by time.monotonic(), which all processes share."""
        return int(self._words[_BEAT]) / 1e9

    @property
    def connections(self) -> int:
        return int(self._words[_CONNECTIONS])

    @property
    def requests(self) -> int:
        return int(self._words[_REQUESTS])


class Scoreboard:
    """All rows; the master hands them out and takes them back."""

    def __init__(self, rows: int) -> None:
        words = memoryview(mmap.mmap(-1, rows * _WORDS * 8)).cast("q")
        self._free = [
            Row(number, words[number * _WORDS : (number + 1) * _WORDS])
            for number in reversed(range(rows))
        ]

    def acquire(self) -> Row:
        """A cleared row, the lowest number first."""
        if not self._free:
            raise OSError(errno.EAGAIN, "too many workers are still finishing")
        row = self._free.pop()
        row.clear()
        return row

    def release(self, row: Row) -> None:
        self._free.append(row)
        self._free.sort(key=lambda free: -free.number)

    @contextmanager
    def lend(self) -> Iterator[Row]:
        """A row for something that may fail, which then takes it back."""
        row = self.acquire()
        try:
            yield row
        except BaseException:
            self.release(row)
            raise
