"""What is remembered of a file is used only while the file's status is what it was.

What lives here: the files of one directory, with the content of small ones in memory. What must
not: HTTP (static.py), which paths are allowed (static_paths.py).

Each use asks the kernel for the status of the path, so a file that an editor or a deployment has
changed is read anew at once. A file that was changed within the last two seconds is not remembered,
since another change could leave its times, and its size, as they are.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from bare_serve.middleware.static_paths import Directory, identity, is_path, open_below

SMALL: Final = 1 << 16
"""A file of up to so many bytes is read, and leaves in one write with its head."""
SETTLED_NS: Final = 2_000_000_000
"""Nanoseconds after which another change of a file has another time, on every file system."""

_MOST_BYTES: Final = 4 << 20
_MOST_FILES: Final = 1024
LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at what seldom changes: the directory, and compressed twins."""
_TWINS: Final = (("br", ".br"), ("gzip", ".gz"))
_MOST_TRIES: Final = 3


class File:
    """A regular file as it was found; small ones with their content."""

    __slots__ = (
        "_looked_at", "_twins", "data", "files", "heads", "key", "modified_ns", "path", "settled",
        "size",
    )  # fmt: skip

    def __init__(self, files: Files, path: str, status: os.stat_result, now_ns: int) -> None:
        self.files = files
        self.path = path
        """Below the directory."""
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns
        self.key = _key(status)
        self.settled = max(status.st_mtime_ns, status.st_ctime_ns) < now_ns - SETTLED_NS
        """A change from now on would show in `key`."""
        self.data: bytes | None = None
        """All of it, if it is small."""
        self.heads: dict[str, Any] = {}
        """What users of this object make of it, by names of theirs."""
        self._twins: tuple[str, ...] = ()
        self._looked_at = -LOOK_AGAIN

    def is_same(self, fd: int) -> bool:
        """Ask the kernel whether it is what is found there, below the descriptor of a directory."""
        try:
            return _key(os.stat(self.path, dir_fd=fd)) == self.key
        except OSError:
            return False

    def twins(self) -> tuple[str, ...]:
        """Return the content codings that this file is there in as well, as `path` + suffix."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_AGAIN:
            try:
                directory = self.files.directory()
            except OSError:
                return ()
            self._twins = tuple(
                coding for coding, suffix in _TWINS if self._is_twin(directory, suffix)
            )
            self._looked_at = now
        return self._twins

    def _is_twin(self, directory: Directory, suffix: str) -> bool:
        try:
            status = os.stat(self.path + suffix, dir_fd=directory.fd)
        except OSError:
            return False
        return status.st_mtime_ns >= self.modified_ns


class Files:
    """The files below a directory, which may be replaced by another one of that name."""

    def __init__(self, path: str, *, hidden: bool = False) -> None:
        """Open the directory.

        Raises:
            OSError: it cannot be opened, or is no directory.
        """
        self._path = path
        self._hidden = hidden
        self._directory: Directory | None = Directory(path)
        self._looked_at = time.monotonic()
        self._known: dict[str, File] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self.on_forget: Callable[[], None] | None = None
        """Called whenever something is forgotten."""

    def find(self, path: str) -> tuple[File, int]:
        """Return the file of that path, and a descriptor of it: -1 if it has its content.

        The descriptor is the caller's to close.

        Raises:
            OSError: as of `open_below`; FileNotFoundError also for what is no path of a file.
        """
        directory = self.directory()
        known = self._known.get(path)
        if known is not None:
            if known.is_same(directory.fd):
                return known, -1
            self._forget(path)
        elif not is_path(path, hidden=self._hidden):
            raise FileNotFoundError(path)
        return self._open(directory, path)

    def remembered(self, path: str) -> File | None:
        """Return what is remembered of that path, be it still so or not (`File.is_same`)."""
        return self._known.get(path)

    def directory(self) -> Directory:
        """Return the directory as it is now; looked at again at most once a second.

        Raises:
            OSError: it is gone.
        """
        now = time.monotonic()
        directory = self._directory
        if directory is None or now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            try:
                status = os.stat(self._path)  # noqa: PTH116
                if directory is None or identity(status) != directory.identity:
                    directory = self._directory = Directory(self._path)
                    self._forget_all()
            except OSError:
                self._directory = None  # and the next request looks again
                self._forget_all()
                raise
        return directory

    def _open(self, directory: Directory, path: str) -> tuple[File, int]:
        """Open a file, and read it if it is small; again if it changes its size meanwhile."""
        tries = 0
        while True:
            tries += 1
            fd, status = open_below(directory, path, hidden=self._hidden)
            file = File(self, path, status, time.time_ns())
            if file.size > SMALL:
                return file, fd
            try:
                data = os.pread(fd, SMALL + 1, 0)
            finally:
                os.close(fd)
            if len(data) == file.size or (tries >= _MOST_TRIES and len(data) <= SMALL):
                break
        file.size = len(data)
        file.data = data
        if file.settled and tries == 1:
            self._remember(file)
        return file, -1

    def _remember(self, file: File) -> None:
        assert file.data is not None
        with self._lock:
            known = self._known
            while known and (self._bytes + file.size > _MOST_BYTES or len(known) >= _MOST_FILES):
                self._drop(next(iter(known)))  # the one that is there for longest
            self._drop(file.path)
            known[file.path] = file
            self._bytes += file.size

    def _forget(self, path: str) -> None:
        with self._lock:
            self._drop(path)

    def _forget_all(self) -> None:
        with self._lock:
            self._known.clear()
            self._bytes = 0
        if self.on_forget is not None:
            self.on_forget()

    def _drop(self, path: str) -> None:
        file = self._known.pop(path, None)
        if file is not None:
            self._bytes -= file.size
            if self.on_forget is not None:
                self.on_forget()


def _key(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """Return what differs if another file, or another content, is there."""
    return (
        status.st_ino,
        status.st_mtime_ns,
        status.st_size,
        status.st_ctime_ns,
        status.st_dev,
    )
