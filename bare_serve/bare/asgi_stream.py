"""A stream over ASGI: each piece leaves at once, and a client that leaves ends a stream that waits.

What lives here: sending the pieces, from the loop and from a thread. What must not: heads of
responses (response.py). The iterator is closed, and providers get their end, in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from bare_serve.bare.calls import close_pieces, end_call, inline
from bare_serve.bare.errors import ClientLeft
from bare_serve.bare.request import Request
from bare_serve.bare.response import StreamResponse

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def piece_of(piece: bytes | str) -> dict[str, Any]:
    """Return the event of a piece."""
    body = piece.encode("utf-8") if isinstance(piece, str) else piece
    return {"type": "http.response.body", "body": body, "more_body": True}


END = {"type": "http.response.body", "body": b"", "more_body": False}


async def send_stream(
    request: Request, receive: Receive, send: Send, response: StreamResponse
) -> None:
    """Send a stream; only its head for HEAD. It waits for `send`, and for async pieces.

    An exception of the iterator is raised, so that the server breaks off: no second start is sent.
    """
    pieces: Any = response.pieces
    raised: BaseException | None = None
    try:
        head = response.asgi_head()
        await send({"type": "http.response.start", "status": response.status, "headers": head})
        if request.method != "HEAD":
            if hasattr(pieces, "__aiter__"):
                await _send_waiting(receive, send, aiter(pieces))
            else:
                for piece in pieces:
                    await send(piece_of(piece))
        await send({**END})
    except BaseException as error:
        raised = error
        if not isinstance(error, ClientLeft):
            raise
    finally:
        await close_pieces(pieces)
        if response.after is not None:
            await end_call(response, raised)


async def _send_waiting(receive: Receive, send: Send, pieces: AsyncIterator[bytes | str]) -> None:
    """Send pieces that are waited for, and stop as soon as the client leaves."""
    sender = asyncio.current_task()
    assert sender is not None
    left = False

    async def listen() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        sender.cancel()

    listener = asyncio.ensure_future(listen())
    try:
        async for piece in pieces:
            await send(piece_of(piece))
        listener.cancel()
        await asyncio.sleep(0)  # where a cancellation is raised that has come with the last piece
    except asyncio.CancelledError:
        if not left or sender.uncancel() > 0:
            raise
        raise ClientLeft from None
    finally:
        listener.cancel()


def from_thread(
    loop: asyncio.AbstractEventLoop,
    request: Request,
    receive: Receive,
    send: Send,
    response: StreamResponse,
) -> None:
    """Send a stream from the thread that its handler has run in, to the end."""

    async def sent(event: dict[str, Any]) -> None:
        await send(event)

    async def tell(event: dict[str, Any]) -> None:
        # Blocks for the server, so that a slow client slows the stream down, and nothing piles up.
        asyncio.run_coroutine_threadsafe(sent(event), loop).result()

    inline(send_stream(request, receive, tell, response))
