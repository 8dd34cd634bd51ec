"""Policies around an ASGI application, all of them in one layer.

What lives here: events and their order, and the answer to a failure. What must not: any single
policy, what is the same for WSGI (call.py), answers of policies and files (asgi_answers.py).

Events are handed on as they come, none is held back. An application that fails before its answer
has begun gets the answer 500 here, so that it passes the policies; the exception then goes on to
the server, which reports it. ASGI 3 only; the server makes one of ASGI 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from time import perf_counter
from typing import Any

from bare_serve.middleware.asgi_answers import send_answer
from bare_serve.middleware.asgi_files import PATHSEND, ZEROCOPYSEND, opened, send_pieces
from bare_serve.middleware.asgi_head import AsgiHead
from bare_serve.middleware.call import FAILED, Call, Stack
from bare_serve.middleware.files import ShorterFile
from bare_serve.middleware.headers import BytesHeaders

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What is changed in the loop; to compress more would hold it for longer than a millisecond or two.
_LARGE = 1 << 17
_BYTES = (bytes, bytearray, memoryview)
START, BODY = "http.response.start", "http.response.body"
_STARTS = {START: 0, "websocket.accept": 101, "websocket.http.response.start": 0}
"""Heads of answers, and their status if they have none."""
_MORE = {
    **dict.fromkeys((BODY, PATHSEND, ZEROCOPYSEND, "websocket.http.response.body"), "more_body"),
    "http.response.trailers": "more_trailers",
    "websocket.close": "",  # nothing comes
}
"""What ends an answer unless this key says that more comes."""


class AsgiStack(Stack):
    """An ASGI application with policies around it."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        head = AsgiHead(scope)
        exchanges, parts, answer, failure = self.begun(head)
        if answer is None and not exchanges:
            await self.app(head.raw, receive, send)
            return
        call = AsgiCall(head, exchanges, parts, send, started)
        try:
            if failure is not None:
                raise failure
            if answer is None:
                await self.app(head.raw, receive, call.send)
            else:
                await send_answer(call, answer, receive)
        except BaseException as error:
            await call.fail(error, receive)
            raise
        finally:
            if call.wants_end:
                call.end()


class AsgiCall(Call):
    """One call of an ASGI application."""

    _server: Send
    kind = bytes
    headers = BytesHeaders
    _trailers = False

    def send(self, message: Message) -> Awaitable[None]:
        """Do as the server's `send`.

        A plain function: what it returns is awaited. Where no policy wants to know the end, that is
        what the server's own `send` returns.
        """
        changed: Message | None = message
        try:
            kind = message["type"]
            begins = kind in _STARTS
        except (TypeError, KeyError, IndexError):
            return self._server(message)  # the server refuses it, and says how
        if begins:
            changed = self._begin(message, kind)
        elif self.bodies is not None:
            if kind == BODY:
                data = message.get("body", b"")
                if isinstance(data, _BYTES):  # else the server refuses it
                    if len(data) > _LARGE:
                        return self._send_large(message, data)
                    changed = self._changed(message, data)
            elif kind in (PATHSEND, ZEROCOPYSEND):
                return send_pieces(self.send, *opened(message))
        if self.wants_end or changed is None:
            return self._watched(changed, message, kind)
        return self._server(changed)

    def _begin(self, message: Message, kind: str) -> Message:
        """Return the head of an answer as the policies make it."""
        status: Any = _STARTS[kind] or message.get("status")
        fields = self.edited(status, message.get("headers") or ()) if type(status) is int else None
        if fields is None:
            return message  # the server refuses it, and says how
        self.status = status
        if message.get("trailers"):
            self._trailers = True
        return {**message, "headers": fields}

    def _changed(self, message: Message, data: bytes | bytearray | memoryview) -> Message | None:
        """Return a piece of body as the policies make it; None if nothing is to be sent yet."""
        more = message.get("more_body", False)
        data = bytes(data)
        for body in self.bodies or ():  # HOT PATH: as `changed`, without the call
            data = body(data, not more)
        return {"type": BODY, "body": data, "more_body": more} if data or not more else None

    async def _send_large(self, message: Message, data: bytes | bytearray | memoryview) -> None:
        loop = asyncio.get_running_loop()
        changed = await loop.run_in_executor(None, self._changed, message, data)
        await self._watched(changed, message, BODY)

    async def _watched(self, changed: Message | None, message: Message, kind: str) -> None:
        """Send, and note what comes of it."""
        if changed is not None:
            try:
                await self._server(changed)
            except OSError as error:  # as of ASGI 2.4
                self.gone = not isinstance(error, ShorterFile)
                raise
            if kind == BODY:
                self.sent += len(changed.get("body", b""))
        if kind in _MORE and not message.get(_MORE[kind], False):
            self._ended(kind)

    def _ended(self, kind: str) -> None:
        """Note that a message was the last one of its kind."""
        if kind == BODY and self._trailers:
            return
        self.complete = True
        if kind == "websocket.close":
            self.status = self.status or 403
        elif kind == BODY:  # work behind the answer is none of it
            self.end()

    async def fail(self, error: BaseException, receive: Receive) -> None:
        """Answer 500 to a request whose answer has not begun."""
        self.failed(error)
        fails = isinstance(error, Exception) and not self.status
        if fails and self.exchanges and self.head.kind == "http":
            with suppress(Exception):  # the first failure is the one to be told
                await send_answer(self, FAILED, receive)
