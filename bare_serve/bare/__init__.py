"""`bare`, a small framework: the interface of this folder.

What lives here: names, and where each is defined. What only some applications use is imported when
it is asked for: no forms, no event loop, no WebSockets, no bus without need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bare_serve.bare.app import Bare as Bare
from bare_serve.bare.errors import BadRequest as BadRequest
from bare_serve.bare.errors import ClientLeft as ClientLeft
from bare_serve.bare.errors import Conflict as Conflict
from bare_serve.bare.errors import ContentTooLarge as ContentTooLarge
from bare_serve.bare.errors import Forbidden as Forbidden
from bare_serve.bare.errors import HTTPError as HTTPError
from bare_serve.bare.errors import NotFound as NotFound
from bare_serve.bare.errors import TooManyRequests as TooManyRequests
from bare_serve.bare.errors import Unauthorized as Unauthorized
from bare_serve.bare.errors import UnprocessableContent as UnprocessableContent
from bare_serve.bare.errors import UnsupportedMediaType as UnsupportedMediaType
from bare_serve.bare.fields import Signer as Signer
from bare_serve.bare.request import Request as Request
from bare_serve.bare.response import HTMLResponse as HTMLResponse
from bare_serve.bare.response import JSONResponse as JSONResponse
from bare_serve.bare.response import RedirectResponse as RedirectResponse
from bare_serve.bare.response import Response as Response

if TYPE_CHECKING:
    from bare_serve.bare.files import FileResponse as FileResponse
    from bare_serve.bare.forms import Form as Form
    from bare_serve.bare.forms import Upload as Upload
    from bare_serve.bare.plan import Json as Json
    from bare_serve.bare.plan import Use as Use
    from bare_serve.bare.redis_bus import RedisBus as RedisBus
    from bare_serve.bare.rooms import Room as Room
    from bare_serve.bare.rooms import RoomError as RoomError
    from bare_serve.bare.rooms import Rooms as Rooms
    from bare_serve.bare.sse import EventStream as EventStream
    from bare_serve.bare.sse import event as event
    from bare_serve.bare.stream import StreamResponse as StreamResponse
    from bare_serve.bare.websocket import CloseWebSocket as CloseWebSocket
    from bare_serve.bare.websocket import WebSocket as WebSocket
    from bare_serve.bare.websocket import WebSocketClosed as WebSocketClosed

_NAMES = {
    "files": "FileResponse",
    "forms": "Form Upload",
    "plan": "Json Use",
    "redis_bus": "RedisBus",
    "rooms": "Room RoomError Rooms",
    "sse": "EventStream event",
    "stream": "StreamResponse",
    "websocket": "CloseWebSocket WebSocket WebSocketClosed",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
__all__ = sorted(
    {*_HOMES, *(name for name in globals() if name[0].isupper())} - {"Any", "TYPE_CHECKING"}
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
