"""Answers without a length that are never completed: /raise fails in the middle, /wait waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

FIRST = b"first\n"


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """PEP 3333."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield FIRST
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("in the middle")
    threading.Event().wait()


async def asgi_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI 3."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": FIRST, "more_body": True})
    if scope["path"] == "/raise":
        raise RuntimeError("in the middle")
    await asyncio.Event().wait()
