"""The acceptor of a WSGI worker with a limited number of connections.

What lives here: accepting no connection while all places are taken. What must not: how
many places there are (connection_places.py).

Only the leader takes listeners from the poller and gives them back. A thread that closes a
connection wakes the leader.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from bare_serve.workers.accept_balance import AcceptShare
from bare_serve.workers.connection_places import Places
from bare_serve.workers.exchanges import Exchanges
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.poller import Poller
from bare_serve.workers.wsgi.acceptor import Acceptor
from bare_serve.wsgi.connection import Connection


class BoundedAcceptor(Acceptor):
    """One per worker."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        poller: Poller,
        share: AcceptShare | None,
        options: ServeOptions,
        exchanges: Exchanges,
        wake: Callable[[], None],
    ) -> None:
        """`wake` has the leader call `look`."""
        super().__init__(listeners, poller, share, options, exchanges)
        self._places = Places(options.limit_connections)
        self._wake = wake
        self._full = False

    @property
    def _held(self) -> int:
        return len(self.connections) + len(self.handshakes)

    def _yields(self, fd: int, taken: int) -> bool:
        if self._places.left(self._held):
            return super()._yields(fd, taken)
        self._full = True
        self.should_yield.clear()
        self._paused.clear()
        if self._share is not None:
            self._share.leave()  # or others would leave connections to this worker
        for each in self.listeners:
            self._poller.forget(each)
        return True

    def forget(self, connection: Connection) -> None:
        """See `Acceptor.forget`."""
        super().forget(connection)
        if self._full:
            self._wake()

    def look(self) -> None:
        """See `Acceptor.look`."""
        if not self._full or self._closed or not self._places.left(self._held):
            return
        self._full = False
        if self._share is not None:
            self._share.enter()
            self._share.hold(self._held)
        if not self.rests:
            for fd in self.listeners:
                self._poller.listen(fd)

    def tick(self, now: float) -> None:
        """See `Acceptor.tick`."""
        super().tick(now)
        self.look()

    def rest(self) -> None:
        """See `Acceptor.rest`."""
        if not self._full:
            super().rest()

    def resume(self) -> None:
        """See `Acceptor.resume`."""
        if self._full:
            self.rests = False
        else:
            super().resume()
