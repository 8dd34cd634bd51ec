"""The terminal that a process can be reached from.

What lives here: whether there is one. What must not: what its end means (workers/lifecycle.py,
supervision/signals.py): a HUP means the end of the server if the terminal was there before.
"""

from __future__ import annotations

import os
import select


def has_terminal() -> bool:
    """There is a terminal, and its window is open: one that is just closing may still be there."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    poller = select.poll()
    poller.register(fd, 0)
    closed = poller.poll(0)  # POLLHUP and POLLERR are always reported
    os.close(fd)
    return not closed
