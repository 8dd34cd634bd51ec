"""Where the blocks of an x-ray go: to the terminal, each in one write, by a thread of its own.

What lives here: the queue between requests and the terminal, how many records there may be, and
that the blocks of several processes do not get mixed. What must not: what a block says.

A block waits for nothing that a request waits for: the thread makes its text, takes the lock of the
output and writes. What the output does not take is counted, and said where it works again.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

MOST_A_SECOND: Final = 20
"""Records of one process; who reads can follow no more."""
_MOST_WAITING: Final = 64
"""Blocks that wait for the output."""
_PATIENCE: Final = 0.5
"""Seconds that a block waits for an output that takes nothing, and for the lock."""
_STEP: Final = 0.01
_AT_THE_END: Final = 0.4


class XrayLog:
    """Admits records, and writes their blocks."""

    def __init__(self, fd: int, most: int = MOST_A_SECOND) -> None:
        """Write to the descriptor `fd`, blocks of at most `most` records a second."""
        self._fd = fd
        self._most = most
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._second = 0.0
        self._in_second = 0
        self._left_out = 0
        self._dropped = 0
        self._blocks: deque[Callable[[], str]] = deque()
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._closed = False
        self._blocked = False
        self._torn = False
        """What was written last is a part of a block."""
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def admit(self) -> int:
        """Return the number of one more record; 0 if there are too many for now."""
        number = next(self._numbers)
        now = time.monotonic()
        with self._lock:
            if now - self._second >= 1.0:
                self._second, self._in_second = now, 0
            self._in_second += 1
            if self._in_second <= self._most:
                return number
            self._left_out += 1
            is_first = self._left_out == 1
        if is_first:  # the thread waits for the end of the second from then on
            self._wake.set()
        return 0

    def put(self, block: Callable[[], str]) -> None:
        """Have a block written, whose text is made when its turn has come. Any thread may call."""
        if len(self._blocks) >= _MOST_WAITING or os.getpid() != self._pid:
            self._dropped += 1
            return
        self._blocks.append(block)
        self._wake.set()

    def start(self) -> None:
        """Begin to write, in this process."""
        if self._thread is not None:
            return
        self._pid = os.getpid()
        thread = threading.Thread(target=self._run, name="bare-serve-xray", daemon=True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:  # signals are for the threads that wait for them
            thread.start()
            self._thread = thread
        except RuntimeError:
            pass  # the system gives no thread: `close` writes what there is
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def close(self) -> None:
        """Write what can still be written, in a moment."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_AT_THE_END)
        if self._writing.acquire(timeout=_AT_THE_END):
            try:
                self._write_all(time.monotonic() + _AT_THE_END)
            finally:
                self._writing.release()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            with self._writing:
                self._write_all()
            if self._left_out and not self._closed:
                time.sleep(1.0 - min(max(time.monotonic() - self._second, 0.0), 1.0))
                self._wake.set()

    def _write_all(self, until: float = float("inf")) -> None:
        while self._blocks and time.monotonic() < until:
            self._write(self._blocks.popleft()())
        self._say_what_was_left_out()

    def _say_what_was_left_out(self) -> None:
        with self._lock:
            if time.monotonic() - self._second < 1.0 and not self._closed:
                return  # more may come
            left_out, self._left_out = self._left_out, 0
        if left_out:
            self._write(f"... {left_out} more, which were too many to show\n\n")

    def _write(self, text: str) -> None:
        dropped = self._dropped
        if dropped:
            text = f"... {dropped} lost: the output did not take them\n\n{text}"
        if self._torn:
            text = f"\n{text}"
        if self._send(text.encode("utf-8", "replace")):
            self._dropped -= dropped
        else:
            self._dropped += 1

    def _send(self, data: bytes) -> bool:
        """Write all of it, and return True; give up where the output takes nothing for long."""
        # An output that was blocked gets no patience until it takes something again.
        deadline = time.monotonic() + (0.0 if self._blocked else _PATIENCE)
        if not self._claim(deadline):
            return False
        try:
            view = memoryview(data)
            while view:
                left = max(deadline - time.monotonic(), 0.0)
                if not _takes(self._fd, left):
                    self._blocked = True
                    self._torn = self._torn or len(view) < len(data)
                    return False
                view = view[os.write(self._fd, view[: _room(self._fd, len(view))]) :]
            self._blocked = self._torn = False
            return True
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _claim(self, deadline: float) -> bool:
        """Take the lock that other processes with the same output take as well."""
        while True:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_STEP)
            except OSError:
                return True  # this kind of output has no locks: its own rules hold


def _takes(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def _room(fd: int, count: int) -> int:
    """Return how many bytes to write at once: as many as a pipe that can be written surely takes,
    since the descriptor may wait, and others share it; all where nothing waits."""
    try:
        is_pipe = bool(fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ))
    except (OSError, AttributeError):
        is_pipe = False
    return min(count, select.PIPE_BUF) if is_pipe else count
