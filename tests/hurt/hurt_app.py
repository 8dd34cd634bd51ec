"""The application the crowds ask: small answers, uploads counted, and an endless download."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator
from typing import Any

PIECE = b"x" * 65536


def blocks() -> bytes:
    """How many blocks of memory Python has in use, cycles apart."""
    gc.collect()
    return b"%d" % sys.getallocatedblocks()


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """PEP 3333."""
    if environ["PATH_INFO"] == "/endless":
        start_response("200 OK", [])
        return _endless()
    if environ["PATH_INFO"] == "/blocks":
        start_response("200 OK", [])
        return [blocks()]
    size = 0
    while data := environ["wsgi.input"].read(65536):
        size += len(data)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % size]


def _endless() -> Iterator[bytes]:
    while True:
        yield PIECE


async def asgi_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI 3."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"] == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    if scope["path"] == "/blocks":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": blocks()})
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d" % size})
