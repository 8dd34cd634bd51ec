"""Gives memory back to the system when a crowd of clients has left.

What lives here: when, and how. What must not: connections; they are only counted.

Ten thousand connections leave some 40 MiB behind that Python and the C library would keep for the
next crowd: cycles not yet collected, free memory between blocks in use. Collecting once and asking
the C library to trim its heap returns most of it (`tests/hurt`). Both take milliseconds, so it
is done after a crowd, not after each client.
"""

from __future__ import annotations

import gc
from typing import Final

# Fewer clients than this leave nothing worth the time.
CROWD: Final = 1000


class MemoryTrimmer:
    """Trims memory when most of many connections have closed, and no more close."""

    __slots__ = ("_last", "_most")

    def __init__(self) -> None:
        self._last = 0
        self._most = 0

    def look(self, connections: int) -> bool:
        """Trim if it is time to; return True if so."""
        leaving, self._last = connections < self._last, connections
        self._most = max(self._most, connections)
        if leaving or self._most < CROWD or connections > self._most // 4:
            return False
        self._most = connections
        gc.collect()
        trim()
        return True


def trim() -> None:
    """Ask the C library to return what it does not use; only glibc can."""
    import ctypes  # not needed by most processes, and not small

    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    malloc_trim(0)
