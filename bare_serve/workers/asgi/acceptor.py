"""Accepting for a worker on an asyncio loop.

What lives here: taking connections off a listening socket that several workers share. What must
not: what is done with them, whose turn it is (accept_balance.py).

The loops' own servers take all they can get; here a worker stands back when it holds more than its
share. When the process is out of file descriptors the listener is left alone for a while: it
stays ready, and asking again at once would only spin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from socket import AF_UNIX, SOCK_STREAM, SocketType, socket
from typing import Any, Final, cast

from bare_serve.asgi import Connection, Service
from bare_serve.errors import ProxyProtocolError
from bare_serve.net.forwarded import Trust
from bare_serve.net.no_delay import inherit_no_delay, set_no_delay
from bare_serve.net.proxy_protocol import ProxyHeader
from bare_serve.workers.accept_balance import BATCH, STEP, AcceptShare
from bare_serve.workers.accept_errors import NO_CONNECTION, PAUSE, Scarcity
from bare_serve.workers.proxy_handshake import ProxyHandshake, awaits_proxy_header

Protocols = Callable[[Any, ProxyHeader | None], Connection]
"""Makes the protocol of a connection from the address of its other end, and from a proxy's header
for it."""


# After a connection that came alone, so many turns take one and do not ask for a second: to be told
# that there is none is an exception, 2 us of 85 a connection. In any case the listener stays ready.
_SINGLES: Final = 7
# Numbers: to ask a socket for them makes an enum each time.
_STREAM: Final = int(SOCK_STREAM)


class _Lent(SocketType):
    """The socket that uvloop is given: uvloop closes the descriptor by itself, and then this.

    Of the C class, as what asyncio is given: an object of Python around it, whose family and type
    the loops ask for as enums, costs 4 us a connection.
    """

    __slots__ = ()

    def close(self) -> None:
        """Forget the descriptor, which is closed, or another connection's already."""
        self.detach()


class Acceptor:
    """Hands the connections of one listening socket to protocols of the loop."""

    def __init__(
        self,
        service: Service,
        listener: socket,
        make_protocol: Protocols,
        share: AcceptShare | None,
        proxy_protocol_peers: Trust | None = None,
    ) -> None:
        """`proxy_protocol_peers` are the proxies that begin a connection by a PROXY header."""
        loop = service.loop
        self._loop = loop
        self._service = service
        self.listener = listener
        self.make_protocol = make_protocol
        """Another while an x-ray is attached."""
        self._share = share
        self._peers = proxy_protocol_peers
        self._held = service.connections
        self._adopting: set[_Adoption] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._scarcity = Scarcity()
        self._singles = 0  # turns that are to take one connection
        family, proto = int(listener.family), listener.proto
        self._accepted = partial(SocketType, family, _STREAM, proto)
        self._uvloop = type(loop).__module__.startswith("uvloop")
        self._lent = partial(_Lent, family, _STREAM, proto) if self._uvloop else self._accepted
        # uvloop does this by itself; asyncio only where the listener's protocol is not 0.
        self._no_delay = family != AF_UNIX and not self._uvloop and not inherit_no_delay(listener)

    def start(self) -> None:
        """Accept from now on."""
        self._retry = None
        self.listener.setblocking(False)
        self._loop.add_reader(self.listener.fileno(), self._accept)

    def stop(self) -> None:
        """Accept no more. The socket stays open: its owner is the code that bound it."""
        self._loop.remove_reader(self.listener.fileno())
        if self._retry is not None:
            self._retry.cancel()

    async def settle(self) -> None:
        """Return when every accepted connection has its protocol."""
        while self._adopting:
            await asyncio.sleep(0)

    def _accept(self) -> None:
        share = self._share
        batch = BATCH
        if self._singles:
            self._singles -= 1
            batch = 1
        for taken in range(batch):
            if share is not None:
                held = len(self._held) + len(self._adopting)
                if share.should_yield(held, self._loop.time()):
                    if not taken:
                        self._pause(STEP)
                    return
                share.hold(held + 1)
            if not self._take():
                # After a scarcity whoever finds nothing more says that it is over.
                self._singles = _SINGLES if taken == 1 and not self._scarcity.is_here else 0
                return

    def _take(self) -> bool:
        """Return whether there was a connection, and there may be more."""
        try:
            fd, peer = self.listener._accept()  # type: ignore[attr-defined]
        except NO_CONNECTION:
            if self._scarcity.is_here:
                self._scarcity.is_over()
            return False
        except OSError as error:
            self._scarcity.begins(error)
            self._pause(PAUSE)
            return False
        if self._peers is not None and awaits_proxy_header(self._peers, peer):
            client = self._accepted(fd)
            client.setblocking(False)
            timeouts = self._service.options.timeouts
            handshake = ProxyHandshake(client, peer, timeouts, self._loop.time())
            _Handshaking(handshake, self._service, self._adopt_after_handshake).look()
        else:
            self._adopt(fd, self.make_protocol(peer, None))
        return True

    def _adopt(self, fd: int, protocol: Connection, done: Callable[[], None] | None = None) -> None:
        client = self._lent(fd)
        if not self._uvloop:  # which does this by itself
            client.setblocking(False)
        if self._no_delay:
            set_no_delay(client)
        # The loops ask for no more than the C class has.
        adopting = self._loop.connect_accepted_socket(lambda: protocol, cast(socket, client))
        _Adoption(client, adopting, self._adopting, done).go_on()

    def _adopt_after_handshake(self, handshake: ProxyHandshake, done: Callable[[], None]) -> None:
        protocol = self.make_protocol(handshake.peer, handshake.proxy)
        if self._service.draining:
            protocol.drain()
        self._adopt(handshake.sock.detach(), protocol, done)

    def _pause(self, seconds: float) -> None:
        self.stop()
        self._retry = self._loop.call_later(seconds, self.start)


class _Adoption:
    """Drives `connect_accepted_socket` without a task, which would cost 3 us a connection."""

    __slots__ = ("_client", "_done", "_steps", "_under_way")

    def __init__(
        self,
        client: SocketType,
        steps: Coroutine[Any, Any, Any],
        under_way: set[_Adoption],
        done: Callable[[], None] | None,
    ) -> None:
        self._client = client
        self._done = done
        self._steps = steps
        self._under_way = under_way
        under_way.add(self)

    def go_on(self, _waited_for: object = None) -> None:
        """Up to the next thing that is waited for, or to the end."""
        try:
            self._steps.send(None).add_done_callback(self.go_on)
            return
        except StopIteration:
            pass
        except OSError:  # the client left between accept and here
            SocketType.close(self._client)
        self._under_way.discard(self)
        if self._done is not None:
            self._done()


_Adopt = Callable[[ProxyHandshake, Callable[[], None]], None]


class _Handshaking:
    """A PROXY handshake on the loop; one of the worker's connections until the client's own is."""

    __slots__ = ("_adopt", "_handshake", "_over", "_service")

    def __init__(self, handshake: ProxyHandshake, service: Service, adopt: _Adopt) -> None:
        self._handshake = handshake
        self._service = service
        self._adopt = adopt
        self._over = False
        service.connections.add(self)

    def look(self) -> None:
        """Read what has come."""
        handshake = self._handshake
        try:
            whole = handshake.read()
        except (ProxyProtocolError, OSError):
            self.cut()
            return
        if whole:
            self._end()
            self._adopt(handshake, partial(self._service.gone, self))
        elif not handshake.watched:
            handshake.watched = True
            self._service.loop.add_reader(handshake.sock.fileno(), self.look)

    def check(self, now: float) -> None:
        """See `OpenConnection`."""
        if not self._over and self._handshake.overdue(now):
            self.cut()

    def fileno(self) -> int:
        """See `OpenConnection`."""
        return self._handshake.sock.fileno()

    def drain(self) -> None:
        """See `OpenConnection`. The client is asked to close once it is known."""

    def wind_down(self, *, fresh: bool) -> None:
        """See `OpenConnection`."""
        if fresh and not self._over:
            self.look()  # uvloop runs timers first: it may have come
            if not self._over:
                self.cut()

    def cut(self) -> None:
        """Close without an answer: the client is not known yet."""
        if not self._over:
            self._end()
            self._handshake.sock.close()
            self._service.gone(self)

    def _end(self) -> None:
        self._over = True
        if self._handshake.watched:
            self._service.loop.remove_reader(self._handshake.sock.fileno())
