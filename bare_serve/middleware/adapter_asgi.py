"""Policies around an ASGI application, all of them in one layer.

What lives here: what a policy need not know: events and their order, WebSockets, the lifespan, the
extensions that send files, HEAD. What must not: any single policy.

Events are handed on as they come, none is held back. An application that fails before its answer
has begun gets the answer 500 here, so that it passes the policies; the exception then goes on to
the server, which reports it. ASGI 3 only; the server makes one of ASGI 2.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from time import perf_counter
from typing import Any

from bare_serve.middleware.asgi_files import (
    PATHSEND,
    ZEROCOPYSEND,
    opened,
    send_file,
    send_pieces,
)
from bare_serve.middleware.asgi_head import AsgiHead
from bare_serve.middleware.ends import tell, wanting_end
from bare_serve.middleware.files import ShorterFile
from bare_serve.middleware.headers import BytesHeaders, are_pairs, checked
from bare_serve.middleware.policy import Answer, Exchange, FileBody, Outcome, Policy
from bare_serve.middleware.ready import ReadyFields

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

FAILED = b"Internal Server Error\n"
_FAILED = Answer(500, (("content-type", "text/plain; charset=utf-8"),), FAILED)
# What is changed in the loop; to compress more would hold it for longer than a millisecond or two.
_LARGE = 1 << 17
_STARTS = {"websocket.accept": 101, "websocket.http.response.start": 0}
"""Other heads of answers, and their status if they have none."""
_LAST = {
    PATHSEND: "more_body",
    ZEROCOPYSEND: "more_body",
    "http.response.trailers": "more_trailers",
    "websocket.http.response.body": "more_body",
}
"""What ends an answer unless this key says that more comes."""
_DENIAL = "websocket.http.response"


class AsgiStack:
    """An ASGI application with policies around it."""

    def __init__(self, app: Callable[..., Awaitable[None]], policies: Iterable[Policy]) -> None:
        """Put policies around `app`, the first one outermost."""
        self.app = app
        self.policies = tuple(policies)
        self._begins = tuple(policy.begin for policy in self.policies)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        head = AsgiHead(scope)
        exchanges: list[Exchange] = []
        answer: Answer | None = None
        failure: Exception | None = None
        try:
            for begin in self._begins:
                found = begin(head)
                if found is None:
                    continue
                if isinstance(found, Answer):
                    answer = found
                    break
                exchanges.append(found)
        except Exception as error:
            if not exchanges:
                raise
            failure = error
        if not exchanges:
            if answer is None:
                await self.app(head.raw, receive, send)
                return
            fields, body = answer.headers, answer.body
            if type(fields) is ReadyFields and type(body) is bytes and head.kind == "http":
                # HOT PATH: small files; no policy is to be told of the answer.
                start = {"type": "http.response.start", "status": answer.status}
                await send({**start, "headers": [*fields.encoded]})
                body = b"" if head.method == "HEAD" else body
                await send({"type": "http.response.body", "body": body})
                return
        exchanges.reverse()
        call = _Call(head, send, exchanges, started)
        try:
            if failure is not None:
                raise failure
            if answer is not None:
                await call.answer(answer, receive)
            else:
                await self.app(head.raw, receive, call.send)
        except BaseException as error:
            await call.fail(error)
            raise
        finally:
            call.end()


class _Call:
    """One call of the application, and what it answers."""

    __slots__ = (
        "_bodies", "_enders", "_send", "_started", "_trailers", "complete", "error",
        "exchanges", "gone", "head", "sent", "status",
    )  # fmt: skip

    def __init__(
        self, head: AsgiHead, send: Send, exchanges: list[Exchange], started: float
    ) -> None:
        self._started = started
        self._send = send
        self._enders = wanting_end(exchanges)
        self._trailers = False
        self._bodies: list[Callable[[bytes, bool], bytes]] = []
        self.head = head
        self.exchanges = exchanges
        """The innermost first."""
        self.status = 0
        self.sent = 0
        self.complete = False
        self.gone = False
        """Whether the server has said that the client takes no more."""
        self.error: BaseException | None = None

    # ------------------------------------------------------------------ what the application calls

    def send(self, message: Message) -> Awaitable[None]:
        """Do as the server's `send`.

        A plain function: what it returns is awaited. Where no policy looks at bodies, and none
        wants to know the end, that is the server's own `send`.
        """
        try:
            kind = message["type"]
        except (TypeError, KeyError, IndexError):
            return self._send(message)  # the server refuses it, and says how
        if kind == "http.response.body" and not self._enders:
            return self._send_changed(message) if self._bodies else self._send(message)
        if kind == "http.response.start":
            status = message.get("status")
            if type(status) is not int:
                return self._send(message)
            if self._enders:
                return self._begin(message, status)
            edited = self._edited(message, status)
            self.status = status
            self._trailers = message.get("trailers", False)
            return self._send(edited)
        return self._watched(message)

    async def _begin(self, message: Message, status: int) -> None:
        try:
            await self._send(self._edited(message, status))
        except OSError:
            self.gone = True
            raise
        self.status = status
        self._trailers = message.get("trailers", False)

    async def _watched(self, message: Message) -> None:
        try:
            await self._take(message)
        except OSError as error:  # as of ASGI 2.4
            self.gone = not isinstance(error, ShorterFile)
            raise

    async def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            if self._bodies:
                await self._send_changed(message)
                return
            await self._send(message)
            self.sent += len(message.get("body", b""))
            if not message.get("more_body", False) and not self._trailers:
                self.complete = True
                self.end()
        elif kind in _STARTS:
            await self._begin(message, _STARTS[kind] or int(message.get("status") or 0))
        elif kind in (PATHSEND, ZEROCOPYSEND) and self._bodies:
            await send_pieces(self.send, *opened(message))
        else:
            await self._send(message)
            if kind == "websocket.close":
                self.status = self.status or 403
                self.complete = True
            elif kind in _LAST:
                self.complete = not message.get(_LAST[kind], False)

    def _edited(self, message: Message, status: int) -> Message:
        given = message.get("headers") or ()
        bodies = []
        try:
            headers = BytesHeaders(given)
            for exchange in self.exchanges:
                exchange.start(status, headers)
                body = exchange.body
                if body is not None:
                    bodies.append(body)
        except (TypeError, ValueError, AttributeError):
            if not are_pairs(given, bytes):
                return message  # the server refuses it, and says how
            raise
        if bodies and message["type"] == "http.response.start":
            if self.head.method != "HEAD" and status not in (204, 304):
                self._bodies = bodies
        return {**message, "headers": headers.pairs}

    # ------------------------------------------------------------------ the body

    def _changed(self, data: bytes, last: bool) -> bytes:
        for body in self._bodies:
            data = body(data, last)
        return data

    async def _send_changed(self, message: Message) -> None:
        more = message.get("more_body", False)
        data = message.get("body", b"")
        if type(data) is not bytes:
            await self._send(message)
            return
        if len(data) > _LARGE:
            loop = asyncio.get_running_loop()
            data = await loop.run_in_executor(None, self._changed, data, not more)
        else:
            data = self._changed(data, not more)
        if data or not more:
            self.sent += len(data)
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        if not more and not self._trailers:
            self.complete = True
            self.end()

    # ------------------------------------------------------------------ answers of our own

    async def answer(self, answer: Answer, receive: Receive) -> None:
        """Send a policy's answer."""
        body = answer.body
        try:
            if self.head.kind == "websocket":
                await self._refuse(answer, receive)
            else:
                await self._send_answer(answer)
        finally:
            if isinstance(body, FileBody):
                os.close(body.fd)

    async def _send_answer(self, answer: Answer) -> None:
        body = answer.body
        length = body.length if isinstance(body, FileBody) else len(body)
        await self.send(_start("http.response.start", answer, length))
        if self.head.method == "HEAD" or answer.status in (204, 304):
            body = b""
        if not isinstance(body, FileBody):
            await self.send({"type": "http.response.body", "body": body, "more_body": False})
            return
        offered = () if self._bodies else self.head.raw.get("extensions") or ()
        await send_file(self.send, body, offered)

    async def _refuse(self, answer: Answer, receive: Receive) -> None:
        """Refuse a WebSocket; what the client has sent first is its websocket.connect."""
        await receive()
        if _DENIAL not in (self.head.raw.get("extensions") or {}) or isinstance(
            answer.body, FileBody
        ):
            await self.send({"type": "websocket.close", "code": 1008})
            return
        await self.send(_start("websocket.http.response.start", answer, len(answer.body)))
        await self.send({"type": "websocket.http.response.body", "body": answer.body})

    async def fail(self, error: BaseException) -> None:
        """Answer 500 to a request whose answer has not begun."""
        self.error = error
        fails = isinstance(error, Exception) and not self.status
        if fails and self.exchanges and self.head.kind == "http":
            with suppress(Exception):  # the first failure is the one to be told
                await self._send_answer(_FAILED)

    # ------------------------------------------------------------------ the end

    def end(self) -> None:
        """Tell each policy how it ended, once; what one of them raises does not keep the others."""
        enders, self._enders = self._enders, []
        if not enders:
            return
        seconds = perf_counter() - self._started
        broken = not self.complete and self.error is None and self.head.kind == "http"
        tell(enders, Outcome(self.status, self.sent, seconds, self.error, self.gone or broken))


def _start(kind: str, answer: Answer, length: int) -> Message:
    pairs = [checked(name, value) for name, value in answer.headers]
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    if answer.status not in (204, 304) and all(name != b"content-length" for name, _ in fields):
        fields.append((b"content-length", b"%d" % length))
    return {"type": kind, "status": answer.status, "headers": fields}
