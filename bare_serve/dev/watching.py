"""Which files are watched, and which of them have changed.

A file is known by its time, its size and its number, compared for being different and never for
being later: clocks are set back, and editors put another file in the place of the old one. Links
are followed, each directory is looked into once, and what vanishes meanwhile is not there. Where
there is more than can be watched, only files that are known by name are.

What must not live here: waiting, and who is told. Nothing but Python's library is imported: the
watcher (watcher.py) is small.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

DEFAULT: Final = ("*.py",)
"""What is watched in directories without being asked for."""
MOST_FILES: Final = 20_000
MOST_ENTRIES: Final = 100_000
"""Of directories, at each look."""

_NEVER = frozenset(("__pycache__", "node_modules", "site-packages", "dist-packages"))
"""Directories that hold no source of the application."""
_MARKS = frozenset(("pyvenv.cfg", "CACHEDIR.TAG"))
"""A directory with one of these files is a virtual environment or a cache (bford.info/cachedir)."""

_TICK: Final = 2_000_000_000
"""Nanoseconds after which a directory has another time for sure if it changes again; two seconds on
file systems of FAT, less elsewhere."""

Stamp = tuple[int, int, int]
Snapshot = dict[str, Stamp]
"""Each file that is there by its path."""


class _Listing(NamedTuple):
    """What was in a directory, as far as it is of interest."""

    stamp: tuple[int, int] | None
    """Time and number of the directory, which are the same as long as this holds; None if that
    cannot be relied on yet."""
    directories: list[str]
    files: list[str]
    entries: int
    is_marked: bool
    """Whether its content is of no interest."""


class TooMany(Exception):
    """There are more files than can be watched; `args` has the directory."""


class Rules(NamedTuple):
    """What is to be watched."""

    directories: tuple[str, ...] = ()
    """Absolute paths; what lies in them is watched as far as the patterns say."""
    includes: tuple[str, ...] = ()
    """Patterns beside `DEFAULT`."""
    excludes: tuple[str, ...] = ()
    """Patterns of files and directories; they win."""
    files: tuple[str, ...] = ()
    """Watched in any case, also if they are not there yet."""


class _Patterns:
    """Patterns of names, of paths in a watched directory, and of whole paths."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._inside: re.Pattern[str] | None = None
        self._whole: re.Pattern[str] | None = None
        # Stars match slashes as well, so two of them mean the same as one.
        plain = [each.replace("**/", "").removeprefix("./").rstrip("/") for each in patterns]
        inside = [fnmatch.translate(f"*/{each}") for each in plain if not each.startswith("/")]
        whole = [fnmatch.translate(each) for each in plain if each.startswith("/")]
        if inside:
            self._inside = re.compile("|".join(inside))
        if whole:
            self._whole = re.compile("|".join(whole))

    def match(self, path: str, begins: int = 0) -> bool:
        """Return whether one of them matches; what lies in the directory begins with its slash."""
        if self._inside is not None and self._inside.match(path, begins):
            return True
        return self._whole is not None and self._whole.match(path) is not None


class Watched:
    """The files that are watched, as of the last look."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.directories: list[str] = []
        """All that were looked into."""
        self._wanted = _Patterns((*DEFAULT, *rules.includes))
        self._unwanted = _Patterns(rules.excludes)
        self._named = {*rules.files}
        self._is_whole = True
        self._listings: dict[str, _Listing] = {}
        self.snapshot: Snapshot = {}

    def add(self, files: Iterable[str]) -> list[str]:
        """Watch these as well, wherever they are; return those that are new and there."""
        new = []
        for path in files:
            if path in self._named or self._unwanted.match(path):
                continue
            self._named.add(path)
            if path not in self.snapshot and (stamp := _stamp(path)) is not None:
                self.snapshot[path] = stamp
                new.append(path)
        return new

    def give_up_directories(self) -> None:
        """Watch only what is known by name from now on."""
        self._is_whole = False
        self.directories = []
        # What is no longer looked at has not gone.
        self.snapshot = {path: self.snapshot[path] for path in self._named & self.snapshot.keys()}

    def look(self) -> Snapshot:
        """Return what is there now.

        Raises:
            TooMany: it cannot be watched.
        """
        found = self._in_directories() if self._is_whole else {}
        for path in self._named:
            if path not in found and (stamp := _stamp(path)) is not None:
                found[path] = stamp
        return found

    def _in_directories(self) -> Snapshot:
        found: Snapshot = {}
        looked_into: set[tuple[int, int]] = set()
        listings: dict[str, _Listing] = {}
        entries = 0
        for top in self.rules.directories:
            rest = [top]
            begins = len(top.rstrip("/"))
            while rest:
                directory = rest.pop()
                listing = self._listing(directory, begins, looked_into)
                if listing is None or (listing.is_marked and directory != top):
                    continue
                listings[directory] = listing
                rest += listing.directories
                entries += listing.entries
                for path in listing.files:
                    if (stamp := _stamp(path)) is not None:
                        found[path] = stamp
                if len(found) > MOST_FILES or entries > MOST_ENTRIES:
                    raise TooMany(top)
        self._listings = listings
        self.directories = [*listings]
        return found

    def _listing(
        self, directory: str, begins: int, looked_into: set[tuple[int, int]]
    ) -> _Listing | None:
        """Return what is in a directory; None if it is gone, closed to us, or was there before.

        What the patterns are held against begins at this place of a path, with a slash.
        """
        try:
            info = os.stat(directory)  # noqa: PTH116 (pathlib is 10 ms and 1 MiB)
            number = info.st_dev, info.st_ino
            if number in looked_into:
                return None
            looked_into.add(number)
            known = self._listings.get(directory)
            if known is not None and known.stamp == (info.st_mtime_ns, info.st_ino):
                return known
            now = time.time_ns()
            with os.scandir(directory) as scanned:
                entries = [*scanned]
        except OSError:
            return None
        directories, files = [], []
        for entry in entries:
            if self._unwanted.match(entry.path, begins):
                continue
            if _is_directory(entry):
                if not (entry.name.startswith(".") or entry.name in _NEVER):
                    directories.append(entry.path)
            elif self._is_wanted(entry, begins):
                files.append(entry.path)
        # Two changes within a tick of the kernel's clock have the same time, and that clock need
        # not be this one's.
        is_old = now - info.st_mtime_ns > _TICK
        stamp = (info.st_mtime_ns, info.st_ino) if is_old else None
        is_marked = any(entry.name in _MARKS for entry in entries)
        return _Listing(stamp, directories, files, len(entries), is_marked)

    def _is_wanted(self, entry: os.DirEntry[str], begins: int) -> bool:
        # Editors keep their own files beside, with such names.
        return not entry.name.startswith((".", "#")) and self._wanted.match(entry.path, begins)

    def unmatched(self) -> list[str]:
        """Return the patterns to include that match none of the files there are."""
        return [
            pattern
            for pattern in self.rules.includes
            if not any(map(_Patterns((pattern,)).match, self.snapshot))
        ]


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _stamp(path: str) -> Stamp | None:
    try:
        info = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(info.st_mode):  # who opens a pipe waits for its other end
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino


def differences(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> list[str]:
    """Return the files that have changed, come or gone, in order."""
    changed = {path for path, stamp in after.items() if before.get(path) != stamp}
    return sorted(changed | (before.keys() - after.keys()))


def changed_since(snapshot: Mapping[str, Stamp], since: int, now: int) -> Iterator[str]:
    """Return the files that were written between two times, in nanoseconds since the epoch.

    A time that is still to come says nothing: a clock was set back.
    """
    return (path for path, (written, _, _) in snapshot.items() if since < written <= now)
