"""The application of a server that has files alone: it has nothing at all.

What lives here: the same 404 twice, as `wsgi` and as `asgi`. What must not: files (the folder
middleware/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

_BODY = b"There is nothing here.\n"
_FIELDS = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(_BODY))),
    ("X-Content-Type-Options", "nosniff"),
)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 404."""
    start_response("404 Not Found", [*_FIELDS])
    return [_BODY]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer 404; refuse a WebSocket. A lifespan is not for this application."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
        return
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    fields = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in _FIELDS]
    await send({"type": "http.response.start", "status": 404, "headers": fields})
    await send({"type": "http.response.body", "body": _BODY})
