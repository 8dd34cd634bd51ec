"""Which servers run here, and which one is meant; the processes of a server as this one sees them.

What lives here: masters found by their shared memory, pid files, pids of another namespace, signals
that reach whom they are meant for. What must not: what is shown.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bare_serve.cli.verbs.command import Misused, NoServer, Refused
from bare_serve.counts.descriptors import Unreadable, descriptor_of, open_memory
from bare_serve.counts.layout import MEMORY
from bare_serve.counts.snapshot import Memory


class Running(NamedTuple):
    """A server that runs."""

    pid: int
    """Its master's, as this process sees it."""
    memory: Memory
    began: str
    """What `started_at` says of the master: another process may have that pid later."""

    def worker_pid(self, pid: int) -> int:
        """Return a worker's pid as this process sees it, of that in the master's namespace; 0 if
        there is no such process."""
        if self.memory.pid == self.pid:
            return pid
        if pid == self.memory.pid:
            return self.pid
        return next((each for each in children(self.pid) if _own_pid(each) == pid), 0)


@contextmanager
def chosen(pid: str | None, pidfile: str | None) -> Iterator[list[Running]]:
    """Open the servers that are meant: by pid, by pid file, or all that run here.

    Raises:
        NoServer: there is none, or it is another user's.
        Misused: what names it makes no sense.
    """
    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        raise NoServer("this system has no /proc, by which a server is looked at.")
    if pid is not None and pidfile is not None:
        raise Misused("give a pid or a pid file, not both")
    with ExitStack() as stack:
        if pidfile is not None:
            found = [_at(_read(pidfile), f"the pid file {pidfile} names")]
        elif pid is not None:
            if not (pid.isascii() and pid.isdigit()):
                raise Misused(f"{pid!r} is no pid")
            found = [_at(int(pid), "you have named")]
        else:
            found = _all()
        for running in found:
            stack.enter_context(running.memory)
        yield found


@contextmanager
def the_one(pid: str | None, pidfile: str | None) -> Iterator[Running]:
    """Open the one server that is meant.

    Raises:
        NoServer: there is none, or it is another user's.
        Misused: there are several.
    """
    with chosen(pid, pidfile) as found:
        if len(found) > 1:
            said = ", ".join(f"{each.pid} ({target_of(each)})" for each in found)
            raise Misused(f"several servers run here; name one by its pid: {said}")
        yield found[0]


def target_of(running: Running) -> str:
    """Return what a server serves, in words."""
    return str(running.memory.snapshot().master.facts.get("target", "an application"))


def _all() -> list[Running]:
    found: list[Running] = []
    others: list[int] = []
    declined: Unreadable | None = None
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            fd = open_memory(pid, MEMORY)
        except PermissionError:
            if _looks_like_a_master(pid):
                others.append(pid)
            continue
        except (OSError, Unreadable):
            continue
        try:
            running = _of(pid, fd)
        except Unreadable as error:
            declined = Unreadable(f"process {pid}: {error}.")
        except OSError:
            continue
        else:
            if running is not None:
                found.append(running)
    if found:
        return found
    if declined is not None:
        raise declined
    if len(others) == 1:
        raise NoServer(f"process {others[0]}, which seems to be a server, {_why_not(others[0])}.")
    if others:
        said = ", ".join(f"{pid} (of {_user_of(_uid(pid))})" for pid in others)
        raise NoServer(
            f"no server of yours runs here. Only its own user and root can look at one; these seem "
            f"to be servers: {said}."
        )
    raise NoServer("no server runs here.")


def _at(pid: int, said: str) -> Running:
    which = f"process {pid}, which {said},"
    try:
        running = _of(pid, open_memory(pid, MEMORY))
    except FileNotFoundError:
        raise NoServer(f"{which} does not exist.") from None
    except PermissionError:
        raise NoServer(f"{which} {_why_not(pid)}.") from None
    except Unreadable as error:
        if str(error).startswith("process"):
            raise NoServer(f"{which} is no server of bare-serve{_hint(pid)}.") from None
        raise Unreadable(f"{which} cannot be looked at: {error}.") from None
    if running is None:
        raise NoServer(f"{which} is no server of bare-serve{_hint(pid)}.")
    return running


def _of(pid: int, fd: int) -> Running | None:
    """Return the server whose memory this is; None if the process has only been forked by it."""
    try:
        # Or who has made it could make it smaller, at which this process would die by SIGBUS.
        if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise Unreadable("it is not the memory of a server")
        memory = Memory(fd)
    finally:
        os.close(fd)
    if memory.pid != _own_pid(pid):
        memory.close()
        return None
    return Running(pid, memory, started_at(pid))


def _read(pidfile: str) -> int:
    try:
        # Whatever has that name: nothing is waited for, and not read without an end.
        fd = os.open(pidfile, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, 64).decode("ascii").strip())
        finally:
            os.close(fd)
    except OSError as error:
        raise NoServer(f"the pid file {pidfile} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise NoServer(f"there is no pid in the file {pidfile}.") from None


def _hint(pid: int) -> str:
    """Return a few words where a worker was named in the place of its master."""
    with suppress(OSError, ValueError, Unreadable):
        parent = int(_status(pid)["PPid"])
        descriptor_of(parent, MEMORY)
        return f", but a child of one: its master has the pid {parent}"
    return ""


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").split("\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _own_pid(pid: int) -> int:
    """Return the pid of a process as it sees itself."""
    with suppress(OSError, ValueError):
        status = _status(pid)
        return int(status.get("NSpid", str(pid)).split()[-1])
    return 0


def children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, KeyError):
                if int(_status(int(name))["PPid"]) == pid:
                    found.append(int(name))
    return found


def _looks_like_a_master(pid: int) -> bool:
    """Return whether others can see a server's command in it, and none in its parent."""
    with suppress(OSError, ValueError, KeyError):
        return _looks_like_a_server(pid) and not _looks_like_a_server(int(_status(pid)["PPid"]))
    return False


def _looks_like_a_server(pid: int) -> bool:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"bare-serve" in words or b"bare_serve" in words
    return False


def _why_not(pid: int) -> str:
    """Return why the kernel lets nobody look into a process from here.

    The same user is not enough where the process has capabilities that the command has not
    (ptrace(2), "Ptrace access mode checking"), such as those of a service that may bind port 80.
    """
    uid = _uid(pid)
    if uid != os.geteuid():
        return f"belongs to {_user_of(uid)}: only that user and root can look into it"
    return "has rights that this command has not, such as capabilities: run the command as root"


def _uid(pid: int) -> int | None:
    """Return the user that a process is; that of its files in /proc may be root."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        return int(_status(pid)["Uid"].split()[1])
    return None


def _user_of(uid: int | None) -> str:
    if uid is None:
        return "another user"
    with suppress(KeyError):
        return f"the user {pwd.getpwuid(uid).pw_name}"
    return f"the user {uid}"


def is_there(running: Running) -> bool:
    """Return whether the master still runs."""
    is_it = running.memory.pid == _own_pid(running.pid) and _is_the_same(running)
    return is_it and not is_zombie(running.pid)


def _is_the_same(running: Running) -> bool:
    return bool(running.began) and started_at(running.pid) == running.began


def started_at(pid: int) -> str:
    """Return when a process has begun, as the kernel counts; empty if it has ended."""
    with suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[19]
    return ""


def is_zombie(pid: int) -> bool:
    """Return whether a process has ended, reaped or not."""
    with suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[0] in "ZX"
    return True


def send(running: Running, pid: int, signum: int) -> bool:
    """Send a signal to the master, or to a worker by its pid here; return whether it is there.

    A process that has taken the pid of one that has ended is not signalled.

    Raises:
        Refused: the kernel does not allow it.
    """
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:  # an old kernel, or a sandbox
        fd = -1
    try:
        if pid != running.pid and int(_status(pid)["PPid"]) != running.pid:
            return False
        if pid == running.pid and running.memory.pid != _own_pid(pid):
            return False
        if not _is_the_same(running):
            return False
        if fd >= 0:
            signal.pidfd_send_signal(fd, signum)
        else:
            os.kill(pid, signum)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise Refused(f"process {pid} may not be signalled by this user.") from None
    except (OSError, ValueError, KeyError):
        return False
    finally:
        if fd >= 0:
            os.close(fd)
    return True
