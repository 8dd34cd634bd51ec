"""Shared memory in which workers show signs of life: written there, read by the master.

One mapping made before the first fork, one row per worker: some 64-bit words and a little
text. A worker writes only its own row, each word by one aligned store, so there is nothing to
lock: no system call, no message. Rows outlive their worker, so the master can read what a
dead one was doing before it gives the row to the next. The memory hangs on a descriptor where
the system can do that, so that a master that replaces itself finds it again.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_WORDS = 8  # 64 bytes: a cache line of its own for every worker
_ROW = 1024
_BEAT, _CONNECTIONS, _REQUESTS, _LENGTH = range(4)
_TEXT = 8 * _WORDS
LAYOUT = 1
"""To be counted up with every change above: another version of this file may read a row."""


class Row:
    """One worker's words, and what it says it is doing."""

    __slots__ = ("_text", "_words", "number")

    def __init__(self, number: int, memory: memoryview) -> None:
        self.number = number
        self._words = memory[:_TEXT].cast("q")
        self._text = memory[_TEXT:]

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

    @property
    def doing(self) -> str:
        """What the worker was doing at its last tick; empty for nothing worth telling."""
        return bytes(self._text[: self._words[_LENGTH]]).decode("utf-8", "replace")

    @doing.setter
    def doing(self, text: str) -> None:
        data = text.encode("utf-8", "replace")[: len(self._text)]
        self._words[_LENGTH] = 0  # a worker may die within the next line
        self._text[: len(data)] = data
        self._words[_LENGTH] = len(data)


class Scoreboard:
    """All rows; the master hands them out and takes them back."""

    def __init__(self, rows: int, fd: int = -1) -> None:
        """`fd` is the descriptor of the memory that another Scoreboard of as many rows had."""
        self.rows = rows
        self.fd = fd
        if fd < 0:
            with suppress(AttributeError, OSError):  # not on this system
                self.fd = os.memfd_create("bare-serve")
                os.ftruncate(self.fd, rows * _ROW)
        self._memory = memoryview(mmap.mmap(self.fd, rows * _ROW))
        self._taken: set[int] = set()

    def acquire(self) -> Row:
        """A cleared row, the lowest number first."""
        for number in range(self.rows):
            if number not in self._taken:
                row = self.at(number)
                row.clear()
                return row
        raise OSError(errno.EAGAIN, "too many workers are still finishing")

    def at(self, number: int) -> Row:
        """The row of that number, which is taken from now on."""
        self._taken.add(number)
        return Row(number, self._memory[number * _ROW : (number + 1) * _ROW])

    def release(self, row: Row) -> None:
        self._taken.discard(row.number)

    def close(self) -> None:
        """Give the descriptor back; rows can be used as before."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextmanager
    def lend(self) -> Iterator[Row]:
        """A row for something that may fail, which then takes it back."""
        row = self.acquire()
        try:
            yield row
        except BaseException:
            self.release(row)
            raise
