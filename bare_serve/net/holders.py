"""Which process holds an address that is in use, read from /proc where there is one (proc(5)).

What lives here: from the name of a socket to its inode, and from that to the process that has it
open and was started first. Where /proc tells nothing, or not to this user, nobody is named. What
must not: binding, and ending anybody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp (linux/include/net/tcp_states.h)


def holder_of(name: str | tuple[Any, ...]) -> tuple[str, str]:
    """Return the process that listens there and what to do about it, as two pieces of a sentence.

    The process is "pid 123 (command)", or empty where the system does not tell. `name` is the name
    of a socket as bind(2) takes it: host and port first, or the path of a unix socket, for which
    @ begins an abstract name.
    """
    stop = "Stop that program"
    inodes = set(_unix_inodes(name) if isinstance(name, str) else _tcp_inodes(name[0], name[1]))
    links = {f"socket:[{inode}]" for inode in inodes}
    pids = {pid for pid in _processes() if links and _opens(pid, links)}
    # A pre-forking server holds its socket in every process; its master is the one to stop.
    masters = [pid for pid in sorted(pids) if _parent(pid) not in pids]
    if not masters:
        return "", stop
    pid = masters[0]
    if pid == os.getpid():
        return "this very command, which binds it twice", "Name it once"
    holder = f"pid {pid} ({_command(pid)})"
    if _is_left_behind(pid) and not any(_parent(each) == pid for each in pids):
        return (
            f"{holder}, whose parent has ended without it: a process that an application has "
            "started, or a worker that still finishes its requests",
            f"End it (kill {pid})",
        )
    return holder, stop


def _is_left_behind(pid: int) -> bool:
    """Whether the process was started by another one that is gone: it leads neither its session
    nor its group, and its parent is of another session, as whoever adopts orphans is."""
    _, group, session = _relatives(pid)
    return pid not in (group, session) and _relatives(_parent(pid))[2] != session


def _tcp_inodes(host_wanted: str, port_wanted: int) -> Iterator[str]:
    wanted = _table_form(host_wanted)
    for fields in (*_table("tcp"), *_table("tcp6")):
        # sl local_address rem_address st ... uid timeout inode (proc_net_tcp.txt)
        if len(fields) > 9 and fields[3] == _LISTENING:
            host, _, port = fields[1].rpartition(":")
            # The wildcard, all zeros, collides with every address and every address with it.
            collides = host == wanted or not int(host, 16) or not int(wanted, 16)
            if int(port, 16) == port_wanted and collides:
                yield fields[9]


def _table_form(host: str) -> str:
    """Return an address as /proc/net/tcp has it: 32-bit words in the machine's byte order."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host.partition("%")[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)


def _unix_inodes(path: str) -> Iterator[str]:
    for fields in _table("unix"):
        if len(fields) == 8 and fields[7] == path:
            yield fields[6]


def _table(name: str) -> Iterator[list[str]]:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/net/{name}").read_text(errors="replace").splitlines()[1:]:
            yield line.split()


def _processes() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _opens(pid: int, links: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if str(Path(f"/proc/{pid}/fd/{fd}").readlink()) in links:
                    return True
    return False


def _parent(pid: int) -> int:
    return _relatives(pid)[0]


def _relatives(pid: int) -> tuple[int, int, int]:
    """Return parent, group and session of a process; zeros where /proc is missing."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The command name is in parentheses and may hold anything, so read from behind it.
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        fields = text.split()
        return int(fields[1]), int(fields[2]), int(fields[3])
    return 0, 0, 0


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        text = " ".join(word for word in words if word).strip()
        text = "".join(char if char.isprintable() else "?" for char in text)
        if text:
            return text if len(text) <= 80 else text[:77] + "..."
    return "command unknown"
