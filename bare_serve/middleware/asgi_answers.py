"""A policy's answer as events of ASGI, to a request and to the handshake of a WebSocket.

What lives here: the events of an answer, its file, a denial. What must not: events of the
application (adapter_asgi.py), how a file is sent (asgi_files.py).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from bare_serve.middleware.asgi_files import send_file
from bare_serve.middleware.call import NO_BODY, fields_of
from bare_serve.middleware.policy import Answer, FileBody, Head
from bare_serve.middleware.ready import ReadyFields

Message = MutableMapping[str, Any]

_DENIAL = "websocket.http.response"


class AsgiCall(Protocol):
    """What an answer asks of its call."""

    @property
    def head(self) -> Head:
        """The request."""

    @property
    def bodies(self) -> list[Callable[[bytes, bool], bytes]] | None:
        """What changes the body."""

    def send(self, message: Message, /) -> Awaitable[None]:
        """Send an event through the policies."""


async def send_answer(
    call: AsgiCall, answer: Answer, receive: Callable[[], Awaitable[Message]]
) -> None:
    """Send a policy's answer; its descriptor is closed at the end."""
    body = answer.body
    try:
        if call.head.kind == "websocket":
            await receive()  # the client's websocket.connect
            await _refuse(call, answer)
            return
        await call.send(_start("http.response.start", answer))
        if call.head.method == "HEAD" or answer.status in NO_BODY:
            body = b""
        if isinstance(body, FileBody):
            offered = () if call.bodies is not None else call.head.raw.get("extensions") or ()
            await send_file(call.send, body, offered)
        else:
            await call.send({"type": "http.response.body", "body": body, "more_body": False})
    finally:
        if isinstance(answer.body, FileBody):
            os.close(answer.body.fd)


async def _refuse(call: AsgiCall, answer: Answer) -> None:
    offered = call.head.raw.get("extensions") or {}
    if _DENIAL not in offered or isinstance(answer.body, FileBody):
        await call.send({"type": "websocket.close", "code": 1008})
        return
    await call.send(_start("websocket.http.response.start", answer))
    await call.send({"type": "websocket.http.response.body", "body": answer.body})


def _start(kind: str, answer: Answer) -> Message:
    if type(answer.headers) is ReadyFields:
        fields = [*answer.headers.encoded]
    else:
        pairs = fields_of(answer)
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    return {"type": kind, "status": answer.status, "headers": fields}
