"""Where lines of a log go, and what becomes of those that cannot go there now.

What lives here: files and streams as sinks that never wait, and the Backlog before one. A syslog is
another (logs/syslog.py).
What must not: what a line says (logs/access_format.py, logs/error_log.py), threads, settings.

A sink takes whole lines, as many as it can now: BlockingIOError is "not now", another OSError is
"not at all". The Backlog keeps what was not taken, within a bound, and counts what it had to drop.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import select
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bare_serve.errors import UsageError
from bare_serve.system.links import Circle, StrangersLink, resolve

# PIPE_BUF: a pipe takes a piece of this size whole or not at all, and never mixed with the
# pieces of another worker (pipe(7)).
_PIECE = 4096
_KEPT = 1 << 18
BLOCKED = "nobody reads the output"
SYSLOG = "syslog:"
"""What an output begins with that is a syslog (logs/syslog.py)."""
_PATIENCE_STEP = 0.01
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REASONS = {
    errno.ELOOP: "it is a symbolic link",
    errno.ENXIO: "it is a pipe or a socket that nobody reads",
    errno.EMLINK: "it is a file of root's that has other names, where others can make some",
}


class Sink(Protocol):
    """Somewhere lines can be sent to without waiting."""

    def send(self, data: bytes) -> int:
        """Take a part of these lines, and say how many bytes of them; else raise OSError."""

    def reopen(self) -> None:
        """Go on in a new file of the same name, if there is one; raises OSError."""

    def give_to(self, uid: int, gid: int) -> None:
        """Let that user append to the file, and so reopen it."""

    def close(self) -> None:
        """Let go of it."""


class LoggerSink:
    """A logger of the program that the server is embedded in: each line is a message."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def send(self, data: bytes) -> int:
        """See `Sink.send`; a logger takes all."""
        for line in data.decode("utf-8", "replace").splitlines():
            self._logger.info("%s", line.strip())
        return len(data)

    def reopen(self) -> None:
        """Do nothing: files are the business of the logger's handlers."""

    def give_to(self, uid: int, gid: int) -> None:
        """Do nothing, likewise."""

    def close(self) -> None:
        """Do nothing, likewise."""


class FileSink:
    """A descriptor: a file, a pipe, a terminal or a socket.

    `path` is the file it belongs to, if it is one that may be reopened.
    """

    def __init__(self, fd: int, path: str = "", *, made: bool = False) -> None:
        self.fd = fd
        self.path = path
        self._made = made
        """The file was not there before."""
        self.send, self._own = _sender(fd)
        self.torn = bool(path) and _ends_within_a_line(fd)
        """What is there was not written to its end, by a server before this one."""

    @classmethod
    def at(cls, path: str) -> FileSink:
        """Return a sink that appends to the file, which is made if need be; raise OSError."""
        fd, made = _open_log(path)
        return cls(fd, path, made=made)

    def reopen(self) -> None:
        """Give the descriptor a new file of the same name: the old one has been moved away."""
        if not self.path or self._in_place():
            return
        fresh, self._made = _open_log(self.path)
        os.dup2(fresh, self.fd, inheritable=False)
        os.close(fresh)
        self._close_own()
        self.send, self._own = _sender(self.fd)

    def give_to(self, uid: int, gid: int) -> None:
        """Give new files to this user, as root. What was there before keeps its owner."""
        if self.path and self._made:
            with contextlib.suppress(OSError):
                os.fchown(self.fd, uid, gid)

    def close(self) -> None:
        """Close what was opened for this, and no standard output."""
        self._close_own()
        if self.path:
            os.close(self.fd)

    def _in_place(self) -> bool:
        """Return whether the file still has its name."""
        try:
            there = Path(self.path).stat(follow_symlinks=os.geteuid() != 0)
            return os.path.samestat(os.fstat(self.fd), there)
        except OSError:
            return False

    def _close_own(self) -> None:
        if self._own >= 0:
            os.close(self._own)
            self._own = -1


class Backlog:
    """Writes lines to a sink as far as it takes them; keeps the rest, drops what is too much.

    `troubled` gets the reason when lines begin to be dropped, `recovered` the number of them once
    the sink works again. Not for two threads at once.
    """

    def __init__(
        self, sink: Sink, troubled: Callable[[str], None], recovered: Callable[[str, int], None]
    ) -> None:
        self.sink = sink
        self.dropped = 0
        self.lost = 0
        """Lines that were dropped so far, those that are reported included."""
        self._troubled = troubled
        self._recovered = recovered
        self._rest = b""
        self._within = False
        """What was sent last ends within a line."""
        # One byte that all workers share, as they do the file: what one of them has torn, another
        # may write behind.
        self._torn = mmap.mmap(-1, 1)
        self._torn[0] = getattr(sink, "torn", False)

    @property
    def holds(self) -> int:
        """How many bytes wait for the sink to take them."""
        return len(self._rest)

    def write(self, data: bytes) -> None:
        """Write these lines after those that wait; never raises, never waits."""
        if len(self._rest) > _KEPT:
            self.drop(data.count(b"\n"), BLOCKED)
        elif data:
            self._rest = self._rest + data if self._rest else data
        if not self._rest:
            return
        try:
            if self._torn[0] and not self._within:
                self.sink.send(b"\n")
                self._torn[0] = 0
            while self._rest:
                sent = self.sink.send(self._rest)
                if sent:
                    self._within = self._rest[sent - 1 : sent] != b"\n"
                self._rest = self._rest[sent:]
        except BlockingIOError:
            return
        except OSError as error:
            # A closed pipe or a full disk: keeping the lines would only fill the memory.
            self.drop(self._rest.count(b"\n"), error.strerror or "cannot write")
            self._forget()
            return
        self.report("works again")

    def drop(self, lines: int, reason: str) -> None:
        """Count lines that are lost."""
        if lines and not self.dropped:
            self._troubled(reason)
        self.dropped += lines
        self.lost += lines

    def report(self, state: str) -> None:
        """Say how many lines were lost, if any were."""
        if self.dropped:
            dropped, self.dropped = self.dropped, 0
            self._recovered(state, dropped)

    def finish(self, patience: float) -> None:
        """Write what can still be written within `patience` seconds; the rest is lost."""
        deadline = time.monotonic() + patience
        self.write(b"")
        while self._rest and time.monotonic() < deadline:
            time.sleep(_PATIENCE_STEP)
            self.write(b"")
        self.drop(self._rest.count(b"\n"), BLOCKED)
        self._forget()
        self.report("did not work again")

    def _forget(self) -> None:
        """Let go of what waits; if a part of its first line is there, the next line begins anew."""
        self._rest = b""
        if self._within:
            self._within = False
            self._torn[0] = 1


def lines(count: int, what: str = "line") -> str:
    """Return "1 line was" or "2 lines were"."""
    return f"1 {what} was" if count == 1 else f"{count} {what}s were"


def log_path(text: str, flag: str) -> str:
    """Return the file that this setting names, by a path without links.

    Raises:
        UsageError: a link leads nowhere, or, to root, is one that another user has made.
    """
    try:
        return resolve(text)
    except (StrangersLink, Circle) as error:
        raise UsageError(f"{flag}: {error.strerror}") from None
    except OSError:
        return str(Path(text).absolute())  # opening it will raise what is missing


def check_writable(path: str) -> None:
    """Find out whether `FileSink.at` could have that file, neither opening nor making it.

    Raises:
        OSError: it could not.
    """
    file = Path(path)
    reason = 0
    if file.is_dir():
        reason = errno.EISDIR
    elif file.exists():
        reason = 0 if os.access(file, os.W_OK) else errno.EACCES
    elif not file.parent.is_dir():
        reason = errno.ENOENT
    elif not os.access(file.parent, os.W_OK | os.X_OK):
        reason = errno.EACCES
    if reason:
        raise OSError(reason, os.strerror(reason))


def _open_log(path: str) -> tuple[int, bool]:
    """Return a descriptor that appends to the file, and whether root made it; raise OSError.

    Root follows no link on the way: other users who may write to the directory could have made it.
    """
    # Without O_NONBLOCK, opening a pipe without a reader would block.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    made = False
    try:
        if os.geteuid() != 0:
            fd = os.open(path, flags | os.O_CREAT, 0o640)
        else:
            fd, made = _open_as_root(path, flags)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, reason) from None
    os.set_blocking(fd, True)
    return fd, made


def _open_as_root(path: str, flags: int) -> tuple[int, bool]:
    absolute = Path(path).absolute()
    folder = os.open(absolute.anchor, _FOLDER)
    try:
        *names, name = absolute.parts[1:] or (absolute.anchor,)
        for each in names:
            below = os.open(each, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        try:
            return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=folder), True
        except FileExistsError:
            fd = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
        _check_names(fd, folder)
        return fd, False
    finally:
        os.close(folder)


def _check_names(fd: int, folder: int) -> None:
    """Refuse a file of root's to which another user may have given this name (link(2))."""
    file, where = os.fstat(fd), os.fstat(folder)
    if stat.S_ISREG(file.st_mode) and file.st_nlink > 1 and file.st_uid == 0:
        if where.st_uid != 0 or where.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            os.close(fd)
            raise OSError(errno.EMLINK, "")


def _ends_within_a_line(fd: int) -> bool:
    """Return whether a file, as far as it may be read, ends otherwise than with an end of line."""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return False
        reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.pread(reading, 1, found.st_size - 1) not in (b"\n", b"")
    finally:
        os.close(reading)


def _sender(fd: int) -> tuple[Callable[[bytes], int], int]:
    """Return a function that writes to `fd` and never waits, and a new descriptor or -1.

    O_NONBLOCK on the descriptor itself would also hold for all that share it: the application's
    print(), the shell. A pipe or terminal opened anew has a flag of its own.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        mode = 0  # closed: each write will say so
    if stat.S_ISSOCK(mode):
        return (lambda data: _send(fd, data)), -1
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return (lambda data: os.write(fd, data)), -1
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        # The pipe belongs to another user, as in a container: look before each piece instead.
        return (lambda data: _write_if_ready(fd, data)), -1
    return (lambda data: os.write(own, _piece(data))), own


def _send(fd: int, data: bytes) -> int:
    borrowed = socket.socket(fileno=fd)
    try:
        return borrowed.send(data, socket.MSG_DONTWAIT)
    finally:
        borrowed.detach()


def _write_if_ready(fd: int, data: bytes) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, _piece(data))


def _piece(data: bytes) -> bytes:
    """Return as many whole lines as a pipe takes at once, or the start of a longer line."""
    if len(data) <= _PIECE:
        return data
    end = data.rfind(b"\n", 0, _PIECE) + 1
    return data[:end] if end else data[:_PIECE]
