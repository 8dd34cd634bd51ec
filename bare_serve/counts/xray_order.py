"""An order to a worker to show requests, and the records that come back: all in shared memory.

Who attaches writes the order into the worker's row (layout.py) and puts off its end while records
are read. So an order ends by itself if whoever gave it is stopped or killed. The worker writes
records into memory of its own, a ring, which is found by its name as the memory for stacks is: the
kernel lets the same user and root look, and others cannot even send something into it. Neither side
ever waits for the other: a record that finds no room is dropped, and counted.

What must not live here: what is done for an order (workers/xray_attached.py), what a record says
(xray/), waiting, signals.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import secrets
import threading
import time
from array import array
from typing import Any, Final, NamedTuple

from bare_serve.counts import layout
from bare_serve.counts.descriptors import Unreadable, open_memory
from bare_serve.counts.snapshot import Memory

LEASE: Final = 3.0
"""Seconds after which an order ends that nobody puts off."""
MOST_REQUESTS: Final = 1000
LONGEST_PATTERN: Final = 400

_WRITTEN, _READ, _DROPPED, _LEFT_OUT, _OVER = range(5)
_WORDS: Final = 8
_BEGIN: Final = 8 * _WORDS
_SEALS: Final = getattr(fcntl, "F_SEAL_SHRINK", 0x2) | getattr(fcntl, "F_SEAL_GROW", 0x4) | 0x1
"""Nobody can make the memory smaller, at which the worker would die by SIGBUS, nor seal it more."""
_SEALED_TO_WRITERS: Final = 0x8 | 0x10
ROOM: Final = 1 << 20
"""Bytes of records that wait to be read: those of a second, however large clients make them."""
LONGEST_RECORD: Final = ROOM // 8


class Order(NamedTuple):
    """What is to be shown."""

    requests: int
    pattern: str = ""
    full: bool = False
    bodies: bool = False
    layers: bool = False

    def to_bytes(self) -> bytes:
        """Return the order as it stands in a row."""
        return json.dumps(self).encode("ascii")

    @classmethod
    def of(cls, data: bytes) -> Order | None:
        """Return the order that stands in a row; None if it makes no sense."""
        try:
            requests, pattern, full, bodies, layers = json.loads(data)
        except (ValueError, TypeError, RecursionError):
            return None
        if type(requests) is not int or not 0 < requests <= MOST_REQUESTS:
            return None
        if not isinstance(pattern, str) or not all(
            isinstance(each, bool) for each in (full, bodies, layers)
        ):
            return None
        return cls(requests, pattern, full, bodies, layers)


class Orders:
    """The orders of one that looks at requests, to all workers of a server."""

    def __init__(self, memory: Memory, order: Order) -> None:
        self._memory = memory
        self._data = order.to_bytes()
        self.number = secrets.randbits(62) | 1
        """Tells this order from all others."""

    def give(self, row: int) -> bool:
        """Give the order to the worker of a row, or put off its end.

        Returns whether it is new to that worker, which a signal may tell then.
        """
        until = time.monotonic_ns() + int(LEASE * 1e9)
        with self._memory.row(row) as memory, memory[: layout.ROW_XRAY_TEXT].cast("q") as words:
            if words[layout.ROW_XRAY_NUMBER] == self.number:
                words[layout.ROW_XRAY_UNTIL] = until
                return False
            if 0 < words[layout.ROW_XRAY_UNTIL] - time.monotonic_ns() <= layout.LONGEST_LEASE:
                return False  # somebody else has attached
            begin, data = layout.ROW_XRAY_TEXT, self._data
            words[layout.ROW_XRAY_UNTIL] = 0
            memory[begin : begin + len(data)] = data
            words[layout.ROW_XRAY] = len(data)
            words[layout.ROW_XRAY_UNTIL] = until
            words[layout.ROW_XRAY_NUMBER] = self.number
            return True

    def take_back(self, row: int) -> None:
        """End the order, at once or at the worker's next tick."""
        with self._memory.row(row) as memory, memory[: layout.ROW_XRAY_TEXT].cast("q") as words:
            if words[layout.ROW_XRAY_NUMBER] == self.number:
                words[layout.ROW_XRAY_UNTIL] = 0

    def is_offered(self, row: int) -> bool:
        """Return whether the worker of a row obeys such orders."""
        return self._word(row, layout.ROW_XRAY_OFFERED) == 1

    def is_obeyed(self, row: int) -> bool:
        """Return whether the worker of a row shows requests for this order at the moment."""
        return self._word(row, layout.ROW_XRAY_OBEYED) == self.number

    def _word(self, row: int, word: int) -> int:
        with self._memory.row(row) as memory, memory[: layout.ROW_XRAY_TEXT].cast("q") as words:
            return int(words[word])


class Ring:
    """Where a worker writes records. Usable by each of its threads."""

    def __init__(self, number: int) -> None:
        """Make one for the order of that number.

        Raises:
            OSError: the system has no memory, or no descriptor.
        """
        fd = os.memfd_create(f"{layout.RECORDS}-{number}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, _BEGIN + ROOM)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            self._mapping = mmap.mmap(fd, _BEGIN + ROOM)
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        self._memory = memoryview(self._mapping)
        self._words = self._memory[:_BEGIN].cast("q")
        self._lock = threading.Lock()
        self._closed = False
        # What stands in the memory for these, who reads may have written.
        self._written = self._dropped = self._left_out = 0

    def write(self, record: bytes) -> bool:
        """Write a record and return True; count it as dropped if there is no room."""
        with self._lock:
            if self._closed:
                return False
            words = self._words
            written = self._written
            unread = written - words[_READ]
            size = 8 + len(record)
            if not 0 <= unread <= ROOM or unread + size > ROOM or size > LONGEST_RECORD:
                self._dropped += 1
                words[_DROPPED] = self._dropped
                return False
            self._put(written, len(record).to_bytes(8, "little"))
            self._put(written + 8, record)
            words[_WRITTEN] = self._written = written + size
            return True

    def _put(self, at: int, data: bytes) -> None:
        begin = at % ROOM
        first = data[: ROOM - begin]
        self._memory[_BEGIN + begin : _BEGIN + begin + len(first)] = first
        rest = data[len(first) :]
        self._memory[_BEGIN : _BEGIN + len(rest)] = rest

    def leave_out(self) -> None:
        """Count a request that was not shown, as there were too many."""
        with self._lock:
            if not self._closed:
                self._left_out += 1
                self._words[_LEFT_OUT] = self._left_out

    def finish(self) -> None:
        """Say that no more records will come."""
        with self._lock:
            if not self._closed:
                self._words[_OVER] = 1

    def close(self) -> None:
        """Let go of the memory; who has opened it can still read what is there."""
        self.finish()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._words.release()
            self._memory.release()
            self._mapping.close()
            os.close(self.fd)


class RingReader:
    """The records of one worker, for who has attached. To be closed.

    The memory is only read and written by calls, and never mapped: it belongs to foreign code.
    """

    def __init__(self, pid: int, number: int) -> None:
        """Open the ring of the worker with this pid, as this process sees it.

        Raises:
            Unreadable: it has none, for this order.
            OSError: it has ended, or is another user's.
        """
        self._fd = open_memory(pid, f"{layout.RECORDS}-{number}")
        seals = fcntl.fcntl(self._fd, fcntl.F_GET_SEALS)
        is_sealed = seals & (_SEALS | _SEALED_TO_WRITERS) == _SEALS
        if os.fstat(self._fd).st_size != _BEGIN + ROOM or not is_sealed:
            os.close(self._fd)
            raise Unreadable(f"the records of process {pid} are of another version")

    def read(self) -> list[Any]:
        """Return the records that have come since the last time, as JSON has them."""
        words = self._read_words()
        written, at = words[_WRITTEN], words[_READ]
        if not 0 < written - at <= ROOM:
            return []
        data = self._bytes(at, written - at)
        os.pwrite(self._fd, array("q", [written]).tobytes(), 8 * _READ)
        found = []
        while data:
            size = int.from_bytes(data[:8], "little")
            try:
                found.append(json.loads(data[8 : 8 + size]))
            except (ValueError, RecursionError):  # a claim of foreign code
                break
            data = data[8 + size :]
        return found

    def _bytes(self, at: int, count: int) -> bytes:
        begin = at % ROOM
        first = os.pread(self._fd, min(count, ROOM - begin), _BEGIN + begin)
        return first + os.pread(self._fd, count - len(first), _BEGIN)

    def _read_words(self) -> list[int]:
        words = array("q", os.pread(self._fd, _BEGIN, 0))
        return words.tolist() if len(words) == _WORDS else [0] * _WORDS

    @property
    def dropped(self) -> int:
        """Records that found no room."""
        return max(0, self._read_words()[_DROPPED])

    @property
    def left_out(self) -> int:
        """Requests that were not shown, as there were too many."""
        return max(0, self._read_words()[_LEFT_OUT])

    @property
    def is_over(self) -> bool:
        """Whether no more records will come."""
        return bool(self._read_words()[_OVER])

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self._fd)
