"""`bare`, a small framework: the interface of this folder.

What lives here: names, and where each is defined. A name is imported when it is asked for, so that
an application pays only for what it uses: no event loop for one without `async def`, no forms, no
WebSockets, no bus.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

    from bare_serve.bare.app import Bare
    from bare_serve.bare.closing import CloseWebSocket, WebSocketClosed
    from bare_serve.bare.cookies import Signer
    from bare_serve.bare.errors import (
        BadRequest,
        ClientLeft,
        Conflict,
        ContentTooLarge,
        Forbidden,
        HTTPError,
        NotFound,
        TooManyRequests,
        Unauthorized,
        UnprocessableContent,
        UnsupportedMediaType,
    )
    from bare_serve.bare.files import FileResponse
    from bare_serve.bare.forms import Form, Upload
    from bare_serve.bare.redis_bus import RedisBus
    from bare_serve.bare.request import Request
    from bare_serve.bare.response import (
        HTMLResponse,
        JSONResponse,
        RedirectResponse,
        Response,
        StreamResponse,
    )
    from bare_serve.bare.rooms import Room, RoomError, Rooms
    from bare_serve.bare.sources import Json, Use
    from bare_serve.bare.sse import EventStream, event
    from bare_serve.bare.websocket import WebSocket

_HOMES = {
    "Bare": "app",
    "Signer": "cookies",
    "Form": "forms",
    "Upload": "forms",
    "Request": "request",
    "WebSocket": "websocket",
    **dict.fromkeys(("CloseWebSocket", "WebSocketClosed"), "closing"),
    **dict.fromkeys(("Room", "RoomError", "Rooms"), "rooms"),
    "RedisBus": "redis_bus",
    **dict.fromkeys(("EventStream", "event"), "sse"),
    "FileResponse": "files",
    **dict.fromkeys(("Json", "Use"), "sources"),
    **dict.fromkeys(("HTMLResponse", "JSONResponse", "RedirectResponse", "Response"), "response"),
    "StreamResponse": "response",
    **dict.fromkeys(("BadRequest", "ClientLeft", "Conflict", "ContentTooLarge"), "errors"),
    **dict.fromkeys(("Forbidden", "HTTPError", "NotFound", "TooManyRequests"), "errors"),
    **dict.fromkeys(("Unauthorized", "UnprocessableContent", "UnsupportedMediaType"), "errors"),
}

__all__ = [
    "BadRequest",
    "Bare",
    "ClientLeft",
    "CloseWebSocket",
    "Conflict",
    "ContentTooLarge",
    "EventStream",
    "FileResponse",
    "Forbidden",
    "Form",
    "HTMLResponse",
    "HTTPError",
    "JSONResponse",
    "Json",
    "NotFound",
    "RedirectResponse",
    "RedisBus",
    "Request",
    "Response",
    "Room",
    "RoomError",
    "Rooms",
    "Signer",
    "StreamResponse",
    "TooManyRequests",
    "Unauthorized",
    "UnprocessableContent",
    "UnsupportedMediaType",
    "Upload",
    "Use",
    "WebSocket",
    "WebSocketClosed",
    "event",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
