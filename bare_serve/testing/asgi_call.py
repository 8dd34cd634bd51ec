"""One HTTP request that an ASGI application answers (ASGI, "HTTP & WebSocket").

What lives here: `receive` and `send`, and what the test is given of them: the whole answer, or its
pieces as they are sent. What must not: the task and its end (asgi_task.py).

`http.disconnect` comes when the answer is complete or the test has left, and not before: an
application that listens for it is not told of what has not happened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from bare_serve.asgi import offers
from bare_serve.asgi.scope import connection_scope, head_scope
from bare_serve.asgi.states import DONE, HELD, START, STREAM, TRAILERS, no_message, out_of_order
from bare_serve.asgi.types import App, Message, Scope
from bare_serve.clauses import mistake, reference
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.http import Field
from bare_serve.testing.asgi_task import GRACE, AsgiTask
from bare_serve.testing.deadlines import Deadlines
from bare_serve.testing.errors import ClientTimeout, IncompleteAnswer
from bare_serve.testing.headers import Headers
from bare_serve.testing.request import Body, Defaults, Request
from bare_serve.testing.wsgi_call import FAILED, MOST_BYTES, PLAIN, too_long

# A stream waits for the test above so many bytes, as a server waits for its client.
_HIGH_WATER = 1 << 16
# An application that sends without a pause lets the event loop go on after so many messages.
_TURN = 64
_BLOCK = 1 << 16
_NO_BODY = frozenset((204, 304))


def http_scope(base: dict[str, Any], request: Request, state: dict[str, Any]) -> Scope:
    """Return the scope that the server would make.

    Args:
        base: see `base_scope`.
        request: the request.
        state: the application's own; copied.
    """
    head = request.head
    scope = head_scope(base.copy(), head)
    scope["headers"] = head.headers.copy()
    scope["extensions"] = scope["extensions"].copy()
    scope["state"] = state.copy()
    return scope


def base_scope(request: Request, defaults: Defaults) -> dict[str, Any]:
    """Return what the scopes of all requests for a host have in common."""
    scope = connection_scope(defaults.root_path, request.server, defaults.client)
    scope["scheme"] = request.scheme
    return scope


class AsgiCall(AsgiTask):
    """One request and its answer."""

    def __init__(
        self,
        request: Request,
        timeout: float | None,
        deadlines: Deadlines,
        *,
        raises: bool,
        streams: bool,
    ) -> None:
        """Make the call, but do not begin with it.

        Args:
            request: the request.
            timeout: seconds until the answer is complete, or between two pieces of a stream.
            deadlines: those of the running loop.
            raises: what the application raises reaches the test, else it is answered with 500.
            streams: the test takes piece by piece.
        """
        super().__init__(request, timeout, deadlines)
        self.status = 0
        self.reason = ""
        self.fields: list[Field] = []
        self.trailers: list[Field] = []
        self.early_hints: list[Headers] = []
        self._request = request
        self._raises = raises
        self._streams = streams
        self._state = START
        self._body: Body | Iterator[bytes] | AsyncIterator[bytes] | None = request.body
        self._announced = False  # trailers
        self._pieces: list[bytes] = []
        self._bytes = 0  # in pieces
        self._messages = 0
        self._receives = False  # it listens for the end
        self._told = self._was_told = False  # it listened when the test left
        self._only_head = request.method == "HEAD"

    # ------------------------------------------------------------------ for the test

    async def fetch(self, app: App, scope: Scope) -> bytes:
        """Call the application and return the whole content of its answer."""
        await self.run_inline(app, scope, self._missing)
        self._judge()
        return b"".join(self._pieces)

    async def open(self, app: App, scope: Scope) -> None:
        """Call the application; return when it has said status and headers."""
        self.start(app, scope)
        try:
            await self.until(self._has_head, self.timeout, self._missing)
        except (ClientTimeout, asyncio.CancelledError):
            await self.end(0)
            raise
        if self._state == START:
            self._judge()

    async def piece(self) -> bytes | None:
        """Return the next piece of the content, None at the end."""
        if not self._pieces and not self._is_complete():
            await self.until(self._has_piece, self.timeout, self._missing)
        if self._pieces:
            piece = self._pieces.pop(0)
            self._bytes -= len(piece)
            self.wake_application()
            return piece
        if not self._is_complete():
            self._judge()
        return None

    async def leave(self, grace: float = GRACE) -> None:
        """Take no more: `receive` gives http.disconnect, `send` raises.

        What works on behind a complete answer has the time of a request.
        """
        if self._state != DONE:
            self.left = True
            self._told = self._was_told = self._receives
            self.wake_application()
        elif not self.ended:
            await self.until(self._has_ended, self.timeout, self._missing)
        await self.end(grace)
        if self._raises and (error := self.outcome()) is not None:
            raise error

    def _judge(self) -> None:
        """Raise what the application, which has ended, has done wrong."""
        error = self.outcome()
        complete = self._is_complete()
        if error is None and complete:
            return
        if error is None or isinstance(error, ClientTimeout):
            clause = "asgi-http-no-answer" if self._state == START else "asgi-http-unfinished"
            error = error or IncompleteAnswer(
                f"{self.name}: the application ended, but {self._missing()}\n{reference(clause)}"
            )
        if self._raises or isinstance(error, ClientTimeout):
            raise error
        if self._state not in (START, HELD) and not complete:
            raise IncompleteAnswer(
                f"{self.name}: the application failed during its answer"
            ) from error
        if not complete:  # a server answers in its place
            self.status, self.fields, self._pieces = 500, [PLAIN], [FAILED]
            self._state = DONE

    def _missing(self) -> str:
        """Return what the application has not done yet, as a clause."""
        if self._state == START:
            return "it did not send http.response.start"
        if self._state in (HELD, STREAM):
            return "it did not send an http.response.body without more_body"
        if self._state == TRAILERS:
            return "it did not send the http.response.trailers that it had announced"
        return "it did not return, although its answer is complete"

    def _has_ended(self) -> bool:
        return self.ended

    def _is_complete(self) -> bool:
        return self._state == DONE

    def _has_head(self) -> bool:
        return self._state != START

    def _has_piece(self) -> bool:
        return bool(self._pieces) or self._state == DONE

    # ------------------------------------------------------------------ for the application

    async def receive(self) -> Message:
        """Return the next message of the client."""
        while True:
            if self._state == DONE or self.left:
                return {"type": "http.disconnect"}
            body = self._body
            if body is not None:
                return await self._take_body(body)
            self._receives = True
            try:
                await self.listen()
            finally:
                self._receives = False

    async def _take_body(self, body: Any) -> Message:
        if type(body) is bytes:
            self._body = None
            return {"type": "http.request", "body": body, "more_body": False}
        if isinstance(body, AsyncIterable):
            self._body = pieces = aiter(body)
            piece = await anext(pieces, None)
        else:
            assert isinstance(body, Iterable)
            self._body = given = iter(body)
            piece = next(given, None)
        if piece is None:
            self._body = None
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(self, message: Message) -> None:
        """Take a message of the answer.

        Raises:
            ResponseError: it is out of order or of the wrong type.
            ClientGone: an OSError; the test has left the stream.
        """
        if self.left and self._state != DONE:
            await self._send_to_nobody()
            return
        try:
            kind = message["type"]
        except (TypeError, KeyError, IndexError):
            raise self.note(no_message(message)) from None
        state = self._state
        if kind == "http.response.body" and state in (HELD, STREAM):
            body = message.get("body", b"")
            if not isinstance(body, (bytes, bytearray, memoryview)):
                got = f"'body' must be bytes, not {type(body).__name__}"
                raise self.note(mistake("asgi-http-body", got))
            await self._take_piece(bytes(body), bool(message.get("more_body", False)))
        elif kind == "http.response.start" and state == START:
            self._start(message)
        else:
            await self._take_extension(kind, message)

    async def _send_to_nobody(self) -> None:
        """Raise, as the server does; but drop the first message of who listens for the end.

        It is told so by `receive`, and ends its own `send` in an order of its own: a cancellation
        then meets the generator that makes the answer, whose `finally` runs at once.
        """
        if self._told:
            self._told = False
            return
        if self._was_told:
            await asyncio.sleep(GRACE)
        raise ClientGone("the client has left")

    def _start(self, message: Message) -> None:
        status, headers = message.get("status"), message.get("headers", ())
        if not isinstance(status, int):
            got = f"'status' must be an int, not {status!r}"
            raise self.note(mistake("asgi-http-status", got))
        try:
            self.fields = [(bytes(name), bytes(value)) for name, value in headers]
        except (TypeError, ValueError):
            got = f"'headers' must be (name, value) pairs of bytes, not {headers!r}"
            raise self.note(mistake("asgi-headers-pairs", got)) from None
        self.status = int(status)
        self._announced = bool(message.get("trailers", False))
        self._only_head = self._only_head or status in _NO_BODY
        self._state = HELD
        if self._streams:
            self.wake()

    async def _take_piece(self, body: bytes, more: bool) -> None:
        if body and not self._only_head:
            self._pieces.append(body)
            self._bytes += len(body)
        if more:
            self._state = STREAM
            if self._streams:
                self.wake()
                while self._bytes > _HIGH_WATER and not self.left:
                    await self.listen()
                if self.left:
                    await self._send_to_nobody()
            elif self._bytes > MOST_BYTES:
                raise self._too_long()
            self._messages += 1
            if self._messages % _TURN == 0:
                await asyncio.sleep(0)
        elif self._announced:
            self._state = TRAILERS
        else:
            self._complete()

    def _too_long(self) -> Exception:
        self.error = error = too_long(self._request)
        return error

    def _complete(self) -> None:
        self._state = DONE
        self.wake_application()
        if self._streams:
            self.wake()

    async def _take_extension(self, kind: Any, message: Message) -> None:
        state = self._state
        try:
            if kind == offers.EARLY_HINT and state in (START, HELD):
                links = [(b"link", bytes(link)) for link in message.get("links", ())]
                self.early_hints.append(Headers(links))
            elif kind == offers.TRAILERS and state == TRAILERS:
                self.trailers += [(bytes(n), bytes(v)) for n, v in message.get("headers", ())]
                if not message.get("more_trailers", False):
                    self._complete()
            elif kind == offers.PATHSEND and state == HELD:
                with open(message["path"], "rb") as file:
                    await self._take_file(file.fileno(), 0, None, more=False)
            elif kind == offers.ZEROCOPYSEND and state in (HELD, STREAM):
                await self._take_open_file(message)
            elif kind == offers.DEBUG and state == START:
                pass
            else:
                raise self.note(out_of_order(state, kind))
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            if isinstance(error, (ResponseError, ClientGone)):
                raise
            got = f"{kind!r} cannot be carried out: {error!r}"
            raise self.note(ResponseError(got, "asgi-extension-order")) from error

    async def _take_open_file(self, message: Message) -> None:
        source = message["file"]
        file = source if isinstance(source, int) else source.fileno()
        offset, count = message.get("offset"), message.get("count")
        start = offset
        if start is None:  # from where a read would go on
            start = os.lseek(file, 0, os.SEEK_CUR) if source is file else source.tell()
        more = bool(message.get("more_body", False))
        sent = await self._take_file(file, start, count, more=more)
        if offset is None and source is file:
            os.lseek(file, start + sent, os.SEEK_SET)
        elif offset is None:
            source.seek(start + sent)

    async def _take_file(self, file: int, offset: int, count: int | None, *, more: bool) -> int:
        sent = 0
        while count is None or sent < count:
            wanted = _BLOCK if count is None else min(_BLOCK, count - sent)
            piece = os.pread(file, wanted, offset + sent)
            if not piece:
                break
            sent += len(piece)
            await self._take_piece(piece, True)
        await self._take_piece(b"", more)
        return sent
