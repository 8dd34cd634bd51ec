"""The stacks of one process, asked for by a signal: whether all of them are written, and the text.

C code in the process writes them into memory of its own when the signal comes (workers/stacks.py).
Who asks holds a lock of that memory, so that two never ask at once. What must not live here: whom
to ask, how a signal is sent (it is handed in), waiting, and what the text means: nothing here
blocks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator

from bare_serve.counts.descriptors import Unreadable, open_memory
from bare_serve.counts.layout import STACKS


class StackRequest:
    """One process that was asked. To be closed."""

    def __init__(self, pid: int, signum: int, send: Callable[[int], bool]) -> None:
        """Ask.

        Args:
            pid: the process as it is seen from here; 0 for one that is not seen.
            signum: what has it write its stacks; 0 if the application has that signal.
            send: sends it a signal; returns False if the process has ended.
        """
        self._pid = pid
        self._signum = signum
        self._send = send
        self._bit = 1 << (signum - 1) if signum else 0
        self._fd = -1
        self._blocked_before: set[str] | None = None
        """Threads that blocked the signal before it was sent; None until then."""
        self.trouble = ""
        """Why there are no stacks; empty as long as there may be some."""
        if not signum:
            self.trouble = "the application has taken the signal that asks for stacks"
            return
        try:
            self._fd = open_memory(pid, STACKS)
        except PermissionError:
            self.trouble = "only root may look into its process, which has changed its user"
        except (Unreadable, OSError):
            self.trouble = "its process has ended, or has closed the memory for stacks"
        else:
            self._ask()

    def _ask(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody else is asking, and may be done soon
            return
        os.ftruncate(self._fd, 0)
        self._blocked_before = {task for task, mask, _ in _masks(self._pid) if mask & self._bit}
        if not self._send(self._signum):
            self.trouble = "its process has ended"

    def is_done(self) -> bool:
        """Return whether all that is to come has been written.

        While a thread is in the handler the signal is blocked in it. So the end is when something
        has been written, no signal waits, and no thread blocks it that did not do so before.
        """
        if self._blocked_before is None and not self.trouble:
            self._ask()
        if self.trouble:
            return True
        before = self._blocked_before
        if before is None or not os.fstat(self._fd).st_size:
            return False
        return not any(
            waits & self._bit or (mask & self._bit and task not in before)
            for task, mask, waits in _masks(self._pid)
        )

    def text(self, longest: int) -> str:
        """Return what was written, `longest` bytes at most; if nothing, `trouble` says why."""
        if self.trouble:
            return ""
        if self._blocked_before is None:
            self.trouble = "somebody else is asking at this moment"
            return ""
        text = os.pread(self._fd, longest, 0).decode("utf-8", "replace").rstrip()
        if not text:
            how = "is stopped" if _is_stopped(self._pid) else "does not answer"
            self.trouble = f"its process {how}"
        return text

    def close(self) -> None:
        """Let others ask."""
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
        fields = _status(f"/proc/{pid}/task/{task}/status")
        try:
            waits = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
            yield task, int(fields["SigBlk"], 16), waits
        except (KeyError, ValueError):  # the thread has ended
            continue


def _is_stopped(pid: int) -> bool:
    return _status(f"/proc/{pid}/status").get("State", "")[:1] in ("T", "t")


def _status(path: str) -> dict[str, str]:
    """Return the fields of a file such as /proc/PID/status; none if the process has ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return {}
