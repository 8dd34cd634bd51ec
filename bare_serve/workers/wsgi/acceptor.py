"""The door of a WSGI worker: from a socket that listens to a connection of HTTP.

What lives here: accepting, in turn with other workers; proxies that say first whom they bring; what
kind of connection a listener makes. What must not: requests (leader.py), the worker's life
(worker.py), whose turn it is (accept_balance.py).

Used by whichever thread leads, and by no other.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from bare_serve.net.addresses import own_end, plain_end
from bare_serve.net.no_delay import inherit_no_delay, set_no_delay
from bare_serve.workers.accept_balance import BATCH, STEP, AcceptShare
from bare_serve.workers.accept_errors import NO_CONNECTION, Scarcity
from bare_serve.workers.exchanges import Exchanges
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.poller import READ, Poller
from bare_serve.workers.proxy_handshake import ProxyHandshake, ProxyHandshakes
from bare_serve.wsgi.connection import ClientWaits, Connection
from bare_serve.wsgi.environ import (
    Environ,
    client_environ,
    connection_environ,
    listener_environ,
    server_environ,
)
from bare_serve.wsgi.response import FileWrapper

# After a connection that came alone, so many turns take one and do not ask for a second: to be told
# that there is none is an exception, 2 us of 60 a connection. In any case the listener stays ready.
_SINGLES: Final = 7
_STREAM: Final = int(socket.SOCK_STREAM)  # to make a number of it each time takes as long
_INET: Final = (int(socket.AF_INET), int(socket.AF_INET6))


class _Door(NamedTuple):
    """A listener, and what is the same for all of its connections."""

    accept: Callable[[], tuple[int, Any]]
    """Of the C class: `socket.accept` makes an object of Python around that of C (3 us)."""
    family: int
    proto: int
    is_inet: bool
    inherits: bool
    """Connections have TCP_NODELAY from the listener."""
    environ: Environ | None
    """With our end; None if our end differs between the connections."""


class Acceptor:
    """One per worker."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        poller: Poller,
        share: AcceptShare | None,
        options: ServeOptions,
        exchanges: Exchanges,
    ) -> None:
        self.listeners = {listener.fileno(): listener for listener in listeners}
        self.connections: dict[int, Connection] = {}
        """Those that came in and are not closed yet, by their descriptors."""
        self.handshakes = ProxyHandshakes(options.proxy_protocol_peers, options.timeouts, poller)
        """Connections of proxies that have not said yet whom they bring."""
        self.client_waits: ClientWaits | None = None
        """What connections report their waits to. Set by the worker, before it serves."""
        self.should_yield: list[int] = []
        """Listeners left to other workers for a moment."""
        self._listen_at = 0.0
        self._paused: list[int] = []
        """Not watched until the next tick, for want of file descriptors."""
        self._scarcity = Scarcity()
        self._singles = 0
        """Turns that are to take one connection."""
        self.rests = False
        """All of them are left to other workers, until `resume`."""
        self._closed = False
        self._poller = poller
        self._share = share
        self._options = options
        self.exchanges = exchanges
        """What makes the HTTP of connections; another while an x-ray is attached."""
        self._secure: Callable[..., Connection] | None = None
        if options.certificates is not None:  # late, since without TLS ssl would only take memory
            self._secure = import_module("bare_serve.wsgi.secure").SecureConnection
        self._environ = server_environ(
            multithread=options.threads > 1,
            multiprocess=options.multiprocess,
            file_wrapper=FileWrapper,
        )
        self._doors = {fd: self._door(listener) for fd, listener in self.listeners.items()}

    def _door(self, listener: socket.socket) -> _Door:
        family = int(listener.family)
        is_inet = family in _INET
        end = own_end(listener.getsockname()) if is_inet else None
        environ = None
        if end is not None or not is_inet:
            environ = listener_environ(self._environ, end)
        accept = listener._accept  # type: ignore[attr-defined]
        inherits = is_inet and inherit_no_delay(listener)
        return _Door(accept, family, listener.proto, is_inet, inherits, environ)

    # ------------------------------------------------------------------ open and closed

    def open(self) -> None:
        """Accept connections from now on."""
        if self._share is not None:
            self._share.enter()
        for fd in self.listeners:
            self._poller.listen(fd)

    def close(self) -> None:
        """Accept no more; connections of proxies may still name their clients."""
        self._closed = True
        self.should_yield.clear()
        if self._share is not None:
            self._share.leave()
        for fd in self.listeners:
            self._poller.forget(fd)

    @property
    def is_empty(self) -> bool:
        """Nobody is here, and nobody is about to be introduced."""
        return not (self.connections or self.handshakes)

    def tick(self, now: float) -> None:
        """Once a second."""
        while self._paused and not self._closed:
            self._poller.listen(self._paused.pop())
        self.handshakes.dismiss_late(now)

    def rest(self) -> None:
        """Take no connection, if other workers do, until `resume`."""
        if self.rests or self._closed or self._share is None or not self._share.has_others:
            return
        self.rests = True
        self.should_yield.clear()
        self._paused.clear()
        for fd in self.listeners:
            self._poller.forget(fd)

    def resume(self) -> None:
        """Take connections again, after a `rest`."""
        if self.rests:
            self.rests = False
            if not self._closed:
                for fd in self.listeners:
                    self._poller.listen(fd)

    def look(self) -> None:
        """Accept again if there is a place; called by the leading thread after it was woken."""

    @property
    def has_backlog(self) -> bool:
        """Whether a connection waits at a listener to be accepted."""
        poll = select.poll()
        for fd in self.listeners:
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def listen_again(self, now: float) -> None:
        """After it has stood back: whether anything is left."""
        if now >= self._listen_at:
            while self.should_yield:
                self._poller.listen(self.should_yield.pop())

    def descriptors(self) -> Iterator[int]:
        """Of all that came in; those that listen belong to whoever bound them."""
        yield from self.connections
        yield from self.handshakes

    # ------------------------------------------------------------------ in and out

    def take(self, fd: int) -> Iterator[Connection]:
        """Yield what waits at this listener, as far as it is this worker's turn."""
        door = self._doors[fd]
        batch = BATCH
        if self._singles:
            self._singles -= 1
            batch = 1
        for taken in range(batch):
            if self._yields(fd, taken):
                return
            try:
                accepted, peer = door.accept()
            except NO_CONNECTION:
                if taken == 1:
                    self._singles = _SINGLES
                if self._scarcity.is_here:
                    self._scarcity.is_over()
                return
            except OSError as error:
                self._scarcity.begins(error)
                self._singles = 0  # whoever finds nothing more says that it is over
                self._poller.forget(fd)
                self._paused.append(fd)
                return
            sock = socket.SocketType(door.family, _STREAM, door.proto, accepted)
            if self.handshakes.take(sock, peer, fd):
                connection = self.begin_handshake(accepted)
            else:
                connection = self._adopt(sock, peer, fd)
            if connection is not None:
                yield connection

    def begin_handshake(self, fd: int) -> Connection | None:
        """Read a proxy's header; return the client's connection once the header names one."""
        done = self.handshakes.look(fd)
        return None if done is None else self._adopt(done.sock, done.peer, done.listener, done)

    def forget(self, connection: Connection) -> None:
        """Count this connection no more."""
        self.connections.pop(connection.fd, None)
        if self._share is not None:
            self._share.hold(len(self.connections))

    def _yields(self, fd: int, taken: int) -> bool:
        """Return whether the next connection of a listener is for workers that hold less."""
        share = self._share
        if share is None:
            return False
        now = time.monotonic()
        if not share.should_yield(len(self.connections) + len(self.handshakes), now):
            return False
        if not taken:
            self._poller.forget(fd)
            self.should_yield.append(fd)
            self._listen_at = now + STEP
        return True

    # ------------------------------------------------------------------ what comes in

    def _adopt(
        self,
        sock: socket.SocketType,
        peer: Any,
        listener: int,
        handshake: ProxyHandshake | None = None,
    ) -> Connection | None:
        """Return the connection; None if the client left between accept and here."""
        try:
            connection = self._made(sock, peer, listener, handshake)
        except OSError:
            self._poller.forget(sock.fileno())
            sock.close()
            return None
        self.connections[connection.fd] = connection
        if self._share is not None:
            self._share.hold(len(self.connections))
        return connection

    def _made(
        self, sock: socket.SocketType, peer: Any, listener: int, handshake: ProxyHandshake | None
    ) -> Connection:
        """Return a connection for a socket that was just accepted from this listener, or
        whose client was introduced since."""
        sock.setblocking(False)
        door = self._doors[listener]
        remote = None
        if door.is_inet:
            remote = plain_end(peer)
            if not door.inherits:
                set_no_delay(sock)
        proxy = None if handshake is None else handshake.proxy
        if proxy is not None and proxy.destination is not None:
            local, remote = proxy.ends
            environ = connection_environ(self._environ, local, remote)
        elif door.environ is not None:
            environ = client_environ(door.environ, remote)
        else:
            environ = connection_environ(self._environ, plain_end(sock.getsockname()), remote)
        if proxy is not None and proxy.secure:
            environ["wsgi.url_scheme"] = "https"
        roles, trust = self._options.roles, self._options.trust
        connection = self._of_role(sock, environ, roles.get(listener) if roles else None)
        if self.client_waits is not None:
            connection.client_waits = self.client_waits
        if trust is not None and trust.peer(remote[0] if remote else None):
            if proxy is None or not proxy.anonymous:
                connection.trust = trust
        if handshake is not None:
            connection.events = READ if handshake.watched else 0
            connection.http.close_after = self._closed
        return connection

    def _of_role(
        self, sock: socket.SocketType, environ: dict[str, Any], role: str | None
    ) -> Connection:
        options = self._options
        if role == "redirect":
            return Connection(sock, self.exchanges.new_redirect(), options.timeouts, environ)
        http = self.exchanges.new_exchange()
        if role != "tls":
            return Connection(sock, http, options.timeouts, environ)
        assert self._secure is not None
        assert options.certificates is not None
        made: Connection = self._secure(
            sock, http, options.timeouts, environ, options.certificates.served
        )
        return made
