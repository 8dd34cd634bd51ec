"""The lint of ASGI: a WebSocket, from connect to close.

What lives here: the order and the shape of `websocket.*` messages. What must not: an answer over
HTTP that refuses one, which is checked as any answer is (lint_http.py).
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.types import Message, Receive, Scope, Send
from bare_serve.http.fields import check_field
from bare_serve.testing.lint_call import Call
from bare_serve.testing.lint_http import HttpCall
from bare_serve.testing.lint_scope import pairs
from bare_serve.testing.verdicts import Advise, SpecError
from bare_serve.websocket.frames import may_be_sent

_ANSWER = "websocket.http.response"
_HANDSHAKE = b"sec-websocket-"

# Nothing sent yet; accepted; closed or refused by the application; refusing by an answer.
_CONNECTING, _OPEN, _CLOSED, _ANSWERING = range(4)


class WebSocketCall(Call):
    """One WebSocket."""

    __slots__ = ("_answer", "_connected", "_state")

    def __init__(self, scope: Scope, receive: Receive, send: Send, advise: Advise) -> None:
        super().__init__(scope, receive, send, advise)
        self._state = _CONNECTING
        self._connected = False
        self._answer = HttpCall(scope, receive, send, advise)

    def take_event(self, event: Message, kind: str) -> None:
        """See `Call`: connect, then messages once it is accepted, then only disconnects."""
        if kind == "websocket.disconnect":
            self.left = True
            return
        wanted = "websocket.receive" if self._connected else "websocket.connect"
        if self.left or kind != wanted or (self._connected and self._state == _CONNECTING):
            when = "after the disconnect" if self.left else "out of order"
            raise SpecError("asgi-event-order", f"receive gave {kind!r} {when}")
        self._connected = True

    def check(self, message: Message, kind: Any) -> Message:
        """See `Call`. What is sent after a disconnect goes nowhere, and is not looked at."""
        state = self._state
        if type(kind) is not str or not kind.startswith("websocket."):
            got = f"the application sent {kind!r} to a WebSocket"
            raise SpecError("asgi-message-unknown", got)
        if self.left:
            return message
        if state == _OPEN:
            return self._check_open(message, kind)
        if kind.startswith(f"{_ANSWER}.") and state != _CLOSED:
            return self._refuse(message, kind)
        if state != _CONNECTING:
            if kind != "websocket.close":  # once more, it means nothing
                got = f"the WebSocket was closed, but the application sent {kind!r}"
                raise SpecError("asgi-websocket-after-close", got)
            return message
        if kind == "websocket.accept":
            return self._accept(message)
        if kind != "websocket.close":
            known = kind == "websocket.send"
            clause = "asgi-websocket-accept-first" if known else "asgi-message-unknown"
            raise SpecError(clause, f"the application sent {kind!r} before 'websocket.accept'")
        _check_close(message)
        self._state = _CLOSED
        return message

    def _check_open(self, message: Message, kind: str) -> Message:
        if kind == "websocket.send":
            _check_data(message)
        elif kind == "websocket.close":
            _check_close(message)
            self._state = _CLOSED
        elif kind == "websocket.accept":
            raise SpecError("asgi-websocket-accept-twice", "the WebSocket was accepted before")
        else:
            got = f"the application sent {kind!r} after 'websocket.accept'"
            raise SpecError("asgi-message-unknown", got)
        return message

    def _accept(self, message: Message) -> Message:
        chosen = message.get("subprotocol")
        offered = list(self.scope.get("subprotocols") or ())
        if chosen is not None and chosen not in offered:
            got = f"'subprotocol' is {chosen!r}; offered: {', '.join(offered) or 'none'}"
            raise SpecError("asgi-websocket-subprotocol", got)
        found = pairs(message.get("headers") or ())
        for name, value in found:
            check_field(name, value)
            if name.lower().startswith(_HANDSHAKE):
                got = f"the header {name!r} is the handshake's"
                raise SpecError("asgi-websocket-handshake-header", got)
        self._state = _OPEN
        return {**message, "headers": found} if found else message

    def _refuse(self, message: Message, kind: str) -> Message:
        if _ANSWER not in (self.scope.get("extensions") or {}):
            got = f"{_ANSWER!r} is not in scope['extensions']"
            raise SpecError("asgi-extension-offered", got)
        inner = kind.removeprefix("websocket.")
        checked = self._answer.check({**message, "type": inner}, inner)
        self._state = _ANSWERING
        return {**checked, "type": kind}

    def returned(self) -> None:
        """See `Call`. A WebSocket that is open is closed by the server."""
        if self.left:
            return
        if self._state == _CONNECTING:
            got = "the application returned without accepting or refusing the WebSocket"
            raise SpecError("asgi-websocket-undecided", got)
        if self._state == _ANSWERING:
            self._answer.returned()


def _check_data(message: Message) -> None:
    data, text = message.get("bytes"), message.get("text")
    if data is None and text is None:
        got = "'websocket.send' has neither 'bytes' nor 'text'"
        raise SpecError("asgi-websocket-data", got)
    if data is not None and text is not None:
        raise SpecError("asgi-websocket-data-both", "'websocket.send' has 'bytes' and 'text'")
    if data is not None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            got = f"'bytes' must be bytes, not {type(data).__name__}"
            raise SpecError("asgi-websocket-data-type", got)
    elif not isinstance(text, str):
        got = f"'text' must be str, not {type(text).__name__}"
        raise SpecError("asgi-websocket-data-type", got)
    elif not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            got = f"'text' cannot be encoded: {error}"
            raise SpecError("asgi-websocket-text", got) from None


def _check_close(message: Message) -> None:
    code, reason = message.get("code"), message.get("reason")
    if code is not None and not (isinstance(code, int) and may_be_sent(code)):
        got = f"{code!r} is no code that a WebSocket may be closed with"
        raise SpecError("asgi-websocket-code", got)
    if reason is not None and not isinstance(reason, str):
        got = f"'reason' must be str, not {type(reason).__name__}"
        raise SpecError("asgi-websocket-reason", got)
