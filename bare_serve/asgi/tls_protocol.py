"""TLS between a transport and the protocol of a connection.

What lives here: for the loop's transport the protocol, for `Connection` (and the WebSocket that may
follow it) the transport. What must not: TLS itself (tls/session.py), HTTP.

The loops' own TLS is not used: it knows no half-closed connection, keeps timers and a quarter of a
MiB for each connection, and cannot answer a client that speaks plain HTTP. Until the handshake is
over the link stands among the worker's connections itself, so that deadlines, draining and their
number hold for it; then the connection takes its place. What was read before the handshake, as the
header of a proxy, is no matter: `data_received` goes on with what is behind it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable
from time import perf_counter
from typing import Any, Final, cast

from bare_serve.asgi.connection import Connection
from bare_serve.asgi.proxied import apply_proxy_header
from bare_serve.asgi.scope import host_and_port
from bare_serve.asgi.service import Service
from bare_serve.asgi.types import Address
from bare_serve.errors import TlsError
from bare_serve.http import LINGER_SECONDS
from bare_serve.net.proxy_protocol import ProxyHeader
from bare_serve.system import forks
from bare_serve.tls.certificates import Certificates
from bare_serve.tls.facts import extension
from bare_serve.tls.session import Session

logger = logging.getLogger("bare_serve.tls")

# Encrypted at a time: the ciphertext of a large body is not made in one piece.
_PIECE: Final = 1 << 17
# Seconds after which others have their turn: uvloop reads 250 KB, which may hold ten thousand
# records for TLS itself, and reads on while something is there.
_TURN: Final = 0.005


class TlsProtocol(asyncio.Protocol):
    """One connection's."""

    __slots__ = (
        "_clogged",
        "_deadline",
        "_ended",
        "_goes_on",
        "_inner",
        "_paused",
        "_pauses",
        "_peer",
        "_proxy",
        "_raw",
        "_rest",
        "_served",
        "_server",
        "_service",
        "_session",
        "_shut",
        "_waits",
        "get_write_buffer_size",
        "is_closing",
        "make_connection",
        "set_write_buffer_limits",
    )  # fmt: skip

    _raw: asyncio.Transport

    def __init__(
        self,
        service: Service,
        certificates: Certificates,
        server: Address | None,
        peer: Any,
        proxy: ProxyHeader | None = None,
        connection: type[Connection] = Connection,
    ) -> None:
        """See `Connection` for `server`, `peer` and `proxy`; `connection`: its class."""
        self.make_connection = connection
        self._service = service
        self._served = certificates.served
        self._session = Session(self._served.context)
        self._server, self._peer = apply_proxy_header(server, peer, proxy)
        self._proxy = proxy
        self._inner: asyncio.Protocol | None = None  # once the handshake is over
        headers = service.options.timeouts.headers
        self._deadline = service.loop.time() + headers if headers else math.inf
        self._ended = False  # the client sends no more
        self._shut = False  # we send no more
        self._clogged = False  # the client takes less than it is sent
        self._waits = False  # with reading, until the client has taken what TLS itself has to say
        self._pauses = False  # reading, as the protocol wants it
        self._paused = False  # reading, as it is
        self._rest = b""  # ciphertext that has come, and waits until others have had their turn
        self._goes_on = False  # with that

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = raw = cast(asyncio.Transport, transport)
        self.is_closing = raw.is_closing
        self.get_write_buffer_size = raw.get_write_buffer_size
        self.set_write_buffer_limits = raw.set_write_buffer_limits
        self._service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if len(data) > self._session.portion or self._rest:
            self._receive_by_slices(data)
        else:
            self._receive(data)

    def _receive_by_slices(self, data: bytes) -> None:
        """Decrypt a part of `data` now, and the rest after other connections."""
        if self._goes_on or (self._rest and (self._pauses or self._waits)):
            self._rest += data
            return
        data, self._rest = self._rest + data, b""
        view, position = memoryview(data), 0
        latest = perf_counter() + _TURN
        while position < len(data):
            portion = self._session.portion
            self._receive(bytes(view[position : position + portion]))
            position += portion
            if perf_counter() > latest or self._pauses or self._waits:
                break
        if position < len(data) and not self._shut:
            self._rest = data[position:]
            self._adjust_reading()
            self._go_on_later()

    def _go_on_later(self) -> None:
        if self._rest and not (self._goes_on or self._pauses or self._waits):
            self._goes_on = True
            self._service.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        if self._shut:
            self._rest = b""
        elif not (self._pauses or self._waits):
            self._receive_by_slices(b"")
        self._adjust_reading()

    def _receive(self, data: bytes) -> None:
        inner, session = self._inner, self._session
        if self._shut:
            if inner is not None:
                inner.data_received(data)  # counted and thrown away
            return
        try:
            plain = session.receive(data)
        except TlsError as error:
            self._fail(error)
            return
        if own := session.take():
            self._raw.write(own)
            if self._clogged and inner is not None:  # else what TLS answers would pile up
                self._waits = True
                self._adjust_reading()
        if inner is None:
            if not session.established:
                return
            inner = self._establish()
        if plain:
            inner.data_received(plain)
        if session.ended and not self._ended:
            self._end(inner)

    def eof_received(self) -> bool:
        """Take an end of the socket without one of TLS: lengths show it (RFC 9112, 9.8)."""
        if self._inner is None:
            return False
        if not self._ended:
            self._end(self._inner)
        return not self._shut

    def connection_lost(self, exc: Exception | None) -> None:
        self._shut = True
        # The connection has this as its transport: the two would keep each other, and what they
        # hold of the client's, until the collector comes round.
        inner, self._inner = self._inner, None
        if inner is None:
            if forks.happened:
                forks.hang_up(self._raw)
            self._service.gone(self)
        else:
            inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._clogged = True
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._clogged = self._waits = False
        self._adjust_reading()
        if self._inner is not None:
            self._inner.resume_writing()

    def _establish(self) -> asyncio.Protocol:
        service, served = self._service, self._served
        service.connections.discard(self)
        connection = self.make_connection(service, self._server, self._peer, self._proxy)
        connection.tls = extension(self._session.ssl_object, served.server_cert, served.suites)
        self._inner = connection
        connection.connection_made(cast(asyncio.Transport, self))
        if service.draining:
            connection.drain()
        return connection

    def _end(self, inner: asyncio.Protocol) -> None:
        """Take the client's end: it sends no more, but may still read."""
        self._ended = True
        if not inner.eof_received():
            self.close()

    def _fail(self, error: TlsError) -> None:
        address = host_and_port(self._peer)
        logger.info("%s: no TLS: %s", address[0] if address else "unix", error.reason)
        self._shut = True
        if self._inner is not None or not error.answer:
            self._raw.abort()
            return
        self._raw.write(error.answer)
        self._deadline = self._service.loop.time() + LINGER_SECONDS
        if self._raw.can_write_eof():
            self._raw.write_eof()  # closed by the client, or by `check`
        else:
            self._raw.close()

    # ------------------------------------------------------------------ asyncio.Transport

    def pause_reading(self) -> None:
        self._pauses = True
        self._adjust_reading()

    def resume_reading(self) -> None:
        self._pauses = False
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        """Read unless there is a reason not to."""
        self._go_on_later()
        wanted = self._pauses or self._waits or bool(self._rest)
        if wanted is not self._paused and not self._raw.is_closing():
            self._paused = wanted
            if wanted:
                self._raw.pause_reading()
            else:
                self._raw.resume_reading()

    def write(self, data: bytes) -> None:
        if self._shut:
            return
        try:
            if len(data) <= _PIECE:
                self._raw.write(self._session.encrypt(data))
                return
            view = memoryview(data)
            for start in range(0, len(data), _PIECE):
                if self._raw.is_closing():
                    return
                self._raw.write(self._session.encrypt(view[start : start + _PIECE]))
        except TlsError as error:
            self._fail(error)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.write(piece)

    def close(self) -> None:
        if not self._shut:
            self._shut = True
            self._raw.write(self._session.close())
        self._raw.close()

    def abort(self) -> None:
        self._shut = True
        self._raw.abort()

    def can_write_eof(self) -> bool:
        return self._raw.can_write_eof()

    def write_eof(self) -> None:
        if not self._shut:
            self._shut = True
            self._raw.write(self._session.close())
        self._raw.write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol | None:
        return self._inner

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._session.ssl_object
        return self._raw.get_extra_info(name, default)

    # ------------------------------------------------------------------ until the handshake is over

    def check(self, now: float) -> None:
        """See `OpenConnection`."""
        if now >= self._deadline:
            self.abort()

    def fileno(self) -> int:
        """See `Connection.fileno`."""
        sock = self._raw.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def drain(self) -> None:
        """Do nothing: the handshake may still come to its end."""

    def wind_down(self, *, fresh: bool) -> None:
        """See `Connection.wind_down`."""
        if fresh:
            self.abort()

    def cut(self) -> None:
        """Break the connection off: the grace period is over."""
        self.abort()
