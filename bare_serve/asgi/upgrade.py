"""Which requests become WebSockets, and what serves them, imported late.

Most workers never see a WebSocket, and none sees one in its first moments, but frames, deflate and
wsproto are a third of what a worker imports. So that is put off: `prepare_websockets` is called a
moment after the worker is ready, or by the first WebSocket if that is sooner. It is not left until
then, since by then a newer version of these very modules may be installed. All of it takes 40 to
80 ms, which requests would wait for; so a worker imports one piece in each of several turns of its
loop (`websocket_imports`), of which the longest takes 10 to 17 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from bare_serve.http import RequestHead

if TYPE_CHECKING:
    from bare_serve.asgi.websocket import WebSocket

# Each needs the ones before. `h11` and `wsproto` import all of themselves, whichever module of
# theirs is asked for.
_PIECES = (
    "hashlib",
    "h11",
    "wsproto",
    "bare_serve.websocket.deflate",
    "bare_serve.websocket.session",
    "bare_serve.asgi.websocket",
)


def asks_for_websocket(head: RequestHead) -> bool:
    """Return whether this request is for the WebSocket protocol at all.

    `upgrade` is only set for HTTP/1.1 with "Connection: upgrade". A request with another method,
    or with a body, is served as the HTTP it is, body and all (RFC 9110, 7.8: an upgrade may
    always be ignored).
    """
    return head.upgrade == b"websocket" and head.method == "GET" and not head.has_body


def prepare_websockets() -> type[WebSocket]:
    """Return the class that serves a WebSocket; the first call imports it."""
    from bare_serve.asgi.websocket import WebSocket

    return WebSocket


def websocket_imports() -> Iterator[str]:
    """Import what `prepare_websockets` needs, one piece for each step; yields the piece's name."""
    for piece in _PIECES:
        import_module(piece)
        yield piece
