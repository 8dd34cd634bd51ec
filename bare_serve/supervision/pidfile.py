"""The file that says which process the master is.

It appears whole or not at all, and is removed at the end if it is still ours. A file that is
already there is stale, unless the process it names is alive and older than the file. Root
follows no other user's link to it (system/links.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from bare_serve.errors import BareServeError
from bare_serve.system.links import folder_of


class Handed(Protocol):
    """What one master passes to the next of the file; see supervision.handover.Handover."""

    pid_file: str
    """The path of the file that is there; empty if there is none."""


@contextmanager
def pid_file(name: str | None) -> Iterator[None]:
    """Have the file there for the length of the block; None for no file."""
    if name is None:
        yield
        return
    path = Path(name).absolute()
    if (pid := _owner(path)) is not None:
        raise BareServeError(
            f"The pid file {path} belongs to process {pid}, which runs. "
            "Stop it, or choose another file."
        )
    if not _is_ours(path):  # else it is there, as after an exec
        _write(path)
    try:
        yield
    finally:
        if _is_ours(path):
            remove(path)


@contextmanager
def own_pid_file(name: str | None, handover: Handed) -> Iterator[None]:
    """As `pid_file`; one that was handed over is there, in a directory that may be root's."""
    handed, handover.pid_file = handover.pid_file, ""
    if name is not None:
        name = str(Path(name).absolute())  # the application may go elsewhere
    if name is None or not is_held(name, handed, os.getpid()):
        with pid_file(name):
            if name is not None:
                handover.pid_file = name
            yield
        return
    handover.pid_file = handed
    try:
        yield
    finally:
        if is_held(name, handed, os.getpid()):
            remove(Path(handed))


def is_held(name: str | None, handed: str, pid: int) -> bool:
    """Return whether that pid file is the one handed over, and still names that process."""
    if name is None or str(Path(name).absolute()) != handed:
        return False
    try:
        return names(Path(handed), pid)
    except PermissionError:
        return True  # written by root with a umask
    except (OSError, ValueError):
        return False


def remove(path: Path) -> None:
    """Remove the file, if that can be done."""
    with suppress(OSError), folder_of(str(path)) as (folder, file):
        os.unlink(file, dir_fd=folder)


def names(path: Path, pid: int) -> bool:
    """Return whether the file is there and names that process.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else.
    """
    return _read(path)[0] == pid


def _is_ours(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return names(path, os.getpid())
    return False


def _write(path: Path) -> None:
    if not path.name:
        raise BareServeError(f"Cannot write the pid file {path}: Is a directory.")
    try:
        with folder_of(str(path)) as (folder, file):
            _write_in(folder, file)
    except OSError as error:
        raise BareServeError(f"Cannot write the pid file {path}: {error.strerror}.") from None


def _write_in(folder: int | None, file: str) -> None:
    fresh = f"{file}.{os.getpid()}"
    try:
        # The name can be guessed: a file there may be another user's link, and is not written to.
        with suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(fresh, flags, 0o644, dir_fd=folder)
        with open(fd, "w") as out:
            out.write(f"{os.getpid()}\n")
        os.replace(fresh, file, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=folder)
        raise


def _owner(path: Path) -> int | None:
    """Return the other process that runs and wrote the file."""
    try:
        pid, written = _read(path)
    except (OSError, ValueError):
        return None
    if pid == os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # it is alive, and another user's
    started = _started(pid)
    if started is not None and started > written + 2:
        return None  # another process has the number now
    return pid


def _read(path: Path) -> tuple[int, float]:
    with folder_of(str(path)) as (folder, file):
        return _read_in(folder, file)


def _read_in(folder: int | None, file: str) -> tuple[int, float]:
    """Return the process that the file names, and when it was written."""
    # A pipe in its place must not keep us waiting.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    fd = os.open(file, flags if folder is None else flags | os.O_NOFOLLOW, dir_fd=folder)
    try:
        pid = int(os.read(fd, 100))
        if pid <= 0:  # these stand for groups, and for all processes
            raise ValueError(pid)
        return pid, os.fstat(fd).st_mtime
    finally:
        os.close(fd)


def _started(pid: int) -> float | None:
    """Return when a process started, by the clock that files have."""
    with suppress(OSError, ValueError, IndexError):
        # The 22nd field, in clock ticks since boot (proc_pid_stat(5)); names may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    return None
