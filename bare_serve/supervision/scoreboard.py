"""Shared memory in which workers show signs of life: written there, read by the master.

One mapping made before the first fork, one row per worker; what stands where is in
counts/layout.py. A worker writes only its own row: single words by one aligned store each, groups
of words and texts inside a sequence word, so there is nothing to lock: no system call, no message.
Rows outlive their worker, so the master can read what a dead one was doing before it gives the row
to the next. The memory hangs on a descriptor where the system can do that, so that a master that
replaces itself finds it again, and so that commands of the same user can read it.

The master may be root, and the application is foreign code, possibly with another user's
rights. So the memory is sealed: no process can make it smaller, at which the master would die by
SIGBUS. A worker maps its own row and no other, and has no descriptor of the memory. What stands in
a row is a claim: a text is made fit for a log, and a number that cannot be true counts as 0.

What the master writes beside the rows is in ledger.py.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bare_serve.counts import layout, numbers
from bare_serve.counts.layout import LAYOUT, ROW, Layout
from bare_serve.supervision.ledger import Ledger
from bare_serve.supervision.messages import printable

__all__ = ["LAYOUT", "ROW", "Row", "Scoreboard"]

_ORDER_END = layout.ROW_XRAY_TEXT + layout.LONGEST_XRAY
_TEXT_END = layout.ROW_TEXT + layout.LONGEST_TEXT
_FLIGHT_END = layout.ROW_IN_FLIGHT + layout.LONGEST_IN_FLIGHT
_MOST = 1 << 48


class Row:
    """One worker's words, and what it says it is doing."""

    __slots__ = ("_flight", "_order", "_text", "_words", "number")

    def __init__(self, number: int, memory: memoryview) -> None:
        self.number = number
        self._map(memory)

    def _map(self, memory: memoryview) -> None:
        self._words = memory[: 8 * layout.ROW_WORDS].cast("q")
        self._order = memory[layout.ROW_XRAY_TEXT : _ORDER_END]
        self._text = memory[layout.ROW_TEXT : _TEXT_END]
        self._flight = memory[layout.ROW_IN_FLIGHT : _FLIGHT_END]

    def move(self, memory: memoryview) -> None:
        """Be in this memory from now on, which holds the same."""
        self.let_go()
        self._map(memory)

    def let_go(self) -> None:
        """Hold the memory no longer: nothing else can be done with the row then."""
        self._words.release()
        self._order.release()
        self._text.release()
        self._flight.release()

    def beat(self, connections: int, requests: int) -> None:
        words = self._words
        words[layout.ROW_CONNECTIONS] = connections
        words[layout.ROW_REQUESTS] = requests
        words[layout.ROW_BEAT] = time.monotonic_ns()

    def introduce(self, interface: str) -> None:
        """Tell which interface the worker serves."""
        self._words[layout.ROW_INTERFACE] = layout.INTERFACES.index(interface)

    def offer_look(self, signum: int) -> None:
        """Tell by which signal the worker reports its requests in flight; 0 for none."""
        self._words[layout.ROW_LOOK_SIGNAL] = signum

    def offer_stacks(self, signum: int) -> None:
        """Tell by which signal it writes its stacks; 0 for none."""
        self._words[layout.ROW_STACKS_SIGNAL] = signum

    def publish(self, gauges: array[int], counters: array[int], windows: array[int]) -> None:
        """Write what counts/numbers.py names, all of one moment."""
        words = self._words
        sequence = words[layout.ROW_SEQUENCE] | 1
        words[layout.ROW_SEQUENCE] = sequence
        for begin, values in (
            (layout.ROW_GAUGES, gauges),
            (layout.ROW_NUMBERS, counters),
            (layout.ROW_WINDOWS, windows),
        ):
            words[begin : begin + len(values)] = memoryview(values)
        words[layout.ROW_PUBLISHED] = time.monotonic_ns()
        words[layout.ROW_SEQUENCE] = sequence + 1

    def offer_xray(self, can: bool) -> None:
        """Tell whether requests can be shown to who attaches to the worker."""
        self._words[layout.ROW_XRAY_OFFERED] = can

    def obey_xray(self, number: int) -> None:
        """Tell which order to show requests the worker obeys; 0 for none."""
        self._words[layout.ROW_XRAY_OBEYED] = number

    def xray_order(self) -> tuple[int, bytes]:
        """Return the number and the text of an order to show requests; (0, b"") for none."""
        words = self._words
        number = int(words[layout.ROW_XRAY_NUMBER])
        left = int(words[layout.ROW_XRAY_UNTIL]) - time.monotonic_ns()
        if not number or not 0 < left <= layout.LONGEST_LEASE:
            return 0, b""
        length = min(max(int(words[layout.ROW_XRAY]), 0), layout.LONGEST_XRAY)
        return number, bytes(self._order[:length])

    @property
    def is_watched(self) -> bool:
        """Whether somebody wants to see the requests in flight."""
        return int(self._words[layout.ROW_WATCHED_UNTIL]) > time.monotonic_ns()

    def report_in_flight(self, lines: str) -> None:
        """Write the requests in flight: lines as of `layout.ROW_IN_FLIGHT`."""
        words = self._words
        if words[layout.ROW_FLIGHT_SEQUENCE] & 1:
            return  # in a signal handler, which has interrupted this very function
        data = lines.encode("utf-8", "replace")
        if len(data) > layout.LONGEST_IN_FLIGHT:
            data = data[: layout.LONGEST_IN_FLIGHT].rpartition(b"\n")[0]
        sequence = words[layout.ROW_FLIGHT_SEQUENCE] | 1
        words[layout.ROW_FLIGHT_SEQUENCE] = sequence
        self._flight[: len(data)] = data
        words[layout.ROW_FLIGHT] = len(data)
        words[layout.ROW_FLIGHT_AT] = time.monotonic_ns()
        words[layout.ROW_FLIGHT_SEQUENCE] = sequence + 1

    def clear(self) -> None:
        for word in range(layout.ROW_WORDS):
            self._words[word] = 0

    def counters(self, count: int) -> list[int]:
        """Return the first so many of the worker's counters; what cannot be true is 0."""
        begin = layout.ROW_NUMBERS
        found: list[int] = self._words[begin : begin + count].tolist()
        return [word if 0 <= word < 1 << 62 else 0 for word in found]

    @property
    def last_beat(self) -> float:
        """When the worker last beat, by time.monotonic(), which all processes share.

        A time that is still to come would make a worker immortal, and counts as 0.
        """
        beat = int(self._words[layout.ROW_BEAT])
        return beat / 1e9 if 0 < beat <= time.monotonic_ns() else 0.0

    @property
    def connections(self) -> int:
        return self._count(layout.ROW_CONNECTIONS)

    @property
    def requests(self) -> int:
        return self._count(layout.ROW_REQUESTS)

    @property
    def blocked(self) -> int:
        """How often the worker's event loop was blocked."""
        return self._count(layout.ROW_NUMBERS + numbers.BLOCKED)

    def _count(self, word: int) -> int:
        count = int(self._words[word])
        return count if 0 <= count < _MOST else 0

    @property
    def doing(self) -> str:
        """What the worker was doing at its last tick, in one line; empty for nothing."""
        length = min(max(int(self._words[layout.ROW_DOING]), 0), layout.LONGEST_TEXT)
        return printable(bytes(self._text[:length]).decode("utf-8", "replace"))

    @doing.setter
    def doing(self, text: str) -> None:
        data = text.encode("utf-8", "replace")[: layout.LONGEST_TEXT]
        self._words[layout.ROW_DOING] = 0  # a worker may die within the next line
        self._text[: len(data)] = data
        self._words[layout.ROW_DOING] = len(data)


class Scoreboard:
    """All rows; the master hands them out and takes them back."""

    def __init__(self, rows: int, fd: int = -1) -> None:
        """`fd` is the descriptor of the memory that another Scoreboard of as many rows had."""
        self.rows = rows
        self._layout = Layout.of(rows)
        self.fd = fd if fd >= 0 else _sealed_memory(self._layout.size)
        self._mapping = _mapped(self.fd, self._layout.size)
        self._memory = memoryview(self._mapping)
        self.ledger = Ledger(self._memory, self._layout, inherited=fd >= 0)
        """What the master writes beside the rows."""
        self._taken: dict[int, Row] = {}

    @staticmethod
    def is_sound(fd: int, rows: int) -> bool:
        """Return whether that descriptor is the sealed memory of as many rows."""
        try:
            return os.fstat(fd).st_size == Layout.of(rows).size and _is_sealed(fd)
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
        begin = self._layout.row(number)
        row = Row(number, self._memory[begin : begin + ROW])
        self._taken[number] = row
        return row

    def release(self, row: Row) -> None:
        """Take a row back, for good: its counters go on in those of the dead."""
        if self.has(row):
            del self._taken[row.number]
            with self.ledger.writing():
                self.ledger.bury(row)
                row.clear()
        row.let_go()

    def has(self, row: Row) -> bool:
        """Return whether the row is of this memory, and not yet released."""
        return self._taken.get(row.number) is row

    def close(self) -> None:
        """Give the descriptor back; rows can be used as before."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def end(self, row: Row) -> None:
        """Let go of all of the memory, whose one row that is taken is this one."""
        self.release(row)
        self.close()
        self._let_go()

    def keep_only(self, row: Row) -> None:
        """In a worker: have this row and nothing else of the memory.

        Without a descriptor, as on systems that cannot make one, all rows stay mapped.
        """
        if self.fd < 0:
            return
        own = memoryview(_mapped(self.fd, ROW, self._layout.row(row.number)))
        self.close()
        row.move(own)
        for other in self._taken.values():
            if other is not row:
                other.let_go()
        self._let_go()

    def _let_go(self) -> None:
        self.ledger.let_go()
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
        fd = os.memfd_create(layout.MEMORY, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.fchmod(fd, 0o600)  # or who has it to read could open it anew, to write
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
