"""Accepting for a worker on an asyncio loop.

What lives here: taking connections off a listening socket that several workers share. What must
not: what is done with them, whose turn it is (balance.py).

The loops' own servers take all they can get; here a worker stands back when it holds more than its
share. When the process is out of file descriptors the listener is left alone for a while: it
stays ready, and asking again at once would only spin.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Sized
from socket import AF_UNIX, IPPROTO_TCP, TCP_NODELAY, socket

from .balance import STEP, Share

logger = logging.getLogger("bare_serve.worker")

_PAUSE = 1.0
# Connections taken in one turn of the loop, while it is this worker's turn to take them.
_BATCH = 16
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """Hands the connections of one listening socket to protocols of the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket,
        make_protocol: Callable[[], asyncio.Protocol],
        share: Share | None,
        held: Sized,
    ) -> None:
        """`held` are the connections that this worker has."""
        self._loop = loop
        self._listener = listener
        self._make_protocol = make_protocol
        self._share = share
        self._held = held
        self._adopting: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._retry = None
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def stop(self) -> None:
        """Accept no more. The socket stays open: it belongs to whoever bound it."""
        self._loop.remove_reader(self._listener.fileno())
        if self._retry is not None:
            self._retry.cancel()

    async def settle(self) -> None:
        """Return when every accepted connection has its protocol."""
        if self._adopting:
            await asyncio.wait(set(self._adopting))

    def _accept(self) -> None:
        share = self._share
        for taken in range(_BATCH):
            if share is not None:
                held = len(self._held) + len(self._adopting)
                if share.stands_back(held, self._loop.time()):
                    if not taken:
                        self._pause(STEP)
                    return
                share.hold(held + 1)
            if not self._take():
                return

    def _take(self) -> bool:
        """Whether there was a connection, and there may be more."""
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another worker was quicker, or the client has gone already
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            logger.error("Cannot accept: %s. Trying again in %g s.", error.strerror, _PAUSE)
            self._pause(_PAUSE)
            return False
        client.setblocking(False)
        if client.family != AF_UNIX:
            # uvloop does this by itself; asyncio only where the listener's protocol is not 0.
            client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        task = self._loop.create_task(self._adopt(client))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)
        return True

    def _pause(self, seconds: float) -> None:
        self.stop()
        self._retry = self._loop.call_later(seconds, self.start)

    async def _adopt(self, client: socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, client)
        except OSError:  # the client left between accept and here
            client.close()
