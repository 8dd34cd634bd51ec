"""Which requests become WebSockets, and what serves them, imported late.

Most workers never see a WebSocket, and none sees one in its first moments, but frames, deflate and
wsproto are a third of what a worker imports. So that is put off: `prepare_websockets` is called a
moment after the worker is ready, or by the first WebSocket if that is sooner. It is not left until
then, since by then a newer version of these very modules may be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bare_serve.http1 import RequestHead

if TYPE_CHECKING:
    from bare_serve.asgi.websocket import WebSocket


def asks_for_websocket(head: RequestHead) -> bool:
    """Whether this request is for the WebSocket protocol at all.

    `upgrade` is only set for HTTP/1.1 with "Connection: upgrade". A request with another method,
    or with a body, is served as the HTTP it is, body and all (RFC 9110, 7.8: an upgrade may
    always be ignored).
    """
    return head.upgrade == b"websocket" and head.method == "GET" and not head.has_body


def prepare_websockets() -> type[WebSocket]:
    """What serves a WebSocket; imported by the first call."""
    from bare_serve.asgi.websocket import WebSocket

    return WebSocket
