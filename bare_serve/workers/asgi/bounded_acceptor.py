"""Accepting on an asyncio loop, for a worker with a limited number of connections.

What lives here: leaving listeners alone while all places are taken. What must not: how many
places there are (connection_places.py).
"""

from __future__ import annotations

from collections.abc import Collection
from socket import socket

from bare_serve.asgi import Service
from bare_serve.net.forwarded import Trust
from bare_serve.workers.accept_balance import AcceptShare
from bare_serve.workers.asgi.acceptor import Acceptor, Protocols
from bare_serve.workers.connection_places import Places

# Seconds between looks: a connection that ends before its adoption is not reported.
_LOOK = 1.0


class Gate:
    """What the acceptors of one worker share."""

    def __init__(self, limit: int, share: AcceptShare | None, held: Collection[object]) -> None:
        """`held`: the connections that are here."""
        self.places = Places(limit)
        self._share = share
        self._held = held
        self._shut: dict[BoundedAcceptor, None] = {}

    def change(self, held: int) -> None:
        """Note how many connections are here now."""
        if self._share is not None:
            self._share.hold(held)
        if self._shut and self.places.left(held):
            for acceptor in list(self._shut):
                acceptor.start()

    def shut(self, acceptor: BoundedAcceptor) -> None:
        """Note that this acceptor leaves its listener alone until there is a place."""
        if not self._shut and self._share is not None:
            self._share.leave()  # or others would leave connections to this worker
        self._shut[acceptor] = None

    def open(self, acceptor: BoundedAcceptor) -> None:
        """Note that this acceptor accepts again."""
        if acceptor in self._shut:
            del self._shut[acceptor]
            if not self._shut and self._share is not None:
                self._share.enter()
                self._share.hold(len(self._held))

    def forget(self, acceptor: BoundedAcceptor) -> None:
        """Forget an acceptor, which accepts no more."""
        self._shut.pop(acceptor, None)


class BoundedAcceptor(Acceptor):
    """Takes a connection only if there is a place for it."""

    def __init__(
        self,
        service: Service,
        listener: socket,
        make_protocol: Protocols,
        share: AcceptShare | None,
        proxy_protocol_peers: Trust | None,
        gate: Gate,
    ) -> None:
        super().__init__(service, listener, make_protocol, share, proxy_protocol_peers)
        self._gate = gate

    def start(self) -> None:
        """See `Acceptor.start`."""
        if self._retry is not None:
            self._retry.cancel()
        self._gate.open(self)
        super().start()

    def stop(self) -> None:
        """See `Acceptor.stop`."""
        self._gate.forget(self)
        super().stop()

    def _take(self) -> bool:
        if self._gate.places.left(len(self._held) + len(self._adopting)):
            return super()._take()
        self._pause(_LOOK)
        self._gate.shut(self)
        return False
