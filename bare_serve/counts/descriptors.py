"""Memory of other processes, found and opened by the links in /proc.

What lives here: from a process and the name of a memory to a descriptor. What must not: what stands
in the memory (layout.py), reading it (snapshot.py).

The process may be another user's, and this one root. So nothing but memory is opened, whatever a
link says.
"""

from __future__ import annotations

import os


class Unreadable(Exception):
    """The memory cannot be read; the text says why."""


def descriptor_of(pid: int, name: str) -> str:
    """Return the path of the descriptor that a process has of the memory of that name.

    Raises:
        Unreadable: it has none.
        PermissionError: it is another user's.
        FileNotFoundError: there is no such process.
    """
    directory = f"/proc/{pid}/fd"
    for number in os.listdir(directory):
        path = f"{directory}/{number}"
        try:
            link = os.readlink(path)  # noqa: PTH115 (pathlib is large for the ops process)
        except FileNotFoundError:  # closed meanwhile
            continue
        if _is_link_to(link, name):
            return path
    raise Unreadable(f"process {pid} is no server of bare-serve")


def open_memory(pid: int, name: str) -> int:
    """Open the memory of that name which a process has, to read and write; return the descriptor.

    What such a link says is nothing to rely on, as the process may be another user's and this one
    root's: it may lead elsewhere a moment later, and a file can be given a path like that. So what
    it leads to is held first, without any right, and opened only if memfd_create(2) has made it:
    such memory is on a file system of its own, on which nobody can make a file.

    Raises:
        Unreadable: it has none.
        OSError: see `descriptor_of`.
    """
    held = os.open(descriptor_of(pid, name), os.O_PATH | os.O_CLOEXEC)
    try:
        path = f"/proc/self/fd/{held}"
        link = os.readlink(path)  # noqa: PTH115
        if not _is_link_to(link, name) or os.fstat(held).st_dev != _device_of_memory():
            raise Unreadable(f"process {pid} is no server of bare-serve")
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(held)


def _is_link_to(link: str, name: str) -> bool:
    return link.startswith(f"/memfd:{name} ") or link == f"/memfd:{name}"


def _device_of_memory() -> int:
    fd = os.memfd_create("bare-serve-device", os.MFD_CLOEXEC)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
