"""Readiness of sockets: epoll where there is one, `selectors` elsewhere, one small interface.

What lives here: watching descriptors. What must not: what happens when they are ready.

Both are level-triggered, and both may be changed by one thread while another waits in `poll`.
"""

from __future__ import annotations

import contextlib
import select
import selectors
from typing import Protocol

READ = 1
WRITE = 4

# EPOLLIN is 1 and EPOLLOUT is 4; a hang-up or an error shows as readable, and recv shows which.
Ready = list[tuple[int, int]]


class Poller(Protocol):
    """What a loop needs of its operating system."""

    name: str

    def watch(self, fd: int, events: int) -> None:
        """Start to watch `fd` for READ, WRITE or both."""

    def change(self, fd: int, events: int) -> None:
        """Watch `fd` for something else from now on."""

    def forget(self, fd: int) -> None:
        """Watch `fd` no longer; harmless if it was not watched."""

    def listen(self, fd: int) -> None:
        """Watch a listening socket that other processes watch as well."""

    def poll(self, timeout: float) -> Ready:
        """Wait at most `timeout` seconds; return descriptors with what they are ready for."""

    def close(self) -> None:
        """Close the descriptor of the poller itself."""

    def fileno(self) -> int:
        """Return the descriptor of the poller itself; -1 if it has none."""


class EpollPoller:
    """Linux."""

    name = "epoll"

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.watch = self._epoll.register
        self.change = self._epoll.modify
        self.poll = self._epoll.poll
        self.close = self._epoll.close
        self.fileno = self._epoll.fileno

    def listen(self, fd: int) -> None:
        """See `Poller.listen`.

        Without EPOLLEXCLUSIVE, which wakes one process, but always the same: 200 connections one
        by one over 4 workers then lie 9, 55, 60, 76, and a worker with too many can leave none to
        others, since they sleep. To wake all costs 3 us a connection, and only if they idle.
        """
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """See `Poller.forget`."""
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)


class SelectorPoller:
    """Everywhere else: kqueue, poll or select, whatever the platform has."""

    name = "selectors"

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.close = self._selector.close

    def watch(self, fd: int, events: int) -> None:
        """See `Poller.watch`."""
        self._selector.register(fd, self._mask(events))

    def change(self, fd: int, events: int) -> None:
        """See `Poller.change`."""
        self._selector.modify(fd, self._mask(events))

    def listen(self, fd: int) -> None:
        """See `Poller.listen`."""
        self._selector.register(fd, selectors.EVENT_READ)

    def forget(self, fd: int) -> None:
        """See `Poller.forget`."""
        with contextlib.suppress(KeyError, ValueError, OSError):
            self._selector.unregister(fd)

    def poll(self, timeout: float) -> Ready:
        """See `Poller.poll`."""
        ready: Ready = []
        for key, events in self._selector.select(timeout):
            readable = READ if events & selectors.EVENT_READ else 0
            writable = WRITE if events & selectors.EVENT_WRITE else 0
            ready.append((key.fd, readable | writable))
        return ready

    def fileno(self) -> int:
        """See `Poller.fileno`."""
        own = getattr(self._selector, "fileno", None)
        return -1 if own is None else int(own())

    @staticmethod
    def _mask(events: int) -> int:
        readable = selectors.EVENT_READ if events & READ else 0
        writable = selectors.EVENT_WRITE if events & WRITE else 0
        return readable | writable


def make_poller() -> Poller:
    """Return the best poller of this platform."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()
