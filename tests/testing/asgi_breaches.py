"""A minimal application, or caller, for each clause of ASGI: it breaks that one and no other."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

from tests.testing.drivers import http_scope, lifespan_scope, websocket_scope

TYPE = (b"content-type", b"text/plain")


def start(status: Any = 200, headers: Any = (TYPE,), **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: Any = b"hello", **more: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, **more}


class Sends:
    """An application that receives so many events, and sends these messages."""

    def __init__(self, *messages: Any, receives: int = 1) -> None:
        self.messages = messages
        self.receives = receives

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for _ in range(self.receives):
            await receive()
        for message in self.messages:
            await send(message)


def with_header(name: Any, value: Any) -> Sends:
    return Sends(start(headers=[TYPE, (name, value)]), body())


def extension(name: str, **keys: Any) -> dict[str, Any]:
    return {"type": f"http.response.{name}", **keys}


async def holds(scope: Any, receive: Any, send: Any) -> None:
    time.sleep(0.42)  # the mistake itself
    await Sends(start(), body())(scope, receive, send)


async def counts_in_words(scope: Any, receive: Any, send: Any) -> None:
    with Path(__file__).open("rb") as file:
        message = extension("zerocopysend", file=file, count="five")
        await Sends(start(), message)(scope, receive, send)


FOUR = [TYPE, (b"content-length", b"4")]
SIX = [TYPE, (b"content-length", b"6")]

HTTP: dict[str, Any] = {
    "http-field-name": with_header(b":status", b"200"),
    "http-field-value": with_header(b"x-a", b"a\nb"),
    "http-field-underscore": with_header(b"x_a", b"b"),
    "http-status-range": Sends(start("200"), body()),
    "http-status-final": Sends(start(103), body()),
    "http-status-class": Sends(start(999), body()),
    "http-content-length": with_header(b"content-length", b"x"),
    "http-content-length-differs": Sends(start(headers=[*FOUR, SIX[1]]), body()),
    "http-content-length-repeated": Sends(start(headers=[*FOUR, FOUR[1]]), body(b"four")),
    "http-length-over": Sends(start(headers=FOUR), body()),
    "http-length-short": Sends(start(headers=SIX), body()),
    "http-transfer-encoding": with_header(b"transfer-encoding", b"gzip"),
    "http-content-type": Sends(start(headers=[]), body()),
    "http-no-content": Sends(start(304), body()),
    "http-head-body": Sends(start(), body()),
    "http-trailer-field": Sends(
        start(trailers=True),
        body(),
        extension("trailers", headers=[(b"content-length", b"5")]),
    ),
    "asgi-message-dict": Sends(None),
    "asgi-message-unknown": Sends({"type": "websocket.accept"}),
    "asgi-http-start-first": Sends(body()),
    "asgi-http-start-twice": Sends(start(), start()),
    "asgi-http-after-end": Sends(start(), body(), body()),
    "asgi-http-status": Sends({"type": "http.response.start"}),
    "asgi-headers-pairs": Sends(start(headers=[("x", "y")]), body()),
    "asgi-headers-case": with_header(b"X-A", b"b"),
    "asgi-headers-hop-by-hop": with_header(b"transfer-encoding", b"chunked"),
    "asgi-http-trailers-flag": Sends(start(trailers=0), body()),
    "asgi-http-body": Sends(start(), body("text")),
    "asgi-http-more-body": Sends(start(), body(more_body=1)),
    "asgi-http-no-answer": Sends(),
    "asgi-http-unfinished": Sends(start(), body(more_body=True)),
    "asgi-loop-held": holds,
    "asgi-extension-offered": Sends(extension("push", path="/", headers=[])),
    "asgi-extension-order": Sends(start(), body(more_body=True), extension("early_hint")),
    "asgi-trailers-announced": Sends(start(), extension("trailers")),
    "asgi-pathsend-path": Sends(start(), extension("pathsend", path="/no/such/file")),
    "asgi-pathsend-absolute": Sends(start(), extension("pathsend", path=Path(__file__))),
    "asgi-zerocopysend-file": Sends(start(), extension("zerocopysend", file=io.BytesIO(b"x"))),
    "asgi-zerocopysend-numbers": counts_in_words,
    "asgi-early-hint-links": Sends(extension("early_hint", links="x")),
}
"""Each clause that an application breaks while it answers a request."""

MORE: list[tuple[str, Any]] = [
    ("asgi-headers-pairs", Sends(start(headers=None), body())),
    ("asgi-headers-pairs", Sends(start(headers=[b"x"]), body())),
    ("asgi-headers-pairs", Sends(start(headers={("x", "y")}), body())),
    ("asgi-http-unfinished", Sends(start())),
    ("asgi-http-unfinished", Sends(start(trailers=True), body())),
    ("asgi-message-unknown", Sends({"type": None})),
    ("asgi-http-after-end", Sends(start(), body(), start())),
    ("asgi-pathsend-path", Sends(start(), extension("pathsend", path=7))),
    ("asgi-pathsend-path", Sends(start(), extension("pathsend", path="/"))),
    ("asgi-early-hint-links", Sends(extension("early_hint", links=["x"]))),
    ("asgi-extension-order", Sends(extension("pathsend", path=__file__))),
    ("asgi-extension-order", Sends(start(), extension("debug", info={}))),
    ("http-length-over", Sends(start(headers=FOUR), extension("pathsend", path=__file__))),
]
"""The same clauses, broken in other ways."""

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}


def text(data: Any) -> dict[str, Any]:
    return {"type": "websocket.send", "text": data}


WEBSOCKET: dict[str, Any] = {
    "asgi-websocket-accept-first": Sends(text("x")),
    "asgi-websocket-accept-twice": Sends(ACCEPT, ACCEPT),
    "asgi-websocket-undecided": Sends(),
    "asgi-websocket-after-close": Sends(CLOSE, ACCEPT),
    "asgi-websocket-subprotocol": Sends({**ACCEPT, "subprotocol": "mqtt"}),
    "asgi-websocket-handshake-header": Sends(
        {**ACCEPT, "headers": [(b"Sec-WebSocket-Protocol", b"chat")]}
    ),
    "asgi-websocket-data": Sends(ACCEPT, {"type": "websocket.send"}),
    "asgi-websocket-data-both": Sends(ACCEPT, {**text("x"), "bytes": b"x"}),
    "asgi-websocket-data-type": Sends(ACCEPT, text(7)),
    "asgi-websocket-text": Sends(ACCEPT, text("\ud800")),
    "asgi-websocket-code": Sends(ACCEPT, {**CLOSE, "code": 1006}),
    "asgi-websocket-reason": Sends(ACCEPT, {**CLOSE, "reason": b"x"}),
}
"""Each clause that an application breaks on a WebSocket."""

MORE_WEBSOCKET: list[tuple[str, Any]] = [
    ("asgi-message-unknown", Sends({"type": "http.response.start", "status": 200})),
    ("asgi-message-unknown", Sends(ACCEPT, {"type": "websocket.http.response.start"})),
    ("asgi-message-dict", Sends(7)),
    ("asgi-headers-pairs", Sends({**ACCEPT, "headers": [("a", "b")]})),
    ("asgi-http-start-first", Sends({"type": "websocket.http.response.body"})),
    ("asgi-http-unfinished", Sends({**start(403), "type": "websocket.http.response.start"})),
]
"""Clauses of other protocols that are broken there."""

COMPLETE = {"type": "lifespan.startup.complete"}

LIFESPAN: dict[str, Any] = {
    "asgi-lifespan-order": Sends(COMPLETE, receives=0),
    "asgi-lifespan-message": Sends({"type": "lifespan.startup.failed", "message": ValueError()}),
    "asgi-lifespan-unanswered": Sends(),
    "asgi-message-unknown": Sends(start()),
}
"""Each clause that an application breaks in its lifespan."""

SCOPES: dict[str, Any] = {
    "asgi-scope-dict": [("type", "http")],
    "asgi-scope-keys": http_scope(query_string=None),
    "asgi-scope-values": http_scope(path=b"/"),
    "asgi-scope-method": http_scope(method="get"),
}
"""Each clause that a caller breaks by its scope."""

MORE_SCOPES: list[tuple[str, Any]] = [
    ("asgi-scope-dict", {}),
    ("asgi-scope-values", lifespan_scope(asgi=None) | {"asgi": "3.0"}),
    ("asgi-scope-values", http_scope(asgi={})),
    ("asgi-scope-values", http_scope(headers=[("host", "test")])),
    ("asgi-scope-values", http_scope(headers=[b"host"])),
    ("asgi-scope-values", http_scope(headers=7)),
    ("asgi-scope-values", http_scope(client=("a", "b"))),
    ("asgi-scope-values", http_scope(server="test")),
    ("asgi-scope-values", http_scope(scheme="")),
    ("asgi-scope-values", http_scope(extensions=[])),
    ("asgi-scope-values", http_scope(state=[])),
    ("asgi-scope-values", websocket_scope(subprotocols="chat")),
    ("asgi-scope-values", websocket_scope(subprotocols=[b"chat"])),
]

REQUEST = {"type": "http.request"}

EVENTS: dict[str, tuple[Any, list[Any]]] = {
    "asgi-event-dict": (http_scope(), [{"type": "websocket.connect"}]),
    "asgi-event-order": (http_scope(), [REQUEST, REQUEST]),
    "asgi-event-values": (http_scope(), [{**REQUEST, "body": "text"}]),
}
"""Each clause that a caller breaks by an event."""

MORE_EVENTS: list[tuple[str, tuple[Any, list[Any]]]] = [
    ("asgi-event-dict", (http_scope(), [7])),
    ("asgi-event-values", (http_scope(), [{**REQUEST, "more_body": 1}])),
    ("asgi-event-order", (http_scope(), [{"type": "http.disconnect"}, REQUEST])),
    ("asgi-event-order", (websocket_scope(), [{"type": "websocket.receive", "text": "x"}])),
    (
        "asgi-event-order",
        (websocket_scope(), [{"type": "websocket.connect"}, {"type": "websocket.connect"}]),
    ),
    ("asgi-event-order", (lifespan_scope(), [{"type": "lifespan.shutdown"}])),
    ("asgi-event-dict", (lifespan_scope(), [REQUEST])),
]
