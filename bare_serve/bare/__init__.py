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
    from bare_serve.bare.request import Request
    from bare_serve.bare.response import (
        HTMLResponse,
        JSONResponse,
        RedirectResponse,
        Response,
        StreamResponse,
    )

_HOMES = {
    "Bare": "app",
    "HTMLResponse": "response",
    "JSONResponse": "response",
    "RedirectResponse": "response",
    "Request": "request",
    "Response": "response",
    "StreamResponse": "response",
    # Those of part two; each file is imported when its name is asked for.
    "WebSocket": "websocket",
    "Room": "rooms",
    "Rooms": "rooms",
    "RedisBus": "redis_bus",
    "EventStream": "sse",
    "event": "sse",
}

__all__ = [
    "Bare",
    "HTMLResponse",
    "JSONResponse",
    "RedirectResponse",
    "Request",
    "Response",
    "StreamResponse",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
