"""A WebSocket as a handler has it: messages in and out, and one end.

What lives here: the order of what a handler may do, and what becomes of one that returns or raises.
What must not: frames and pings, which are the server's; who may connect (origins.py); rooms
(rooms.py).

After the client has left nothing is sent, and closing means nothing. Each way to find out ends in
one exception, `WebSocketClosed`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from bare_serve.bare.closing import CloseWebSocket, WebSocketClosed, check_code, cut
from bare_serve.bare.errors import BadRequest, HTTPError, phrase
from bare_serve.bare.fields import checked
from bare_serve.bare.incoming import Incoming as AsgiFacts
from bare_serve.bare.jsons import dump_json
from bare_serve.bare.origins import is_allowed
from bare_serve.bare.request import decode_json, decode_text

logger = logging.getLogger("bare_serve.bare")

Data = str | bytes
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CONNECTING, OPEN, CLOSED = range(3)
_DENIAL = "websocket.http.response"
_UNSUPPORTED, _INVALID, _POLICY, _INTERNAL_ERROR = 1003, 1007, 1008, 1011  # RFC 6455, 7.4.1


class WebSocket(AsgiFacts):
    """One WebSocket of an ASGI server: `WebSocket(scope, receive, send)` wraps any.

    Attributes:
        close_code: of the close, by either side; None while the WebSocket is open.
        close_reason: what was said with it.
    """

    def __init__(
        self,
        scope: Any,
        receive: Receive,
        send: Send,
        app: Any | None = None,
        path_params: dict[str, Any] | None = None,
    ) -> None:
        """Take what an ASGI server calls an application with; nothing is received or sent."""
        super().__init__(scope, app, path_params or {})
        self.close_code: int | None = None
        self.close_reason = ""
        self._receive = receive
        self._send = send
        self._state = CONNECTING

    @property
    def accepted(self) -> bool:
        """Whether the handshake is over, and the WebSocket open or closed."""
        return self._state != CONNECTING

    @property
    def subprotocols(self) -> list[str]:
        """Those that the client offers, the one it likes best first."""
        return list(self.raw.get("subprotocols", ()))

    async def accept(
        self, subprotocol: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Open the WebSocket.

        Args:
            subprotocol: one of `subprotocols`.
            headers: fields of the answer, such as Set-Cookie.

        Raises:
            WebSocketClosed: the client has left meanwhile.
            RuntimeError: it was accepted, or closed, before.
            ValueError: the client does not offer `subprotocol`, or a field may not be sent.
        """
        if self._state != CONNECTING:
            raise RuntimeError("the WebSocket was accepted or closed before")
        if subprotocol is not None and subprotocol not in self.subprotocols:
            offered = ", ".join(self.subprotocols) or "none"
            raise ValueError(f"the client does not offer {subprotocol!r}; it offers {offered}")
        fields = _pairs(headers)
        await self._connect()
        await self._emit(
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": fields}
        )
        self._state = OPEN

    async def refuse(
        self, status: int = 403, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer the handshake with an error, before `accept`.

        A server without the extension "websocket.http.response" answers 403 in any case.

        Raises:
            RuntimeError: the WebSocket was accepted or closed before.
            ValueError: a field may not be sent.
        """
        if self._state != CONNECTING:
            raise RuntimeError("the WebSocket was accepted or closed before; close() closes it")
        fields = _pairs(headers)
        body = f"{phrase(status) if detail is None else detail}\n".encode("utf-8", "replace")
        await self._connect()
        self._end(1006, "")
        if _DENIAL not in (self.raw.get("extensions") or ()):
            await self._emit({"type": "websocket.close", "code": _POLICY})
            return
        fields += [(b"content-type", b"text/plain; charset=utf-8")]
        fields += [(b"content-length", str(len(body)).encode())]
        await self._emit({"type": f"{_DENIAL}.start", "status": status, "headers": fields})
        await self._emit({"type": f"{_DENIAL}.body", "body": body})

    async def receive(self) -> Data:
        """Return the client's next message, text or bytes.

        Raises:
            WebSocketClosed: there are no more.
            RuntimeError: the WebSocket was not accepted.
        """
        if self._state == CONNECTING:
            raise RuntimeError("`await ws.accept()` comes before the first message")
        if self._state == CLOSED:
            raise self._closed()
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._end(message.get("code", 1005), message.get("reason") or "")
            raise self._closed()
        data: Data | None = message.get("bytes")
        return message.get("text", "") if data is None else data

    async def receive_text(self) -> str:
        """Return the next message; one of bytes closes with 1003."""
        data = await self.receive()
        if isinstance(data, bytes):
            raise CloseWebSocket(_UNSUPPORTED, "This WebSocket takes text.")
        return data

    async def receive_bytes(self) -> bytes:
        """Return the next message; one of text closes with 1003."""
        data = await self.receive()
        if isinstance(data, str):
            raise CloseWebSocket(_UNSUPPORTED, "This WebSocket takes bytes.")
        return data

    async def receive_json(self) -> Any:
        """Return the JSON of the next message, any value; what is no JSON closes with 1007."""
        data = await self.receive()
        try:
            return decode_json(data.encode("utf-8") if isinstance(data, str) else data)
        except (BadRequest, UnicodeEncodeError):
            raise CloseWebSocket(_INVALID, "The message is not JSON.") from None

    async def send(self, data: Any) -> None:
        """Send a message, str or bytes; wait while the client takes too little.

        Raises:
            WebSocketClosed: it is closed, by whomever.
            RuntimeError: it was not accepted.
            TypeError: neither text nor bytes.
        """
        if not isinstance(data, (str, bytes)):
            kind = type(data).__name__
            raise TypeError(f"a message is str or bytes, not {kind}: see send_json()")
        if self._state == CONNECTING:
            raise RuntimeError("`await ws.accept()` comes before the first message")
        if self._state == CLOSED:
            raise self._closed()
        key = "text" if isinstance(data, str) else "bytes"
        await self._emit({"type": "websocket.send", key: data})

    async def send_text(self, text: str) -> None:
        """See `send`."""
        await self.send(text)

    async def send_bytes(self, data: bytes) -> None:
        """See `send`."""
        await self.send(data)

    async def send_json(self, value: Any) -> None:
        """Send `value` as JSON in a text message; see `send`."""
        await self.send(decode_text(dump_json(value)))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; before `accept` that is a refusal (403). After the end it means nothing.

        Raises:
            ValueError: a WebSocket may not be closed with this code.
        """
        check_code(code)
        if self._state == CLOSED:
            return
        if self._state == CONNECTING:
            await self.refuse(403, reason or None)
            return
        self._end(code, reason)
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": cut(reason)})
        except OSError:
            pass  # the client was faster

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Give the client's messages until the WebSocket is closed."""
        try:
            while True:
                yield await self.receive()
        except WebSocketClosed:
            return

    async def __aenter__(self) -> WebSocket:
        await self.accept()
        return self

    async def __aexit__(self, *error: object) -> None:
        if error[0] is None:
            await self.close()  # `serve_websocket` closes after an error, with its code

    async def _connect(self) -> None:
        """Take the server's first message, which says that the client asks for a WebSocket."""
        message = await self._receive()
        if message["type"] != "websocket.connect":
            self._end(message.get("code", 1006), "")
            raise self._closed()

    async def _emit(self, message: dict[str, Any]) -> None:
        try:
            await self._send(message)
        except OSError as error:
            self._end(1006, "")
            raise self._closed() from error

    def _end(self, code: int, reason: str) -> None:
        if self._state != CLOSED:
            self._state = CLOSED
            self.close_code, self.close_reason = code, reason

    def _closed(self) -> WebSocketClosed:
        return WebSocketClosed(self.close_code or 1006, self.close_reason)


async def serve_websocket(
    scope: Any,
    receive: Receive,
    send: Send,
    app: Any | None,
    path_params: dict[str, Any],
    origins: tuple[str, ...],
    call: Callable[[WebSocket], Awaitable[None]],
) -> None:
    """Call a handler for one WebSocket, and end the WebSocket as the handler ends.

    A handler that returns closes with 1000, or refuses with 403 if it has not accepted. One that
    raises closes with 1011, or refuses with 500; `CloseWebSocket` and `HTTPError` say otherwise.

    Args:
        scope, receive, send: of the ASGI server.
        app, path_params: see `WebSocket`.
        origins: who may connect, see `check_origins`.
        call: the handler, with its arguments.

    Raises:
        Exception: what the handler has raised, so that the server logs it, and middleware and tests
            see it.
    """
    ws = WebSocket(scope, receive, send, app, path_params)
    try:
        if not is_allowed(ws.header("origin"), origins, ws.header("host"), ws.scheme):
            logger.info("WebSocket %s: refused the origin %r", ws.path, ws.header("origin"))
            await ws.refuse(403, "Pages of this origin may not open this WebSocket.")
            return
        try:
            await call(ws)
        except CloseWebSocket as error:
            await ws.close(error.code, error.reason)
        except HTTPError as error:
            if not ws.accepted:
                await ws.refuse(error.status, error.detail, error.headers)
            await ws.close(_POLICY if error.status < 500 else _INTERNAL_ERROR, error.detail)
        except WebSocketClosed:
            pass
        except Exception:
            if not ws.accepted:
                await ws.refuse(500)
            await ws.close(_INTERNAL_ERROR)
            raise
        else:
            await ws.close()
    except WebSocketClosed:
        pass  # while it was refused


def _pairs(headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    found = []
    for name, value in (headers or {}).items():
        found.append((checked(name, value).encode(), value.encode("latin-1")))
    return found
