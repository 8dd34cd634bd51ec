"""A WebSocket as the application sees it: `receive`, `send`, and their end.

What lives here: the order and the types of `websocket.*` messages, before and after the handshake,
and what becomes of an application that raises, leaves or never accepts. What must not: frames
(websocket/), the socket (websocket_protocol.py).

Until the application accepts, this is an HTTP exchange like any other: a refusal is an answer, and
an application that fails is answered with 500. After it, the link has the connection, and what
belonged to HTTP is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from bare_serve.asgi.exchange import Exchange
from bare_serve.asgi.states import DONE, LEFT, START, STOPPING, no_message
from bare_serve.asgi.streaming import ServedClient
from bare_serve.asgi.types import Message, Scope
from bare_serve.asgi.wakeup import Listening
from bare_serve.asgi.websocket_protocol import RESTARTING, Opening, WebSocketProtocol
from bare_serve.clauses import mistake
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.http import RequestHead
from bare_serve.http1 import ServerConnection
from bare_serve.logs.request_ids import kept
from bare_serve.websocket import WebSocketOptions
from bare_serve.websocket.frames import may_be_sent
from bare_serve.websocket.handshake import Handshake
from bare_serve.websocket.session import OPEN, Session

_RESPONSE = "websocket.http.response."
# No framework listens less because of it, and `reason` in a disconnect is of this version.
_SPEC_VERSION = "2.5"


class Leavable(ServedClient, Protocol):
    """An HTTP/1.1 connection that another protocol may take over."""

    @property
    def core(self) -> ServerConnection: ...

    def leave(self) -> asyncio.Transport: ...


def websocket_scope(scope: Scope, handshake: Handshake) -> Scope:
    """Make the scope of a WebSocket from the scope that the request has as HTTP."""
    scope["type"] = "websocket"
    scope["asgi"] = {**scope["asgi"], "spec_version": _SPEC_VERSION}
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = handshake.subprotocols
    extensions = scope.get("extensions", {}).items()
    scope["extensions"] = {name: value for name, value in extensions if name[:5] != "http."}
    scope["extensions"]["websocket.http.response"] = {}
    del scope["method"]
    return scope


class WebSocket(Exchange):
    """The `receive` and `send` of one WebSocket."""

    __slots__ = ("_closed", "_connected", "_deflate", "_handshake", "_leave", "_link", "_options")

    core: ServerConnection
    timed = False

    def __init__(
        self, connection: Leavable, head: RequestHead, scope: Scope, options: WebSocketOptions
    ) -> None:
        """Read the handshake.

        Raises:
            RequestError: 400 or 426, this is no way to ask for a WebSocket.
        """
        handshake = Handshake(head.headers)
        super().__init__(connection, head, websocket_scope(scope, handshake))
        self._options = options
        self._deflate = handshake.deflate() if options.compression else None
        self._handshake: Handshake | None = handshake
        self._leave: Callable[[], asyncio.Transport] = connection.leave
        self._link: WebSocketProtocol | None = None
        self._connected = False  # websocket.connect was delivered
        self._closed = False  # by the application

    def tell_disconnect(self, *, gone: bool = False) -> None:
        """Before the handshake. A client that will send nothing more cannot speak WebSocket."""
        super().tell_disconnect(gone=gone)
        if not gone and self.state == START:
            self.connection.break_off()

    def client_left(self) -> None:
        """Take the connection's end after the handshake. Work behind our close is still work."""
        if not self._closed and not self.service.draining:
            super().tell_disconnect(gone=True)

    # ------------------------------------------------------------------ while the server stops

    @property
    def unheard(self) -> bool:
        """See `RunningCall`. Messages that came before the client left are still delivered."""
        link = self._link
        return self.gone > 0 and (link is None or not (link.queue or link.session.held))

    @property
    def undone(self) -> str:
        """See `EndedCall`; a refusal by an answer of its own is like any answer."""
        return "asgi-websocket-undecided" if self.state == START else super().undone

    @property
    def sent(self) -> int:
        """See `RunningCall`: here a call that is not heard has no client to send to."""
        return 0

    @property
    def may_be_unheard(self) -> bool:
        """See `RunningCall`: before the handshake, the end of its side is taken for leaving."""
        return False

    @property
    def only_listens_since(self) -> float | None:
        """See `RunningCall`: it is futile before."""
        return None

    @property
    def may_be_endless(self) -> bool:
        """See `RunningCall`."""
        return False

    @property
    def is_futile(self) -> bool:
        """See `RunningCall`."""
        wakeup = self._wakeup
        return self.state == START and not self.left and wakeup is not None and wakeup.is_awaited

    # ------------------------------------------------------------------ to the application

    async def receive(self) -> Message:
        """Return the next message of the client; at the end websocket.disconnect, each time."""
        link = self._link
        if link is None:
            return await self._receive_early()
        queue = link.queue
        while not queue:
            session = link.session
            if session.held and not link.goes_on:
                await asyncio.sleep(0)  # many messages were taken: others have their turn
                if not queue:
                    link.more()
            elif session.state != OPEN:
                return _disconnect(session.close_code, session.close_reason)
            else:
                await link.arrived.wait()
        data = queue.pop()
        if not queue:
            link.taken()
        if type(data) is str:
            return {"type": "websocket.receive", "text": data}
        if type(data) is bytes:
            return {"type": "websocket.receive", "bytes": data}
        self._connected = True
        return {"type": "websocket.connect"}

    async def _receive_early(self) -> Message:
        """Before the application has accepted."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while self._link is None:
            if self.left == STOPPING:
                return _disconnect(RESTARTING, "The server is stopping.")
            if self.left or self.state == DONE:
                return _disconnect(1006, "")
            if self._wakeup is None:
                self._wakeup = Listening(self.service.loop)
            await self._wakeup.wait()
        return await self.receive()

    async def send(self, message: Message) -> None:
        """Take a message of the application.

        Raises:
            ResponseError: it is out of order, of the wrong type, or must not be sent.
            ClientGone: an OSError; the WebSocket is closed, and not by the application.
        """
        try:
            kind = message["type"]
        except (TypeError, KeyError, IndexError):
            raise no_message(message) from None
        link = self._link
        if link is None:
            await self._send_early(kind, message)
        elif kind == "websocket.send":
            data = message.get("bytes")
            if data is None:
                data = message.get("text")
            if type(data) is not str and type(data) is not bytes:
                data = _as_data(data)
            session = link.session
            while link.write_paused and session.state == OPEN:
                await link.drained.wait()
            # Messages that came before the client left may still be held: the session is open then.
            if session.state != OPEN or link.lost:
                raise self._too_late()
            try:
                link.write(data)
            except UnicodeEncodeError as error:
                raise mistake("asgi-websocket-text", f"'text' cannot be encoded: {error}") from None
        elif kind == "websocket.close":
            self._close(link, message)
        else:
            raise mistake(
                _twice_or_unknown(kind),
                "expected 'websocket.send' or 'websocket.close', "
                f"but the application sent {kind!r}",
            )

    def _too_late(self) -> Exception:
        if self._closed:
            return mistake(
                "asgi-websocket-after-close",
                "the application has closed the WebSocket, and sends no more",
            )
        self.left = LEFT  # what the application does about it is no failure
        return ClientGone("the client has closed the WebSocket")

    def _close(self, link: WebSocketProtocol, message: Message) -> None:
        """After a disconnect, or once more, it means nothing; so the code is not looked at."""
        if link.session.state == OPEN and not link.lost:
            code, reason = _code_and_reason(message)
            self._closed = True
            link.close(code, reason)

    # ------------------------------------------------------------------ the handshake

    async def _send_early(self, kind: Any, message: Message) -> None:
        """Before the application has accepted: it may refuse, with an answer of its own."""
        if type(kind) is str and kind.startswith(_RESPONSE):
            await super().send({**message, "type": kind.removeprefix("websocket.")})
        elif kind == "websocket.close" and (self.left == LEFT or self.state == DONE):
            pass
        elif self.left == LEFT:
            raise self._too_late()
        elif self.state != START:
            raise mistake(
                "asgi-websocket-after-close",
                f"the WebSocket was refused, but the application sent {kind!r}",
            )
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close" and self.left == STOPPING:
            self.fail(503, b"The server is stopping.\n")
        elif kind == "websocket.close":
            self.fail(403, b"The WebSocket was refused.\n")
        else:
            raise mistake(
                "asgi-websocket-accept-first" if _is_ours(kind) else "asgi-message-unknown",
                "expected 'websocket.accept', 'websocket.close' or "
                f"'{_RESPONSE}start', but the application sent {kind!r}",
            )

    def _accept(self, message: Message) -> None:
        """Answer 101; from here on the link has the socket."""
        handshake = self._handshake
        assert handshake is not None
        deflate, extensions = self._deflate or (None, b"")
        try:
            headers = [(name, value) for name, value in message.get("headers") or ()]
            fields = handshake.answer(message.get("subprotocol"), extensions, headers)
            answer, rest = self.core.upgrade(b"websocket", fields)
        except ResponseError:
            raise
        except (TypeError, ValueError) as error:
            raise mistake(
                "asgi-headers-pairs",
                f"'headers' must be (name, value) pairs of bytes, not {message['headers']!r}",
            ) from error
        told = kept(headers, self.head.headers)
        opening = Opening(self.connection.client, self.head.target, self.started_at, told)
        paused = self.connection.write_paused
        transport = self._leave()
        link = WebSocketProtocol(self.service, Session(self._options, deflate), transport, opening)
        link.call = self
        link.write_paused = paused
        transport.set_protocol(link)
        self.state = DONE
        self._link = link
        self._deflate = self._handshake = None
        del self.connection, self.core, self._leave
        if not self._connected:  # it accepted unasked, and may ask yet
            link.queue.append(None)
        link.start(answer, rest)
        if self._wakeup is not None:
            self._wakeup.wake()

    # ------------------------------------------------------------------ the end

    async def run(self) -> None:
        """Call the application; a WebSocket that it leaves open is closed."""
        await super().run()
        if self._link is not None:
            self._link.close(1000)

    def fail(self, status: int, text: bytes) -> None:
        """Answer over HTTP before the handshake; else close with 1011 (RFC 6455, 7.4.1)."""
        if self._link is not None:
            self._link.close(1011, "The application failed.")
        else:
            super().fail(status, text)


def _disconnect(code: int, reason: str) -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def _is_ours(kind: Any) -> bool:
    return type(kind) is str and kind.startswith("websocket.")


def _twice_or_unknown(kind: Any) -> str:
    is_accept = kind == "websocket.accept"
    return "asgi-websocket-accept-twice" if is_accept else "asgi-message-unknown"


def _as_data(data: Any) -> str | bytes:
    if isinstance(data, str):
        return str(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if data is None:
        raise mistake("asgi-websocket-data", "'websocket.send' has neither 'bytes' nor 'text'")
    raise mistake(
        "asgi-websocket-data-type",
        f"'bytes' must be bytes and 'text' str, not {type(data).__name__}",
    )


def _code_and_reason(message: Message) -> tuple[int, str]:
    code, reason = message.get("code"), message.get("reason")
    code = 1000 if code is None else code
    reason = "" if reason is None else reason
    if not isinstance(code, int) or not may_be_sent(code):
        raise mistake(
            "asgi-websocket-code", f"{code!r} is no code that a WebSocket may be closed with"
        )
    if not isinstance(reason, str):
        raise mistake("asgi-websocket-reason", f"'reason' must be str, not {type(reason).__name__}")
    return int(code), reason
