"""A WebSocket under the x-ray: its handshake, and each message of either side.

What lives here: `WebSocket` again, telling of messages. What must not: requests (traced.py);
frames, of which a message may have several.
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.traced import TracedExchange
from bare_serve.asgi.types import Message
from bare_serve.asgi.websocket import WebSocket
from bare_serve.asgi.websocket_protocol import WebSocketProtocol
from bare_serve.websocket.session import CLOSED
from bare_serve.xray import show
from bare_serve.xray.trace import Trace


class TracedWebSocket(TracedExchange, WebSocket):
    """One WebSocket, message by message."""

    _link: WebSocketProtocol | None

    def told(self, message: Message) -> str:
        """See `TracedExchange.told`."""
        kind = str(message["type"])
        if kind == "websocket.receive":
            data = message.get("text")
            return f"{kind}   {self._content(message['bytes'] if data is None else data)}"
        if kind == "websocket.disconnect":
            reason = show.message(str(message.get("reason") or ""), 80, wanted=self._bodies)
            return f"{kind}   code {message.get('code')}   reason {reason}"
        return kind

    def described(self, message: Any) -> str:
        """See `TracedExchange.described`."""
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "websocket.send":
            data = message.get("bytes")
            data = message.get("text") if data is None else data
            if isinstance(data, (bytearray, memoryview)):
                data = bytes(data)
            if isinstance(data, (str, bytes)):
                return f"{kind}   {self._content(data)}"
            return f"{kind}   of type {type(data).__name__}"
        if kind == "websocket.accept":
            chosen = message.get("subprotocol")
            shown = None if chosen is None else show.word(str(chosen))[:32]
            return f"{kind}   subprotocol {shown}"
        if kind == "websocket.close":
            code = message.get("code", 1000)
            return f"{kind}   code {show.words(repr(code))}" + (
                "" if self._link else "   before it is accepted"
            )
        if isinstance(kind, str) and kind.startswith("websocket.http.response."):
            inner = {**message, "type": kind.removeprefix("websocket.")}
            return f"websocket.{super().described(inner)}"
        return super().described(message)

    def _content(self, data: str | bytes) -> str:
        trace = self.trace
        limit = show.SHOWN_IN_FULL if trace is not None and trace.options.full else show.SHOWN
        return show.message(data, limit, wanted=self._bodies)

    @property
    def _bodies(self) -> bool:
        return self.trace is not None and self.trace.options.bodies

    def _judge_message(self, trace: Trace, message: Message) -> None:
        kind = str(message["type"])
        if kind == "websocket.accept":
            chosen, offered = message.get("subprotocol"), self.scope.get("subprotocols") or ()
            if chosen is not None and chosen not in offered:
                got = f"'subprotocol' is {chosen!r}; offered: {', '.join(offered) or 'none'}"
                trace.breach("asgi-websocket-subprotocol", got)
        elif kind == "websocket.send":
            if message.get("bytes") is not None and message.get("text") is not None:
                trace.breach("asgi-websocket-data-both", "'websocket.send' has 'bytes' and 'text'")
        elif kind.startswith("websocket.http.response."):
            super()._judge_message(trace, {**message, "type": kind.removeprefix("websocket.")})

    def conclude(self, trace: Trace) -> None:
        """See `TracedExchange.conclude`."""
        link = self._link
        if link is None:
            super().conclude(trace)
            return
        session = link.session
        state = "closed" if session.state == CLOSED else "closing"
        trace.status = f"101, {state} {session.close_code}"
        counts = f"in {session.messages_in} messages {session.bytes_in} B"
        sent = f"out {session.messages_out} messages {session.bytes_out} B"
        trace.where = f"{counts}, {sent}   {trace.where}"
