"""A connection of a trusted proxy, until its PROXY header has named the client.

What lives here: which peers must send a header, reading it off a socket, its deadline. What must
not: the header's grammar (net/proxy_protocol.py), the loops (asgi/acceptor.py, wsgi/leader.py), TLS
and HTTP, which find the socket as if the client itself had connected.

Bytes are looked at before they are taken, so that none behind the header is.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from socket import MSG_PEEK, SocketType
from typing import Any, Final

from bare_serve.errors import ClientGone, ProxyProtocolError
from bare_serve.http import Timeouts
from bare_serve.net.addresses import plain_host
from bare_serve.net.forwarded import Trust
from bare_serve.net.proxy_protocol import ProxyHeader, ProxyHeaderReader
from bare_serve.workers.poller import READ, Poller

logger = logging.getLogger("bare_serve.http")

# Almost every header is shorter; a longer one is read in several pieces.
_PEEK: Final = 1024


def awaits_proxy_header(proxies: Trust | None, peer: Any) -> bool:
    """Return whether the other end of a connection, as accept names it, has to send a PROXY header.

    Only trusted peers may send one; from all others it would be malformed HTTP. So it is
    never guessed whether a header is there (proxy-protocol.txt, 2).
    """
    return proxies is not None and proxies.peer(peer[0] if isinstance(peer, tuple) else None)


class ProxyHandshake:
    """One such connection. Used by one thread at a time."""

    __slots__ = ("_deadline", "_reader", "listener", "peer", "proxy", "sock", "watched")

    def __init__(self, sock: SocketType, peer: Any, timeouts: Timeouts, now: float) -> None:
        """`sock` does not block; a header has as long as the head of a request."""
        self.sock = sock
        self.peer = peer
        self.listener = -1
        """The number of the socket that it came from, where that matters."""
        self.proxy: ProxyHeader | None = None
        """The header, once it is whole."""
        self.watched = False
        """The loop waits for it to become readable; kept by the loop."""
        self._reader = ProxyHeaderReader()
        self._deadline = now + (timeouts.headers or math.inf)

    def read(self) -> bool:
        """Take what has come; return whether the header is whole now.

        Raises:
            ProxyProtocolError: what came is no header; it is in the log.
            ClientGone: the proxy has closed.
            OSError: the connection is broken.
        """
        try:
            seen = self.sock.recv(_PEEK, MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        if not seen:
            raise ClientGone("the proxy closed the connection before its header was whole")
        try:
            left = self._reader.feed(seen)
        except ProxyProtocolError as error:
            logger.warning(
                "%s: refused: no PROXY header, which --proxy-protocol asks of this proxy: %s.",
                self._name,
                error,
            )
            raise
        while left:
            left -= len(self.sock.recv(left))
        self.proxy = self._reader.header
        return self.proxy is not None

    def overdue(self, now: float) -> bool:
        """Return whether its time is over, which is logged."""
        if now < self._deadline:
            return False
        logger.warning("%s: its PROXY header did not arrive in time; closed.", self._name)
        return True

    @property
    def _name(self) -> str:
        return plain_host(self.peer[0]) if isinstance(self.peer, tuple) else "unix"


class ProxyHandshakes:
    """All of them on a loop of `poller`; used by the thread that leads it."""

    def __init__(
        self, proxy_protocol_peers: Trust | None, timeouts: Timeouts, poller: Poller
    ) -> None:
        self._peers = proxy_protocol_peers
        self._timeouts = timeouts
        self._poller = poller
        self._waiting: dict[int, ProxyHandshake] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        """Their descriptors."""
        return iter(self._waiting)

    def take(self, sock: SocketType, peer: Any, listener: int) -> bool:
        """Whether a socket that was just accepted has to send a header first; `listener` is the
        number of the one that it came from."""
        if not awaits_proxy_header(self._peers, peer):
            return False
        sock.setblocking(False)
        now = time.monotonic()
        handshake = ProxyHandshake(sock, peer, self._timeouts, now)
        handshake.listener = listener
        self._waiting[sock.fileno()] = handshake
        return True

    def look(self, fd: int) -> ProxyHandshake | None:
        """Read from one of them; return it, and forget it, once the client is named."""
        handshake = self._waiting.get(fd)
        if handshake is None:
            return None
        try:
            if handshake.read():
                return self._waiting.pop(fd)
        except (ProxyProtocolError, OSError):
            self._dismiss(handshake)
            return None
        if not handshake.watched:
            handshake.watched = True
            self._poller.watch(fd, READ)
        return None

    def dismiss_late(self, now: float) -> None:
        """Close those whose time is over."""
        for handshake in list(self._waiting.values()):
            if handshake.overdue(now):
                self._dismiss(handshake)

    def dismiss_all(self) -> None:
        """Close them all."""
        for handshake in list(self._waiting.values()):
            self._dismiss(handshake)

    def _dismiss(self, handshake: ProxyHandshake) -> None:
        fd = handshake.sock.fileno()
        del self._waiting[fd]
        if handshake.watched:
            self._poller.forget(fd)
        handshake.sock.close()
