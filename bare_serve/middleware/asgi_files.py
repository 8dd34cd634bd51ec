"""A file goes to an ASGI server as the server offers, or is read and goes piece by piece.

What lives here: events of the extensions that send files, made and read. What must not: heads, and
who changes a body (adapter_asgi.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Container, MutableMapping
from typing import Any, Final

from bare_serve.middleware.files import PIECE, Pieces
from bare_serve.middleware.policy import FileBody

PATHSEND: Final = "http.response.pathsend"
ZEROCOPYSEND: Final = "http.response.zerocopysend"

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


async def send_file(send: Send, body: FileBody, offered: Container[str]) -> None:
    """Send a body by one of the extensions that are offered; the descriptor stays the caller's."""
    if body.length and ZEROCOPYSEND in offered:
        part = {"file": body.fd, "offset": body.offset, "count": body.length}
        await send({"type": ZEROCOPYSEND, **part, "more_body": False})
    elif body.length and PATHSEND in offered and _is_whole(body):
        await send({"type": PATHSEND, "path": body.path})
    else:
        await send_pieces(send, body._replace(fd=os.dup(body.fd)))


def _is_whole(body: FileBody) -> bool:
    return body.path != "" and (body.offset, body.length) == (0, os.fstat(body.fd).st_size)


def opened(message: Message) -> tuple[FileBody, bool]:
    """Return the file that an application has the server send, and whether more body comes.

    Raises:
        RuntimeError: it cannot be opened.
    """
    more = message.get("more_body", False)
    if message["type"] == PATHSEND:
        try:
            fd = os.open(message["path"], os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            # Not as it is: an OSError would tell the application that its client has left.
            raise RuntimeError(f"cannot open {message['path']!r}: {error}") from error
        return FileBody(fd, 0, os.fstat(fd).st_size), more
    file, offset, count = message["file"], message.get("offset"), message.get("count")
    fd = os.dup(file if isinstance(file, int) else file.fileno())
    try:
        if offset is None:
            offset = os.lseek(fd, 0, os.SEEK_CUR)
        length = max(os.fstat(fd).st_size - offset, 0)
    except BaseException:
        os.close(fd)
        raise
    return FileBody(fd, offset, length if count is None else min(count, length)), more


async def send_pieces(send: Send, body: FileBody, more: bool = False) -> None:
    """Read a body, send it piece by piece, and close it; `more`: it is not the end of the answer.

    Raises:
        ShorterFile: the file ends before the body does.
    """
    pieces = Pieces(body)
    loop = asyncio.get_running_loop()
    try:
        if not pieces.left:
            await send({"type": "http.response.body", "body": b"", "more_body": more})
        while pieces.left:
            if pieces.left > PIECE:
                piece = await loop.run_in_executor(None, next, pieces)
            else:
                piece = next(pieces)
            more_body = more or pieces.left > 0
            await send({"type": "http.response.body", "body": piece, "more_body": more_body})
    finally:
        pieces.close()
