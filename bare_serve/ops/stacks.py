"""The stacks of workers, asked for without waiting: the loop goes on while they are written.

What lives here: asking, looking whether it is done, and the text. What must not: how stacks are
written (workers/stacks.py: C code, in the handler of a signal, also while a call in C holds the
interpreter), and sockets.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from typing import Final

from bare_serve.counts.layout import STACKS
from bare_serve.counts.records import Worker
from bare_serve.counts.snapshot import Memory, Unreadable, descriptor_of

_PATIENCE: Final = 1.0
"""Seconds for all workers; one that is stopped writes nothing."""
_LONGEST: Final = 1 << 18
"""Bytes that are read of one worker."""
_FRESH: Final = 2.0


class Dump:
    """Those of all workers, or of one."""

    def __init__(self, memory: Memory, number: int | None, *, with_requests: bool) -> None:
        """Ask. `with_requests`: have workers say which requests are in flight as well."""
        self._memory = memory
        self._with_requests = with_requests
        workers = memory.snapshot().workers
        self._asked = [
            _Asked(each, with_requests) for each in workers if number in (None, each.number)
        ]
        self._until = time.monotonic() + _PATIENCE

    @property
    def is_empty(self) -> bool:
        """There is no such worker."""
        return not self._asked

    def text(self) -> str | None:
        """Return what was written, once it is complete or takes too long; None before."""
        waits = [each for each in self._asked if not each.is_done()]
        if waits and time.monotonic() < self._until:
            return None
        fresh = {each.order: each for each in self._memory.snapshot().workers}
        parts: list[str] = []
        for each in self._asked:
            worker = fresh.get(each.worker.order, each.worker)
            parts += (f"worker {worker.number}, pid {worker.pid}, {worker.state}",)
            if self._with_requests and (worker.flight_written_for or _FRESH) < _FRESH:
                parts += (
                    f"  {request.age:.3f} s  {request.request}  {request.where}".rstrip()
                    for request in worker.flight
                )
            parts += (each.read(), "")
        return "\n".join(parts)

    def close(self) -> None:
        """Let go of what is open."""
        for each in self._asked:
            each.close()


class _Asked:
    """One worker."""

    def __init__(self, worker: Worker, with_requests: bool) -> None:
        self.worker = worker
        self._trouble = ""
        self._fd = -1
        self._bit = 1 << (worker.stacks_signal - 1) if worker.stacks_signal else 0
        if not self._bit:
            self._trouble = "the application has taken the signal that asks for stacks"
            return
        try:
            self._fd = os.open(descriptor_of(worker.pid, STACKS), os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            self._blocked_before = {
                task for task, mask, _ in _masks(worker.pid) if mask & self._bit
            }
            os.kill(worker.pid, worker.stacks_signal)
            if with_requests and worker.look_signal and worker.state in ("serving", "leaving"):
                os.kill(worker.pid, worker.look_signal)
        except BlockingIOError:
            self._trouble = "somebody else is asking at this moment"
        except PermissionError:
            self._trouble = (
                "only root may look into a process that has changed its user; as root, "
                "the command `bare-serve stacks` does"
            )
        except (Unreadable, OSError):
            self._trouble = "its process has ended, or has closed the memory for stacks"

    def is_done(self) -> bool:
        """Return whether all that is to come has been written.

        While a thread is in the handler the signal is blocked in it. So the end is when something
        has been written, no signal waits, and no thread blocks it that did not do so before.
        """
        if self._trouble:
            return True
        if not os.fstat(self._fd).st_size:
            return False
        return not any(
            waits & self._bit or (mask & self._bit and task not in self._blocked_before)
            for task, mask, waits in _masks(self.worker.pid)
        )

    def read(self) -> str:
        """Return the stacks, or why there are none."""
        if not self._trouble:
            text = os.pread(self._fd, _LONGEST, 0).decode("utf-8", "replace").rstrip()
            if text:
                return text
            self._trouble = "its process does not answer"
        return f"  no stacks: {self._trouble}"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _masks(pid: int) -> Iterator[tuple[str, int, int]]:
    """Yield each thread, the signals it blocks, and those that wait for it or for its process."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
                fields = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
            waits = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
            yield task, int(fields["SigBlk"], 16), waits
        except (OSError, KeyError, ValueError):  # the thread has ended
            continue
