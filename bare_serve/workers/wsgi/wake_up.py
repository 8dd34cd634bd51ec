"""How any thread wakes the one that waits for readiness.

What lives here: a pair of sockets, one end of which the poller watches. What must not: why somebody
is woken.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


class WakeUp:
    """One per worker. Usable by each thread, and by signal handlers."""

    __slots__ = ("_reader", "_writer", "fd")

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self.fd = self._reader.fileno()
        """The descriptor that can be read once `wake` was called."""

    def wake(self) -> None:
        """Make `fd` readable. Does nothing after `close`."""
        with contextlib.suppress(OSError):  # the pair is full: the leader has been woken
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Take what `wake` has written; for the thread that was woken."""
        with contextlib.suppress(BlockingIOError, InterruptedError):
            self._reader.recv(64)

    def descriptors(self) -> Iterator[int]:
        """Yield both descriptors, for a forked process that has to let go of them."""
        yield self._reader.fileno()
        yield self._writer.fileno()

    def close(self) -> None:
        """Close both ends."""
        self._reader.close()
        self._writer.close()
