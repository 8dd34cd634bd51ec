"""An async iterator as one task: from its first step to its last, whoever asks for the next piece.

What lives here: that task, what is given while it has nothing, and how an iterator is closed. What
must not: what the pieces are. Where each step is a task of its own, as it is for a server that has
no loop, timeouts and context variables of a generator are lost between two pieces.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

_END: Any = object()


async def in_one_task(
    pieces: Any, seconds: float | None = None, ping: Any = None
) -> AsyncGenerator[Any, None]:
    """Give the pieces as they are asked for, and `ping` after each `seconds` without one."""
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
