"""A stream is a response in pieces: each leaves at once, and its iterator is closed in any case.

What lives here: `StreamResponse`, over ASGI, where a client that leaves ends a stream that waits,
and over WSGI; what an answer stands for (`to_response`); an async iterator as one task. What must
not: which thread or loop that runs on (asgi.py, wsgi.py). What providers have open stays open until
the stream is closed, and sees what has ended it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from bare_serve.bare.errors import ClientLeft
from bare_serve.bare.response import BYTES, JSON, TEXT, Fields, JSONResponse, Response, dump_json

Pieces = Iterable[bytes | str] | AsyncIterable[bytes | str]
_END: Any = object()


class StreamResponse(Response):
    """A body in pieces: each is sent when the iterator gives it.

    The iterator is closed in any case: at its end, at an error, when the client leaves or the
    server stops. What providers have open stays open until then.
    """

    is_stream = True

    def __init__(
        self, pieces: Pieces, status: int = 200, headers: Fields = None, content_type: str = BYTES
    ) -> None:
        """See `Response`; text is sent as UTF-8. TypeError if `pieces` is no iterable."""
        super().__init__(None, status, headers, content_type)
        if isinstance(pieces, (str, bytes)) or not isinstance(pieces, (Iterable, AsyncIterable)):
            raise TypeError(f"a stream needs an iterable of pieces, not {type(pieces).__name__}")
        self.is_async = isinstance(pieces, AsyncIterable)
        self.pieces: Any = pieces
        iterate: Any = aiter if self.is_async else iter
        self._iterator = iterate(pieces)
        self._ended_by: BaseException | None = ClientLeft()

    def head(self) -> list[tuple[str, str]]:
        """See `Response.head`; the length is not known."""
        return self.headers

    async def next(self) -> bytes | None:
        """Return the next piece; None at the end. It waits for an async iterator only."""
        try:
            given = self._iterator
            piece = await anext(given, _END) if self.is_async else next(given, _END)
            if piece is None:
                raise TypeError("a piece of a stream is str or bytes, not None")
        except BaseException as error:
            self._ended_by = error
            raise
        if piece is _END:
            self._ended_by = piece = None
        return piece.encode("utf-8") if isinstance(piece, str) else piece

    async def close(self) -> None:
        """Close the iterator, and run the rest of the providers."""
        try:
            if self._iterator is not self.pieces:
                await close_pieces(self._iterator)
            await close_pieces(self.pieces)
        finally:
            failed = await self.after(self._ended_by) if self.after else None
            if failed is not None and failed is not self._ended_by:
                raise failed

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Send the stream; only its head for HEAD. It waits for `send`, and for async pieces.

        An exception of the iterator is raised, so that the server breaks off: no second start is
        sent.
        """
        try:
            await send(self.start())
            if scope["method"] == "HEAD":
                self._ended_by = None
            elif self.is_async:
                await self._send_until_left(receive, send)
            else:
                await self._send_pieces(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientLeft:
            pass
        finally:
            await self.close()

    async def _send_pieces(self, send: Any) -> None:
        while (piece := await self.next()) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _send_until_left(self, receive: Any, send: Any) -> None:
        """Send pieces that are waited for, and stop as soon as the client leaves."""
        from asyncio import CancelledError, current_task, ensure_future, sleep

        sender: Any = current_task()
        left = False

        async def listen() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            left = True
            sender.cancel()

        listener = ensure_future(listen())
        try:
            await self._send_pieces(send)
            listener.cancel()
            await sleep(0)  # where a cancellation is raised that has come with the last piece
        except CancelledError:
            if not left or sender.uncancel() > 0:
                raise
            self._ended_by = ClientLeft()
            raise self._ended_by from None
        finally:
            listener.cancel()

    def wsgi(self, environ: Any, start_response: Any, run: Any, on_loop: Any) -> Iterable[bytes]:
        """See `Response.wsgi`; the pieces come from where the handler has run."""
        run = on_loop if self.is_async else run
        try:
            super().wsgi(environ, start_response, run, on_loop)
        except BaseException:
            run(self.close())
            raise
        if self.is_async:
            self._iterator = in_one_task(self._iterator)
        pieces: Iterable[bytes] = iter(lambda: run(self.next()), None)
        if environ["REQUEST_METHOD"] == "HEAD":
            pieces, self._ended_by = (), None
        return Ending(pieces, lambda: run(self.close()))


async def in_one_task(
    pieces: Any, seconds: float | None = None, ping: Any = None
) -> AsyncGenerator[Any, None]:
    """Give the pieces as they are asked for, and `ping` after each `seconds` without one.

    One task takes all steps, whoever asks for the next piece: where each step is a task of its own,
    as it is for a server that has no loop, timeouts and context variables of a generator are lost
    between two pieces.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        try:
            async for piece in pieces:
                queue.put_nowait(piece)
                await queue.join()
        finally:
            await close_pieces(pieces)

    task = loop.create_task(run(), name="pieces")
    task.add_done_callback(lambda _: queue.put_nowait(_END))
    piece = timer = None
    try:
        while piece is not _END:
            if seconds is not None:
                timer = loop.call_later(seconds, queue.put_nowait, ping)
            piece = await queue.get()
            if timer is not None:
                timer.cancel()
            queue.task_done()
            if piece is not _END:
                yield piece
        await task  # raises what the iterator has raised
    finally:
        task.cancel()
        await asyncio.wait([task])


async def close_pieces(pieces: Any) -> None:
    """Close an iterator of pieces, if it can be closed; it waits only for an async one."""
    close = getattr(pieces, "aclose", None) or getattr(pieces, "close", None)
    closed: Any = close() if close is not None else None
    if hasattr(closed, "__await__"):
        await closed


class Ending:
    """A body of WSGI that something follows."""

    def __init__(self, body: Iterable[bytes], end: Callable[[], Any]) -> None:
        """Have `end` called when the server closes the body (PEP 3333)."""
        self._body, self._end = body, end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body, and call the end, also if that has failed."""
        try:
            getattr(self._body, "close", lambda: None)()
        finally:
            self._end()


def to_response(answer: Any) -> Response:
    """Return what a handler's answer stands for.

    str is text, dict, list and other values are JSON, bytes are bytes, None is 204, and a generator
    is a stream of text or bytes.

    Raises:
        TypeError: the answer is nothing that can be sent.
    """
    if type(answer) is dict or type(answer) is list:
        return Response(dump_json(answer), content_type=JSON)
    if isinstance(answer, str):
        return Response(answer)
    if isinstance(answer, Response):
        return answer
    if answer is None:
        return Response(status=204)
    if isinstance(answer, bytes):
        return Response(answer, content_type=BYTES)
    if isinstance(answer, (GeneratorType, AsyncGeneratorType)):
        return StreamResponse(answer, content_type=TEXT)
    return JSONResponse(answer)
