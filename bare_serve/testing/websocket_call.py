"""One WebSocket of an ASGI application, without frames (ASGI, "WebSocket").

What lives here: the handshake and its refusal, messages both ways, and their end. What must not:
the task and its end (asgi_task.py), frames and their rules (websocket/).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from bare_serve.asgi.states import no_message
from bare_serve.asgi.types import App, Message, Scope
from bare_serve.asgi.websocket import websocket_scope
from bare_serve.clauses import mistake
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.http import Field
from bare_serve.testing.asgi_task import GRACE, AsgiTask
from bare_serve.testing.deadlines import Deadlines
from bare_serve.testing.errors import (
    ClientTimeout,
    IncompleteAnswer,
    WebSocketClosed,
    WebSocketRefused,
)
from bare_serve.testing.headers import Headers
from bare_serve.testing.request import Request, with_fields
from bare_serve.websocket.frames import may_be_sent
from bare_serve.websocket.handshake import Handshake

CONNECTING, OPEN, REFUSING, CLOSED = range(4)

# What a client of WebSockets adds (RFC 6455, 4.1); the key only has to look like one.
_HANDSHAKE = (
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
)
_DENIAL = "websocket.http.response."


class WebSocketCall(AsgiTask):
    """Both sides of one WebSocket: what the test asks for, and the application's messages."""

    def __init__(
        self,
        request: Request,
        subprotocols: list[str],
        make_scope: Callable[[Request], Scope],
        timeout: float | None,
        deadlines: Deadlines,
        *,
        raises: bool,
    ) -> None:
        """Make the call, but do not begin with it.

        Args:
            request: the one that asks for a WebSocket.
            subprotocols: those that the test offers.
            make_scope: makes the scope of a request.
            timeout: seconds for the handshake, and for each message that names none.
            deadlines: those of the running loop.
            raises: what the application raises reaches the test.
        """
        super().__init__(f"WebSocket {request.head.target.decode()}", timeout, deadlines)
        head = request.head
        head.headers = [*head.headers, *_HANDSHAKE]
        if subprotocols:
            wanted = [("sec-websocket-protocol", ", ".join(subprotocols))]
            head.headers = with_fields(head.headers, wanted)
        self._handshake = Handshake(head.headers)
        self.scope = websocket_scope(make_scope(request), self._handshake)
        self.state = CONNECTING
        self.subprotocol: str | None = None
        self.fields: list[Field] = []
        self.close_code: int | None = None  # of the application's close
        self.close_reason = ""
        self._raises = raises
        self._connected = False  # websocket.connect was delivered
        self._arrived: deque[str | bytes] = deque()  # for the test
        self._sent: deque[Message] = deque()  # for the application
        self._last_sent = ""
        self._goodbye: Message | None = None  # what `receive` gives when there is nothing else
        self._status = 403
        self._body: list[bytes] = []
        self._refused = False

    # ------------------------------------------------------------------ for the test

    async def connect(self, app: App) -> None:
        """Call the application, and wait until it has accepted.

        Raises:
            WebSocketRefused: it has answered otherwise.
        """
        self.start(app, self.scope)
        try:
            await self.until(self._is_decided, self.timeout, self._missing_accept)
        except (ClientTimeout, asyncio.CancelledError):
            await self.end(0)
            raise
        if self._is_accepted():
            if self.state == CLOSED and self._raises and (error := self.outcome()) is not None:
                await self.leave(GRACE)
                raise error
            return
        if not self._refused:
            self._judge()
            self._status, self.fields, self._body = 500, [], [b"Internal Server Error\n"]
        await self.leave(GRACE)
        raise WebSocketRefused(self._status, Headers(self.fields), b"".join(self._body))

    async def send_message(self, data: str | bytes) -> None:
        """Hand the application a message, and let it have a turn.

        Raises:
            WebSocketClosed: the application has closed.
            TypeError: `data` is neither text nor bytes.
        """
        if not isinstance(data, (str, bytes)):
            raise TypeError(
                f"a message is str or bytes, not {type(data).__name__}: see send_json()"
            )
        if self.close_code is not None or self.left or self.ended:
            self._end_of_messages()
        key = "text" if isinstance(data, str) else "bytes"
        self._sent.append({"type": "websocket.receive", key: data})
        self._last_sent = f"{data[:80]!r}"
        self.wake_application()
        await self.give_turns()

    async def receive_message(self, timeout: float | None) -> str | bytes:
        """Return the application's next message.

        Raises:
            WebSocketClosed: the application has closed, and all messages were taken.
            ClientTimeout: there is none within `timeout` seconds.
        """
        if not self._arrived:
            await self.until(self._has_arrived, timeout, self._missing_message)
        if self._arrived:
            data = self._arrived.popleft()
            self.wake_application()
            return data
        return self._end_of_messages()

    async def close(self, code: int, reason: str) -> None:
        """Close from the test's side: the application receives websocket.disconnect."""
        if self._goodbye is None:
            self._goodbye = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self.left = True
            self.wake_application()
            await self.give_turns()

    async def leave(self, grace: float = GRACE) -> None:
        """Close if nobody has, and wait for the application to end; cancel it after `grace`."""
        if self.close_code is None:
            await self.close(1000, "")
        self.wake_application()
        await self.end(grace)
        if self._raises and not self._refused and (error := self.outcome()) is not None:
            raise error

    def _end_of_messages(self) -> str:
        """Raise why there are no more messages."""
        if self.close_code is None:
            if self.left:
                raise WebSocketClosed(1000, "closed by the test")
            self._judge(returned=True)
            failed = self.outcome() is not None
            self.close_code = 1011 if failed else 1000  # as the server closes in its place
        assert self.close_code is not None
        raise WebSocketClosed(self.close_code, self.close_reason)

    def _judge(self, *, returned: bool = False) -> None:
        """Raise what an application, which has ended, has done wrong."""
        error = self.outcome()
        if error is None and not returned:
            error = IncompleteAnswer(
                f"{self.name}: the application ended, but {self._missing_accept()}"
            )
        if error is not None and (self._raises or isinstance(error, ClientTimeout)):
            raise error

    def _is_decided(self) -> bool:
        return self._is_accepted() or self._refused

    def _is_accepted(self) -> bool:
        """Whether there was a WebSocket; the application may have closed it already."""
        return self.state == OPEN or (self.state == CLOSED and not self._refused)

    def _has_arrived(self) -> bool:
        return bool(self._arrived) or self.close_code is not None

    def _missing_accept(self) -> str:
        return "it sent neither websocket.accept nor websocket.close"

    def _missing_message(self) -> str:
        sent = f"the last one sent to it was {self._last_sent}" if self._last_sent else "none sent"
        return f"no message from the application ({sent})"

    # ------------------------------------------------------------------ for the application

    async def receive(self) -> Message:
        """Return the next message of the client; at the end websocket.disconnect, each time."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while True:
            if self.state == OPEN and self._sent:
                return self._sent.popleft()
            if self._goodbye is not None:
                return dict(self._goodbye)
            await self.listen()

    async def send(self, message: Message) -> None:
        """Take a message of the application.

        Raises:
            ResponseError: it is out of order or of the wrong type.
            ClientGone: an OSError; the test has closed the WebSocket.
        """
        try:
            kind = message["type"]
        except (TypeError, KeyError, IndexError):
            raise self.note(no_message(message)) from None
        if self.state == CONNECTING:
            self._decide(kind, message)
        elif self.state == REFUSING:
            self._refuse(kind, message)
        elif kind == "websocket.close" and (self.left or self.state == CLOSED):
            return  # once more it means nothing
        elif self.state == CLOSED:
            got = "the application has closed the WebSocket, and sends no more"
            raise self.note(mistake("asgi-websocket-after-close", got))
        elif kind == "websocket.close":
            self._close(message)
        elif kind != "websocket.send":
            wanted = "expected 'websocket.send' or 'websocket.close'"
            twice = kind == "websocket.accept"
            clause = "asgi-websocket-accept-twice" if twice else "asgi-message-unknown"
            raise self.note(mistake(clause, f"{wanted}, but the application sent {kind!r}"))
        elif self.left:
            raise ClientGone("the client has closed the WebSocket")
        else:
            self._take(message)
            while len(self._arrived) > _HELD and not self.left:
                await self.listen()

    def _decide(self, kind: Any, message: Message) -> None:
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._refused = True
            self.state = CLOSED
            self._disconnect(1006)
        elif kind == _DENIAL + "start":
            status = message.get("status")
            if not isinstance(status, int):
                got = f"'status' must be an int, not {status!r}"
                raise self.note(mistake("asgi-http-status", got))
            self._status = status
            self.fields = self._pairs(message)
            self.state = REFUSING
        else:
            wanted = f"expected 'websocket.accept', 'websocket.close' or '{_DENIAL}start'"
            got = f"{wanted}, but the application sent {kind!r}"
            raise self.note(mistake("asgi-websocket-accept-first", got))
        self.wake()

    def _accept(self, message: Message) -> None:
        fields = self._pairs(message)
        subprotocol = message.get("subprotocol")
        try:
            self._handshake.answer(subprotocol, b"", fields)
        except (ResponseError, TypeError, ValueError) as error:
            raise self.note(error) from None
        self.subprotocol = subprotocol
        self.fields = fields
        self.state = OPEN

    def _refuse(self, kind: Any, message: Message) -> None:
        """Take the body of a denial (extension "websocket.http.response")."""
        if kind != _DENIAL + "body":
            got = f"expected '{_DENIAL}body', but the application sent {kind!r}"
            raise self.note(mistake("asgi-http-start-twice", got))
        self._body.append(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            self._refused = True
            self.state = CLOSED
            self._disconnect(1006)
            self.wake()

    def _take(self, message: Message) -> None:
        data = message.get("bytes")
        if data is None:
            data = message.get("text")
        if data is None:
            got = "'websocket.send' has neither 'bytes' nor 'text'"
            raise self.note(mistake("asgi-websocket-data", got))
        if not isinstance(data, (str, bytes)):
            got = f"'bytes' must be bytes and 'text' str, not {type(data).__name__}"
            raise self.note(mistake("asgi-websocket-data-type", got))
        self._arrived.append(data)
        self.wake()

    def _close(self, message: Message) -> None:
        code, reason = message.get("code"), message.get("reason")
        code = 1000 if code is None else code
        if not isinstance(code, int) or not may_be_sent(code):
            got = f"{code!r} is no code that a WebSocket may be closed with"
            raise self.note(mistake("asgi-websocket-code", got))
        self.close_code = code
        self.close_reason = reason or ""
        self.state = CLOSED
        self._disconnect(self.close_code)
        self.wake()

    def _disconnect(self, code: int) -> None:
        """Have `receive` tell of the end, which is the application's own."""
        if self._goodbye is None:
            reason = self.close_reason
            self._goodbye = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self.wake_application()

    def _pairs(self, message: Message) -> list[Field]:
        headers = message.get("headers") or ()
        try:
            return [(bytes(name), bytes(value)) for name, value in headers]
        except (TypeError, ValueError):
            got = f"'headers' must be (name, value) pairs of bytes, not {headers!r}"
            raise self.note(mistake("asgi-headers-pairs", got)) from None


_HELD = 1024
"""Messages that a test has not taken, above which `send` waits, as for a slow client."""
