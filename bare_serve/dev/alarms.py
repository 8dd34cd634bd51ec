"""What tells at once that something in a directory has changed: the kernel, or watchfiles.

An alarm only says when to look; what has changed, the look itself finds (watching.py). So an alarm
that tells too much costs a look, and one that tells nothing, as on the file systems of other
machines, costs the half second until the next look.

inotify(7) is called by ctypes. The watchfiles package is for systems without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

_MASK: Final = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE,
IN_DELETE_SELF, IN_MOVE_SELF of sys/inotify.h."""
_ONLY_DIRECTORIES: Final = 0x01000000
_READ: Final = 1 << 16


class Alarm:
    """None at all: files are only looked at from time to time."""

    name = ""
    """What it is, for people; empty for none."""
    fd = -1
    """A descriptor that can be read when something has changed."""

    def watch(self, directories: Iterable[str]) -> None:
        """Watch these directories, each by itself, and no others."""

    def hear(self) -> None:
        """Take what is there, all of it."""
        with suppress(BlockingIOError):
            while len(os.read(self.fd, _READ)) == _READ:
                pass


class Inotify(Alarm):
    """The one of Linux."""

    name = "inotify"

    def __init__(self) -> None:
        """Begin; OSError if the system has no such thing, or no more of them."""
        import ctypes

        libc: Any = ctypes.CDLL(None, use_errno=True)
        self._get_errno = ctypes.get_errno
        try:
            self._add, self._remove = libc.inotify_add_watch, libc.inotify_rm_watch
            self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError:
            raise OSError("no inotify") from None
        if self.fd < 0:
            raise OSError(self._get_errno(), "inotify_init1")
        self._watches: dict[str, int] = {}
        self._is_full = False

    def watch(self, directories: Iterable[str]) -> None:
        """See `Alarm`. What the system does not let us watch is left to the looks."""
        wanted = {*directories}
        for path in self._watches.keys() - wanted:
            self._remove(self.fd, self._watches.pop(path))
            self._is_full = False
        if self._is_full:
            return
        for path in wanted - self._watches.keys():
            number = self._add(self.fd, os.fsencode(path), _MASK | _ONLY_DIRECTORIES)
            if number >= 0:
                self._watches[path] = number
            else:
                # ENOSPC: fs.inotify.max_user_watches. Another one would fail as well.
                self._is_full = self._get_errno() == 28


class Watchfiles(Alarm):
    """The package of that name, in a thread of its own."""

    name = "watchfiles"

    def __init__(self, place: str) -> None:
        """Begin; `place` is the directory the package is in. ImportError if it is not there."""
        sys.path.append(place)
        import importlib

        self._watch = importlib.import_module("watchfiles").watch
        self.fd, self._writing = os.pipe()
        for fd in (self.fd, self._writing):
            os.set_blocking(fd, False)
        self._paths: frozenset[str] = frozenset()
        self._stop: Any = None

    def watch(self, directories: Iterable[str]) -> None:
        """See `Alarm`."""
        import threading

        wanted = frozenset(directories)
        if wanted == self._paths or not wanted:
            return
        if self._stop is not None:
            self._stop.set()
        self._paths, self._stop = wanted, threading.Event()
        threading.Thread(target=self._wait, args=(wanted, self._stop), daemon=True).start()

    def _wait(self, paths: frozenset[str], stop: Any) -> None:
        with suppress(Exception):  # whatever it is: the looks go on
            for _ in self._watch(
                *sorted(paths), watch_filter=None, stop_event=stop, recursive=False,
                debounce=50, step=50, raise_interrupt=False,
            ):  # fmt: skip
                with suppress(BlockingIOError):
                    os.write(self._writing, b"!")


def choose(watchfiles: str) -> Alarm:
    """Return the best alarm there is; `watchfiles` is where that package is, if it is there."""
    with suppress(OSError):
        return Inotify()  # watchfiles asks as well, but wakes twenty times a second for it
    if watchfiles:
        with suppress(Exception):
            return Watchfiles(watchfiles)
    return Alarm()
