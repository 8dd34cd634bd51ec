"""One client connection: an asyncio protocol around the sans-IO http1 core.

What lives here: bytes from the transport to the core, its events to the exchange, files to the
socket, and when reading pauses. What must not: framing rules (http1), the application's messages
(exchange.py), how a connection ends (closing.py), counting over connections (service.py).

One exchange at a time is `current`; answers leave in the order of requests because the core
yields no further head until the answer is complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from bare_serve.asgi.closing import ClosableConnection
from bare_serve.asgi.exchange import Exchange
from bare_serve.asgi.proxied import Headers, apply_forwarded, apply_proxy_header, trust_of
from bare_serve.asgi.scope import (
    connection_scope,
    head_scope,
    host_and_port,
    own_address,
    retarget,
)
from bare_serve.asgi.sendfile import send_file
from bare_serve.asgi.service import Service
from bare_serve.asgi.states import LEFT
from bare_serve.asgi.types import Address
from bare_serve.asgi.upgrade import asks_for_websocket, prepare_websockets
from bare_serve.asgi.wakeup import Wakeup
from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import Deadlines, Output, RequestHead
from bare_serve.http1 import END_OF_BODY, MUST_CLOSE, ServerConnection
from bare_serve.net.forwarded import changed_client
from bare_serve.net.proxy_protocol import ProxyHeader
from bare_serve.system import forks

logger = logging.getLogger("bare_serve.http")

# Reading pauses above this many bytes that nobody has taken: body or pipelined requests.
HIGH_WATER = 1 << 16

# What a connection may take of a turn of the loop, in seconds, before it waits behind those that
# are ready: one request, or as many as fit. The first is not measured, since mostly it is the only
# one. What applications do after they have waited for something is theirs.
TURN_SECONDS = 0.001


class Connection(ClosableConnection):
    """The protocol of one accepted socket."""

    __slots__ = (
        "_last_headers",
        "_last_scope",
        "_proxy",
        "_pumping",
        "_server",
        "drained",
        "write_paused",
    )  # fmt: skip

    exchange: Callable[..., Exchange] = Exchange
    """What a request is made of; under the x-ray another class (traced.py)."""
    websocket = staticmethod(prepare_websockets)
    """What gives the class of a WebSocket."""
    transport: asyncio.Transport
    _last_headers: Headers

    def __init__(
        self,
        service: Service,
        server: Address | None,
        peer: Any,
        proxy: ProxyHeader | None = None,
        new_exchange: Callable[[], ServerConnection] | None = None,
    ) -> None:
        """`server`: our end, if it is the same for all; `peer`: the other, as accept names it;
        `proxy`: what a proxy has said of both before; `new_exchange`: what makes its HTTP, if that
        is not the one of the options."""
        options = service.options
        self.service = service
        self.core: ServerConnection = (new_exchange or options.new_exchange)()
        self.current: Exchange | None = None
        self.write_paused = False
        self.drained = Wakeup(service.loop)
        server, peer = apply_proxy_header(server, peer, proxy)
        self._server = server
        self._peer = host_and_port(peer)
        self._proxy = proxy
        self._trust = None
        self.client = "" if self._peer is None else self._peer[0]
        self.tls: dict[str, Any] | None = None  # the facts, if the transport speaks TLS
        self.file_left = 0  # bytes of a file that the client has not taken
        self._began = service.loop.time()
        self._deadlines: Deadlines | None = None  # made at the first look: most never see one
        self._last_head = None
        self._last_scope: dict[str, Any] | None = None
        self._pumping = False
        self._waiting = False  # for its turn to begin a request, or to go on with a body
        self._reading_paused = False
        self._eof = False
        self._idle_at = -1  # draining: how many requests it had when it was idle last
        self._ending = False  # no further request is wanted, or none will come
        self.lost = False  # closed, or about to be: nothing is read or written any more
        self._discard = 0  # lingering: bytes that may still be read
        self._close_by = 0.0  # closing: when patience ends
        self._unsent = 0  # closing: what the client had not taken at the last look

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type
        service = self.service
        if self._server is None:
            self._server = own_address(transport)
        if (trust := service.options.trust) is not None:
            self._trust = trust_of(self._server, self._peer, trust, self._proxy)
        service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.lost:
            self._discard_data(len(data))
            return
        self.core.receive_data(data)
        current = self.current
        if current is None:
            service = self.service
            if self._waiting:
                self.adjust_reading()
            elif service.requests < service.batch_ends:
                self._pump()
            else:
                self._waiting = True
                service.wait(self)
        elif current.reading and not self._waiting:
            self._pump()
        else:
            # A body nobody has asked for stays in the core, so that an application that answers
            # without it is not preempted by what is wrong with it.
            self.adjust_reading()

    def eof_received(self) -> bool:
        """Keep the transport open if an answer is still owed: the client may only have
        closed its sending side."""
        self._eof = self._ending = True
        if self.lost:
            return False
        self.core.receive_eof()
        self._pump()
        if self.current is not None:
            self.current.tell_disconnect()
        return not self.lost

    def connection_lost(self, exc: Exception | None) -> None:
        if forks.happened:
            forks.hang_up(self.transport)
        self.lost = True
        self.write_paused = False
        self.drained.wake()  # who sends goes on before who listens is told: see exchange.py
        self._lose_current()
        self.service.gone(self)

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self.drained.wake()
        if self.current is None:
            self._pump()

    def go_on(self) -> None:
        """Begin a request, or go on with the body of one: the connection's turn has come."""
        self._waiting = False
        current = self.current
        if current is None or current.reading:  # it may have begun it meanwhile
            self._pump(perf_counter() + TURN_SECONDS)

    def _let_others(self) -> None:
        """Go on with the bytes that have come after the connections that are ready."""
        if not self._waiting:
            self._waiting = True
            self.service.loop.call_soon(self.go_on)

    # ------------------------------------------------------------------ for the exchange

    def write(self, output: Output) -> None:
        """Hand bytes to the transport."""
        if isinstance(output, bytes):
            self.transport.write(output)
        elif self.service.gathers:
            self.transport.writelines(output)
        else:
            for piece in output:
                self.transport.write(piece)

    async def send_file(self, file: int, start: int, count: int, *, last: bool) -> None:
        """See `Client`. By the kernel where it can: no byte of the file is seen by HTTP."""
        core = self.core
        after = b""
        if last and not core.response_started:
            before, count = core.send_external(count)  # the whole body: its length is known
        else:
            before, count, after = core.external_piece(count)
        core.count_external(count)
        self.file_left = count
        try:
            if before:
                self.write(before)
            await send_file(self, self.service.loop, file, start)
        except BaseException:
            core.count_external(-self.file_left)
            raise
        if after:
            self.write(after)

    def pull(self) -> None:
        """Feed to the application, which asks for the body, what of it has arrived."""
        if not self._waiting:
            self._pump()

    def answered(self) -> None:
        """Go on with what the client has sent since: the current answer is complete."""
        core = self.core
        self.current = None
        if self._pumping:
            return  # an eager task, called from _pump, which goes on by itself
        if core.at_rest and not self._ending:
            if self._reading_paused:
                self.adjust_reading()
        elif core.buffered:
            # Not from here: this is the finished application's stack.
            self._let_others()
        else:
            self._pump()

    def adjust_reading(self) -> None:
        """Pause or resume reading, by what has been read and not been taken."""
        current = self.current
        busy = current is not None or self.write_paused or self._waiting
        unread = current.unread if current is not None else 0
        wanted = busy and (unread > HIGH_WATER or self.core.buffered > HIGH_WATER)
        if wanted is not self._reading_paused and not self.lost:
            if self.transport.is_closing():
                return  # it has failed, which connection_lost is about to say
            self._reading_paused = wanted
            if wanted:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def leave(self) -> asyncio.Transport:
        """Hand the transport, and all that comes, to another protocol."""
        self.service.connections.discard(self)
        self.current = None
        if self._reading_paused:
            self.transport.resume_reading()
        self.lost = True
        return self.transport

    # ------------------------------------------------------------------ events

    def _pump(self, until: float = 0.0) -> None:
        """Do what the core says until it needs data, or an answer, or a reader.

        `until`: when its turn is over; 0.0 if that is still to be found out.
        """
        core = self.core
        outer = self._pumping
        self._pumping = True
        try:
            # No further request begins while the client does not take the answers it has.
            while not self.lost and (self.current is not None or not self.write_paused):
                event = core.next_event()
                if type(event) is RequestHead:
                    self._begin(event)
                    current = self.current
                    if current is not None:
                        if not current.reading:
                            break
                    elif core.buffered:  # answered already, and there are more
                        now = perf_counter()
                        if now > (until := until or now + TURN_SECONDS):
                            self._let_others()
                            break
                elif type(event) is bytes:
                    if self.current is not None:
                        self.current.feed(event)
                    if core.goes_on:  # many small chunks: first others have their turn
                        self._let_others()
                        break
                elif event is END_OF_BODY:
                    if self.current is not None:
                        self.current.feed_end()
                else:
                    if event is MUST_CLOSE:
                        self._close(linger=core.linger)
                    break
        except RequestError as error:
            self._refuse(error)
        except ClientGone:
            self.break_off()
        finally:
            self._pumping = outer  # an eager application may pull from within _begin
        current = self.current
        if core.buffered or self._reading_paused or (current is not None and current.unread):
            self.adjust_reading()

    def _begin(self, head: RequestHead) -> None:
        """Start the application for a request."""
        service = self.service
        service.requests += 1
        last = self._last_head
        if last is not None and (head.headers is last.headers or self._differs_little(head, last)):
            kept = self._last_scope
            if kept is None:  # only now it pays to keep one
                kept = self._last_scope = self._scope_of(head)
            elif head is not last:
                retarget(kept, head)
            self._last_head = head
            scope = kept.copy()
        else:
            scope = self._scope_of(head)
            self._last_head, self._last_scope = head, None
        scope["headers"] = self._last_headers.copy()
        scope["extensions"] = scope["extensions"].copy()
        scope["state"] = service.state.copy()
        exchange: Exchange
        if head.upgrade is None:
            exchange = self.exchange(self, head, scope)
        else:
            websocket = service.options.websocket
            if websocket is None or not asks_for_websocket(head):
                exchange = self.exchange(self, head, scope)
            else:
                exchange = self.websocket()(self, head, scope, websocket)
        self.current = exchange
        if self._eof:
            exchange.left = LEFT
        if service.admission is None:
            exchange.start()
        else:
            service.admission.enter(exchange)

    def _differs_little(self, head: RequestHead, last: RequestHead) -> bool:
        """Return whether headers, client and the keys of the request line are all that differs."""
        changes = head.changes
        if changes is None or changes[0] is not last.headers:
            return False
        if self._trust is not None:
            told = changed_client(changes[2], changes[0], self._trust)
            if told is None or self._last_headers is not last.headers:
                return False
            if told and self._last_scope is not None:
                client = self._last_scope["client"] = told[0]
                self.client = client[0] if client else ""
        self._last_headers = head.headers
        return True

    def _scope_of(self, head: RequestHead) -> dict[str, Any]:
        """Return the keys that do not change while a client repeats its head.

        Of those, method and target are all that changes while it repeats the fields.
        """
        scope = connection_scope(self.service.options.root_path, self._server, self._peer, self.tls)
        self._last_headers = head.headers
        if self._proxy is not None and self._proxy.secure:
            scope["scheme"] = "https"
        if self._trust is not None:
            scope, self._last_headers = apply_forwarded(scope, head, self._trust)
            self.client = scope["client"][0] if scope["client"] else ""
        return head_scope(scope, head)
