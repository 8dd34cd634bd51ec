"""A path leads to a regular file below a directory's descriptor, or to nothing.

What lives here: which paths are paths of files at all, and the way from a directory to a file, step
by step, each opened relative to the one before. What must not: HTTP, the content of files.

No name is ever joined to another and handed to the kernel as a whole, so there is nothing that two
readings of a text could disagree about: each step is one entry of a directory that is open already.
A symbolic link is read, not followed by the kernel: its target is walked by the same rules, so a
link that stays inside the directory works, and one that leads out of it, be it by `..`, by an
absolute target or by the time of a race, is as good as a file that is not there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from typing import Final

_CHARACTER: Final = r"[^/\\\x00-\x1f\x7f\ud800-\udfff\ufffd]"
_NAME: Final = rf"(?!\.){_CHARACTER}+|\.well-known"
_HIDDEN_NAME: Final = rf"(?!\.{{1,2}}(?:/|\Z)){_CHARACTER}+"
_PATH: Final = re.compile(rf"(?:(?:{_NAME})/)*(?:{_NAME})?")
_PATH_HIDDEN: Final = re.compile(rf"(?:(?:{_HIDDEN_NAME})/)*(?:{_HIDDEN_NAME})?")
_LONGEST: Final = 4096
_MOST_LINKS: Final = 8

# Nothing is waited for (a named pipe would wait for its writer), and no terminal becomes ours.
_OPEN_FILE: Final = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | getattr(os, "O_NOCTTY", 0)
)
# To search a directory is enough to walk through it.
_OPEN_DIRECTORY: Final = (
    getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
)


def is_path(path: str, *, hidden: bool = False) -> bool:
    """Return whether `path`, decoded and without its first slash, can be one of a file served.

    No segment is empty (but the last: a directory), `.` or `..`; none begins with a dot, except
    `.well-known` (RFC 8615), unless `hidden`; no character is a backslash, a control character or
    none of Unicode. What cannot be decoded is no path.
    """
    pattern = _PATH_HIDDEN if hidden else _PATH
    return len(path) <= _LONGEST and pattern.fullmatch(path) is not None


class Directory:
    """A directory held by its descriptor, which is closed when nothing refers to it any more."""

    __slots__ = ("fd", "identity")

    def __init__(self, path: str) -> None:
        """Open it; `path` may be, or lead through, a symbolic link.

        Raises:
            OSError: it cannot be opened, or is no directory.
        """
        self.fd = -1
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        self.identity = identity(os.fstat(self.fd))

    def __del__(self) -> None:
        if self.fd >= 0:
            with suppress(OSError):
                os.close(self.fd)


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a file or directory from all others while it exists."""
    return status.st_dev, status.st_ino


def open_below(
    directory: Directory, path: str, *, hidden: bool = False
) -> tuple[int, os.stat_result]:
    """Open the regular file that `path` (see `is_path`) leads to; return descriptor and status.

    Raises:
        IsADirectoryError: it is a directory.
        FileNotFoundError: it is nothing that is served: nothing, a device, a pipe, a socket, a link
            that leads out of the directory.
        OSError: the kernel refuses it: permissions, no descriptors left, a disk that fails.
    """
    todo = path.split("/")
    todo.reverse()
    opened: list[int] = []
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":  # of a link: what is asked for has none
                if not opened:
                    raise _nothing(path)
                os.close(opened.pop())
                continue
            here = opened[-1] if opened else directory.fd
            mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                opened.append(os.open(name, _OPEN_DIRECTORY, dir_fd=here))
            elif stat.S_ISREG(mode) and not todo:
                return _open_file(name, here, path)
            elif stat.S_ISLNK(mode):
                target = os.readlink(name, dir_fd=here)
                links += 1
                if links > _MOST_LINKS or not _is_target(target, hidden=hidden):
                    raise _nothing(path)
                todo += reversed(target.split("/"))
            else:
                raise _nothing(path)
        raise IsADirectoryError(errno.EISDIR, "a directory", path)
    finally:
        for fd in opened:
            os.close(fd)


def _open_file(name: str, here: int, path: str) -> tuple[int, os.stat_result]:
    fd = os.open(name, _OPEN_FILE, dir_fd=here)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):  # another one has taken the name meanwhile
            raise _nothing(path)
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def _is_target(target: str, *, hidden: bool) -> bool:
    """Return whether a link may lead there: relative, and by names that could be asked for."""
    names = [name for name in target.split("/") if name not in ("", ".", "..")]
    return not target.startswith("/") and is_path("/".join(names), hidden=hidden)


def _nothing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "nothing that is served", path)
