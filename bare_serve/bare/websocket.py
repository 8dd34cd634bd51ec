"""A WebSocket as a handler has it: messages in and out, and one end.

What lives here: the order of what a handler may do, what becomes of one that returns or raises, and
which pages may connect. What must not: frames and pings, which are the server's; rooms (rooms.py).

After the client has left nothing is sent, and closing means nothing. Each way to find out ends in
one exception, `WebSocketClosed`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from bare_serve.bare.errors import BadRequest, Fields, HTTPError, phrase
from bare_serve.bare.incoming import Incoming
from bare_serve.bare.request import decode_json
from bare_serve.bare.response import Response, dump_json
from bare_serve.middleware.origins import is_same

logger = logging.getLogger("bare_serve.bare")
Data = str | bytes


class CloseWebSocket(Exception):
    """Raised by a handler to close its WebSocket: `raise CloseWebSocket(4001, "Who are you?")`.

    Before `accept` it is a refusal: 403, with the reason as its text. Nothing is logged.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        """Choose the end.

        Args:
            code: 1000 to 1014 as RFC 6455 (7.4.1) says, or 3000 to 4999 of your own.
            reason: what the client is told, cut to 123 bytes.

        Raises:
            ValueError: a WebSocket may not be closed with this code.
        """
        if not 3000 <= code <= 4999 and code not in {*range(1000, 1015)} - {1004, 1005, 1006}:
            raise ValueError(f"a WebSocket closes with 1000 to 1014 or 3000 to 4999, not {code!r}")
        super().__init__(f"{code} {reason}".strip())
        self.code, self.reason = code, reason


class WebSocketClosed(ConnectionError):
    """The WebSocket is closed: by the client, by the server, or by the application itself.

    Raised by `receive` at the end, and by `send` after it. A handler need not catch it.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        """Keep the code (1006 where there was no close frame) and the reason."""
        super().__init__(f"the WebSocket is closed: {code} {reason}".strip())
        self.code, self.reason = code, reason


class WebSocket(Incoming):
    """One WebSocket of an ASGI server: `WebSocket(scope, receive, send)` wraps any.

    Attributes:
        accepted: whether the handshake is over, and the WebSocket open or closed.
        close_code: of the close, by either side; None while the WebSocket is open.
        close_reason: what was said with it.
    """

    accepted = False
    close_code: int | None = None
    close_reason = ""

    def __init__(
        self, scope: Any, receive: Any, send: Any, app: Any = None, path_params: Any = None
    ) -> None:
        """Take what an ASGI server calls an application with; nothing is received or sent."""
        super().__init__(scope, app, path_params or {})
        self._receive, self._send = receive, send

    @property
    def subprotocols(self) -> list[str]:
        """Those that the client offers, the one it likes best first."""
        return list(self.raw.get("subprotocols", ()))

    async def accept(self, subprotocol: str | None = None, headers: Fields = None) -> None:
        """Open the WebSocket.

        Args:
            subprotocol: one of `subprotocols`.
            headers: fields of the answer, such as Set-Cookie.

        Raises:
            WebSocketClosed: the client has left meanwhile.
            RuntimeError: it was accepted, or closed, before.
            ValueError: the client does not offer `subprotocol`, or a field may not be sent.
        """
        if subprotocol is not None and subprotocol not in self.subprotocols:
            offered = ", ".join(self.subprotocols) or "none"
            raise ValueError(f"the client does not offer {subprotocol!r}; it offers {offered}")
        fields = Response(None, 204, headers).start()["headers"]  # which has no fields of its own
        await self._connect()
        await self._emit({"type": "accept", "subprotocol": subprotocol, "headers": fields})

    async def refuse(self, status: int = 403, detail: str = "", headers: Fields = None) -> None:
        """Answer the handshake with an error, before `accept`.

        A server without the extension "websocket.http.response" answers 403 in any case.

        Raises:
            RuntimeError: the WebSocket was accepted or closed before.
            ValueError: a field may not be sent.
        """
        text = f"{detail or phrase(status)}\n".encode("utf-8", "replace")
        response = Response(text, status, headers)
        await self._connect()
        self._closed(1006)
        if "websocket.http.response" in (self.raw.get("extensions") or ()):
            await response.asgi({"method": "GET"}, None, self._emit)
        else:
            await self._emit({"type": "close", "code": 1008})

    async def receive(self) -> Data:
        """Return the client's next message, text or bytes.

        Raises:
            WebSocketClosed: there are no more.
            RuntimeError: the WebSocket was not accepted.
        """
        self._check_open()
        message = await self._next("websocket.receive")
        data: Data | None = message.get("bytes")
        return message.get("text", "") if data is None else data

    async def receive_text(self) -> str:
        """Return the next message; one of bytes closes with 1003."""
        data = await self.receive()
        if isinstance(data, bytes):
            raise CloseWebSocket(1003, "This WebSocket takes text.")
        return data

    async def receive_bytes(self) -> bytes:
        """Return the next message; one of text closes with 1003."""
        data = await self.receive()
        if isinstance(data, str):
            raise CloseWebSocket(1003, "This WebSocket takes bytes.")
        return data

    async def receive_json(self) -> Any:
        """Return the JSON of the next message, any value; what is no JSON closes with 1007."""
        data = await self.receive()
        try:
            return decode_json(data.encode() if isinstance(data, str) else data)
        except (BadRequest, UnicodeEncodeError):
            raise CloseWebSocket(1007, "The message is not JSON.") from None

    async def send(self, data: Any) -> None:
        """Send a message, str or bytes; wait while the client takes too little.

        Raises:
            WebSocketClosed: it is closed, by whomever.
            RuntimeError: it was not accepted.
            TypeError: neither text nor bytes.
        """
        if not isinstance(data, (str, bytes)):
            raise TypeError(f"a message is str or bytes, not {data!r:.40}: see send_json()")
        self._check_open()
        key = "text" if isinstance(data, str) else "bytes"
        await self._emit({"type": "send", key: data})

    send_text = send_bytes = send

    async def send_json(self, value: Any) -> None:
        """Send `value` as JSON in a text message; see `send`."""
        await self.send(dump_json(value).decode())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; before `accept` that is a refusal (403). After the end it means nothing.

        Raises:
            ValueError: a WebSocket may not be closed with this code.
        """
        CloseWebSocket(code, reason)  # refuses the code
        if not self.accepted:
            await self.refuse(403, reason)
        elif self.close_code is None:
            self._closed(code, reason)
            # A control frame has 125 bytes, two of them for the code (RFC 6455, 5.5).
            cut = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
            with suppress(WebSocketClosed):  # the client was faster
                await self._emit({"type": "close", "code": code, "reason": cut})

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Give the client's messages until the WebSocket is closed."""
        with suppress(WebSocketClosed):
            while True:
                yield await self.receive()

    async def __aenter__(self) -> WebSocket:
        await self.accept()
        return self

    async def __aexit__(self, *error: object) -> None:
        if error[0] is None:
            await self.close()  # `serve_websocket` closes after an error, with its code

    async def _connect(self) -> None:
        """Take the server's first message, which says that the client asks for a WebSocket."""
        if self.accepted:
            raise RuntimeError("the WebSocket was accepted or closed before; close() closes it")
        self.accepted = True
        await self._next("websocket.connect")

    def _check_open(self) -> None:
        if not self.accepted:
            raise RuntimeError("`await ws.accept()` comes before the first message")
        if self.close_code is not None:
            raise self._closed(self.close_code)

    async def _next(self, kind: str) -> dict[str, Any]:
        message: dict[str, Any] = await self._receive()
        if message["type"] != kind:
            raise self._closed(message.get("code", 1005), message.get("reason") or "")
        return message

    async def _emit(self, message: dict[str, Any]) -> None:
        message["type"] = "websocket." + message["type"]
        try:
            await self._send(message)
        except OSError as error:
            raise self._closed(1006) from error

    def _closed(self, code: int, reason: str = "") -> WebSocketClosed:
        """Close, unless that was before; return what is raised from now on."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
        return WebSocketClosed(self.close_code, self.close_reason)


async def serve_websocket(ws: WebSocket, origins: tuple[str, ...], call: Any) -> None:
    """Call a handler for one WebSocket, and end the WebSocket as the handler ends.

    A handler that returns closes with 1000, or refuses with 403 if it has not accepted. One that
    raises closes with 1011, or refuses with 500; `CloseWebSocket` and `HTTPError` say otherwise.

    Browsers let each page open a WebSocket to each server and send the cookies along, so without
    `origins` any page could act for its visitor. A request without an Origin is no browser's.

    Args:
        ws: which nobody has answered yet.
        origins: who may connect: "same" for pages of the host that is asked, "*" for all, which is
            safe only where no cookie says who somebody is, "null", or origins in lower case.
        call: the handler, with its arguments.

    Raises:
        Exception: what the handler has raised, so that the server logs it, and middleware and tests
            see it.
    """
    origin = ws.header("origin").lower()
    same = "same" in origins and is_same(origin, ws.header("host"), ws.scheme)
    with suppress(WebSocketClosed):
        if origin and not same and not {"*", origin} & {*origins}:
            logger.info("WebSocket %s: refused the origin %r", ws.path, origin)
            await ws.refuse(403, "Pages of this origin may not open this WebSocket.")
            return
        end: Exception = CloseWebSocket()
        try:
            await call(ws)
        except Exception as error:  # noqa: BLE001 - each one ends the WebSocket
            end = error
        if isinstance(end, CloseWebSocket):
            await ws.close(end.code, end.reason)
        elif not isinstance(end, WebSocketClosed):
            http = end if isinstance(end, HTTPError) else HTTPError(500)
            if not ws.accepted:
                await ws.refuse(http.status, http.detail, http.headers)
            await ws.close(1008 if http.status < 500 else 1011, http.detail)
            if http is not end:
                raise end
