"""What the system says of a worker process: memory and descriptors, as far as it tells.

What lives here: reading /proc (proc(5)). What must not: the server's own numbers (metrics.py). A
worker that has become another user may hide from that user what only root may see; what cannot be
read is None.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One process; None for what is not known."""

    resident: int | None = None
    """Bytes of memory, what is shared counted whole."""
    proportional: int | None = None
    """Bytes of memory, what is shared counted in proportion to its users."""
    descriptors: int | None = None
    """Descriptors that are open."""


def look(pids: Iterable[int]) -> dict[int, Process]:
    """Return what is known of these processes."""
    return {pid: Process(_resident(pid), _proportional(pid), _descriptors(pid)) for pid in pids}


def _resident(pid: int) -> int | None:
    text = _read(f"/proc/{pid}/statm")
    return int(text.split()[1]) * _PAGE if text else None


def _proportional(pid: int) -> int | None:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def _descriptors(pid: int) -> int | None:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def _read(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().decode("ascii", "replace")
    except OSError:
        return ""
