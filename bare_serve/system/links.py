"""The way to a file that root makes, which leads through no other user's symbolic link.

A user who may write to a directory on the way can put a link there, and would have root make, empty
or give away a file elsewhere. So root walks from directory to directory, each opened relative to
the one before, and follows a link only if root made it. Other users go where the kernel
leads: their rights allow no more there than they allow anyway.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_LINKS = 40  # as path_resolution(7) has it
_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_FOLDER = _PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StrangersLink(OSError):
    """On the way is a link that is not followed; `strerror` is a sentence without its full stop."""

    def __init__(self, path: str) -> None:
        super().__init__(
            errno.EPERM,
            f"{path} is a symbolic link that root did not make and does not follow; "
            "name what it leads to",
        )


class Circle(OSError):
    """The links lead nowhere; `strerror` is a sentence without its full stop."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ELOOP, f"{path} is a symbolic link that leads to itself")


def resolve(path: str) -> str:
    """Return a path without links to the same place; it need not exist.

    Raises:
        StrangersLink: to root, one of the links is another user's.
        Circle: the links are too many.
        OSError: to root, a directory on the way does not exist.
    """
    absolute = Path(path).absolute()
    if os.geteuid() != 0:
        return _resolve_anyhow(absolute, path)
    walk = _Walk(absolute)
    try:
        walk.go(to_the_end=True)
        return walk.path
    finally:
        walk.close()


@contextmanager
def folder_of(path: str) -> Iterator[tuple[int | None, str]]:
    """Return a file's directory as a descriptor, and the file's name for use with `dir_fd`.

    Whatever stands there by that name has not been looked at: it may be a link.

    Raises:
        StrangersLink: to root, one of the links on the way is another user's.
        Circle: the links are too many.
        OSError: there is no such directory.
    """
    if os.geteuid() != 0:
        yield None, path
        return
    walk = _Walk(Path(path).absolute())
    try:
        walk.go(to_the_end=False)
        yield walk.folder, walk.left[0] if walk.left else "."
    finally:
        walk.close()


class _Walk:
    """A directory that is open, and the names that lead on from there."""

    def __init__(self, absolute: Path) -> None:
        self._start = str(absolute)
        self._root = absolute.anchor
        self.left = deque(absolute.parts[1:])
        self._names: list[str] = []
        self._links = 0
        self.folder = os.open(self._root, _FOLDER)

    @property
    def path(self) -> str:
        """Where the walk has come to."""
        return self._root + "/".join([*self._names, *self.left])

    def go(self, *, to_the_end: bool) -> None:
        """As far as the last directory; `to_the_end`: until the last name is no link, either."""
        while len(self.left) > 1:
            self._step()
        while to_the_end and self.left:
            if (target := self._link(self.left[0])) is None:
                return
            self.left.popleft()
            self._turn_to(target)
            while len(self.left) > 1:
                self._step()

    def close(self) -> None:
        os.close(self.folder)

    def _step(self) -> None:
        name = self.left.popleft()
        try:
            below = os.open(name, _FOLDER, dir_fd=self.folder)
        except OSError as error:
            if (target := self._link(name)) is None:
                raise error from None
            self._turn_to(target)
            return
        self._enter(below)
        if name != "..":
            self._names.append(name)
        elif self._names:
            self._names.pop()

    def _enter(self, folder: int) -> None:
        os.close(self.folder)
        self.folder = folder

    def _turn_to(self, target: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise Circle(self._start)
        if target.startswith("/"):
            self._enter(os.open(self._root, _FOLDER))
            self._names.clear()
        self.left.extendleft(part for part in reversed(target.split("/")) if part not in ("", "."))

    def _link(self, name: str) -> str | None:
        """Return where the link of that name leads, checking its maker; None if it is none."""
        try:
            owner, target = _read_link(name, self.folder)
        except OSError:
            return None
        if owner != 0:
            raise StrangersLink(self._root + "/".join([*self._names, name]))
        return target


def _read_link(name: str, folder: int) -> tuple[int, str]:
    """Return a link's owner and where it leads, of one and the same link; OSError for no link."""
    if not hasattr(os, "O_PATH"):
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return info.st_uid, os.readlink(name, dir_fd=folder)
    link = os.open(name, _PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        info = os.fstat(link)
        if not stat.S_ISLNK(info.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return info.st_uid, os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _resolve_anyhow(absolute: Path, text: str) -> str:
    for _ in range(_MOST_LINKS):
        absolute = Path(os.path.realpath(absolute.parent)) / absolute.name
        try:
            target = absolute.readlink()
        except OSError:
            return str(absolute)
        absolute = absolute.parent / target
    raise Circle(text)
