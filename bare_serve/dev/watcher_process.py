"""The watcher as the master sees it: told what to watch, kept alive, and heard.

A change of a file becomes what a signal would have asked for: a reload, or, if the master itself
has imported the file, a replacement of the whole server, since a fork of the master would have the
module as it was. A change is never forgotten: a watcher that is started again is told since when
files count as changed. Nor is what was in them: a file that is written at each start, as it was,
must not be the reason for the next start, also where that is another master's.

What must not live here: looking at files (watcher.py), and what becomes of a reload.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import cache_from_source
from typing import Any, Final

from bare_serve.dev import messages
from bare_serve.dev.imports import Imports
from bare_serve.dev.messages import Changed, Task, Warned, Watching
from bare_serve.dev.watching import MOST_FILES, Rules
from bare_serve.supervision.background import Means
from bare_serve.supervision.messages import printable
from bare_serve.supervision.side_process import Running, SideProcess
from bare_serve.supervision.signals import Intent

logger = logging.getLogger("bare_serve.supervision")

_AGAIN: Final = 0.1
"""Seconds until what the watcher had no room for is sent again."""
_LONGEST_PATH: Final = 4096
_NAMED: Final = 3
_MOST_SEEN: Final = 500
_IN_A_ROW: Final = 5
"""So often the same files change while code starts, until a start is left in peace."""
_LONGEST_PAUSE: Final = 4.0
_LONGEST_START: Final = 60.0
"""Seconds that such a start is left in peace, at the most."""
_ASKED: Final = 0.1


class WatcherProcess(SideProcess):
    """Keeps the watcher alive, and has the master act on what has changed."""

    name = "watcher of files"
    program = os.path.join(os.path.dirname(__file__), "watcher.py")  # noqa: PTH118, PTH120
    longest = messages.LONGEST

    def __init__(
        self, rules: Rules, watchfiles: str = "", seen: dict[str, Any] | None = None
    ) -> None:
        """Begin; files that change from now on have changed.

        Args:
            rules: what is watched.
            watchfiles: where that package is, if it is installed.
            seen: what is known of files that have changed; it is kept up to date, for the next
                master.
        """
        super().__init__()
        self._rules = rules
        self._watchfiles = watchfiles
        self._since = time.time_ns()
        self._files: dict[str, None] = {}
        self._unsent: deque[bytes] = deque()
        self._in_master: set[str] = set()
        self._warned: set[str] = set()
        self._seen = {} if seen is None else seen
        self._contents: dict[str, int] = self._seen.setdefault("contents", {})
        self._later: Changed | None = None
        """What has changed while code starts, which is to come to its end first."""
        self._later_at = 0.0
        self.wants_again: Callable[[], bool] = lambda: False
        """Whether a file that was written as it was counts as changed."""
        self.on_change: Callable[[], None] = lambda: None
        self.is_starting: Callable[[], bool] = lambda: False
        """Whether an attempt to start code is under way, and may have written what has changed."""

    def begin(self, means: Means) -> None:
        """See `Work`."""
        super().begin(means)
        self._in_master = {*Imports().new()}
        self.add(self._in_master)

    def greet(self, running: Running) -> None:
        """See `SideProcess`: what to watch."""
        task = Task(self._rules, self._since, self._watchfiles, self._contents)
        self.tell(running, task.message())
        self._unsent = deque(messages.in_messages(self._files))
        self._send(running.pipe)

    def add(self, files: Iterable[str]) -> None:
        """Watch these as well. Workers name them, and may be another user's."""
        new = [
            path
            for path in files
            if path not in self._files and path.startswith("/") and len(path) < _LONGEST_PATH
        ][: MOST_FILES - len(self._files)]
        self._files.update(dict.fromkeys(new))
        self._unsent += messages.in_messages(new)
        if self._running is not None:
            self._send(self._running.pipe)

    def look(self, now: float) -> None:
        """See `Work`."""
        super().look(now)
        if self._running is not None and self._unsent:
            self._send(self._running.pipe)
        if self._later is not None:
            late = now >= self._later_at + _LONGEST_START
            if now >= self._later_at and (late or not self.is_starting()):
                self._act(self._later)
            else:
                self.due = min(self.due, max(self._later_at, now + _ASKED))

    def _act(self, report: Changed) -> None:
        """Have new code start."""
        self._later = None
        self.on_change()
        forget_bytecode(report.files)
        logger.info("%s. Reloading.", said(report))
        assert self._means is not None
        ours = self._in_master.isdisjoint(report.files)
        self._means.ask(Intent.RELOAD if ours else Intent.UPGRADE)

    def _send(self, pipe: socket.socket) -> None:
        while self._unsent:
            try:
                pipe.send(self._unsent[0])
            except OSError:  # it has no room now, or it is gone, which is heard
                self.due = min(self.due, time.monotonic() + _AGAIN)
                return
            self._unsent.popleft()

    def hear(self, message: bytes) -> None:
        """See `SideProcess`."""
        report = messages.decode(message)
        if isinstance(report, Changed):
            if report.again and not self.wants_again():
                return
            times = self._note(report)
            self._since = time.time_ns()
            if times < _IN_A_ROW:
                self._act(report)
            else:
                pause = min(2.0 ** (times - _IN_A_ROW), _LONGEST_PAUSE)
                self._later, self._later_at = report, time.monotonic() + pause
        elif isinstance(report, Warned):
            self._warn(report.text)
        elif isinstance(report, Watching):
            how = f", and {report.alarm} tells of changes" if report.alarm else ""
            logger.debug("%d files are watched%s.", report.files, how)

    def _note(self, report: Changed) -> int:
        """Remember what has changed; return how many starts in a row it has happened in."""
        for path, content in zip(report.files, report.contents, strict=False):
            self._contents.pop(path, None)
            self._contents[path] = content
        for path in [*self._contents][:-_MOST_SEEN]:
            del self._contents[path]
        files = [*report.files[:_NAMED]]
        before = self._seen.get("times", 0) if files == self._seen.get("files") else 0
        times = before + 1 if self.is_starting() else 0
        self._seen |= {"files": files, "times": times}
        if times == _IN_A_ROW:
            self._warn(
                f"{_names(report)}: changed {times} times in a row, each time while the "
                "application was starting, so reloads for it wait from now on. If the application "
                "writes it, leave it out: "
                f"--reload-exclude {os.path.basename(files[0])!r}."  # noqa: PTH119
            )
        return times

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            logger.warning("%s", printable(text))


def forget_bytecode(files: Iterable[str]) -> None:
    """Remove what Python has compiled of these files.

    Python takes it for that of a file with the same length that was written in the same second.
    """
    for path in files:
        if path.endswith(".py"):
            with suppress(OSError, NotImplementedError):
                os.unlink(cache_from_source(path))  # noqa: PTH108


def said(report: Changed) -> str:
    """Return which files have changed, as seen from here."""
    return f"Changed: {_names(report)}"


def _names(report: Changed) -> str:
    try:
        here = os.getcwd() + "/"  # noqa: PTH109
    except OSError:
        here = ""
    names = [printable(path.removeprefix(here)) for path in report.files[:_NAMED]]
    more = report.total - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
