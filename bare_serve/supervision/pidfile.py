"""The file that says which process the master is.

It appears whole or not at all, and is removed at the end if it is still ours. A file that is
already there is stale, unless the process it names is alive and older than the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bare_serve.errors import BareServeError


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
    if _content(path) != os.getpid():  # else it is there, as after an exec
        _write(path)
    try:
        yield
    finally:
        with suppress(OSError):
            if _content(path) == os.getpid():
                path.unlink()


def _write(path: Path) -> None:
    if not path.name:
        raise BareServeError(f"Cannot write the pid file {path}: Is a directory.")
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # A name that can be guessed: what is there may be somebody's link, and is never written to.
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(fd, "w") as file:
            file.write(f"{os.getpid()}\n")
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise BareServeError(f"Cannot write the pid file {path}: {error.strerror}.") from None


def _owner(path: Path) -> int | None:
    """The other process that runs and wrote the file."""
    pid = _content(path)
    if pid is None or pid == os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # it is alive, and somebody else's
    started = _started(pid)
    with suppress(OSError):
        if started is not None and started > path.stat().st_mtime + 2:
            return None  # the number was given to somebody else since
    return pid


def _content(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        pid = int(path.read_text())
        return pid if pid > 0 else None  # those below stand for groups and for everybody
    return None


def _started(pid: int) -> float | None:
    """When a process started, by the clock that files have."""
    with suppress(OSError, ValueError, IndexError):
        # The 22nd field, in clock ticks since boot (proc_pid_stat(5)); names may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    return None
