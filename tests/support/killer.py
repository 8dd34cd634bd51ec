"""Kills workers and keeps the books: which connections each of them held at that moment.

A worker is stopped before it is killed, so that what it holds cannot change between the question
and its death. The kernel answers: the sockets among the process's descriptors (/proc/PID/fd) that
belong to connections of the server's port (/proc/net/tcp). The same is known of a connection that
was accepted a moment ago and has not been answered yet.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import eventually


def held_by(pid: int, port: int) -> set[int]:
    """The clients' ports of all connections to `port` of this machine that a process has open."""
    inodes = set(_sockets(pid))
    held = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        local, remote, inode = fields[1], fields[2], fields[9]
        if inode in inodes and _port(local) == port and _port(remote):  # a listener has no remote
            held.add(_port(remote))
    return held


def kill(pid: int, port: int) -> Counter[int]:
    """Kills a worker; the clients' ports of the connections that died with it.

    If it was not alive any more nothing was killed, and nothing died.
    """
    try:
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: set(_states(pid)) <= {"T", "Z", "X"}, "all of its threads stand still")
        held = Counter(held_by(pid, port))
        if "T" not in _states(pid):
            return Counter()
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return Counter()
    return held


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _sockets(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            kind, _, inode = str(entry.readlink()).partition(":")
            if kind == "socket":
                yield inode.strip("[]")


def _states(pid: int) -> list[str]:
    """Of each thread: T is stopped, Z and X are dead; of none, once the process is gone."""
    states = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                stat = (task / "stat").read_text(encoding="utf-8", errors="replace")
                states.append(stat.rpartition(")")[2].split()[0])
    return states
