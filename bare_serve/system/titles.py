"""What ps, top and htop call a process of the server.

What lives here: writing a title. What must not: what a title says (server/server.py).

On Linux a command line is read from the memory of its process, between two addresses that the
kernel keeps (proc_pid_stat(5), `arg_start` and `arg_end`). A title is written to that place, and
nowhere else: the environment behind it stays, so a title is as long as the command line was at
most. Python has copied the words long before, so sys.argv and sys.orig_argv, from which a server is
replaced, keep them. The name of the main thread, which top shows and pkill(1) looks for, has 15
bytes (proc_pid_comm(5)). Where any of this is not to be had nothing changes, and nothing is said: a
title is a courtesy.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_COMM_FILE: Final = "/proc/self/comm"
_COMM: Final = 15
_LEAST: Final = 12
"""Bytes that a title needs to say anything."""
_ARG_START, _ARG_END = 45, 46
"""Places of the fields 48 and 49, without the three in front of which the name stands."""


def set_title(title: str, name: str) -> None:
    """Have others see `title` as the command line of this process, and `name` as its short name.

    What is too long loses its end, what is not printable ASCII becomes a question mark.
    """
    with suppress(OSError):
        Path(_COMM_FILE).write_bytes(_ascii(name)[:_COMM])
    with suppress(OSError, ValueError, IndexError):
        start, end = _place()
        if end - start <= _LEAST:
            return
        # A last byte that is not zero would have the kernel read on into the environment.
        text = _ascii(title)[: end - start - 1].ljust(end - start, b"\0")
        fd = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, text, start)
        finally:
            os.close(fd)


def _ascii(text: str) -> bytes:
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return printable.encode("ascii", "replace")


def _place() -> tuple[int, int]:
    """Return where the command line is in the memory of this process: its addresses."""
    # Names may hold anything, so read from behind the parenthesis.
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[_ARG_START]), int(fields[_ARG_END])
