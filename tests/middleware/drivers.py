"""Calls of applications step by step, so that the order of things can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.testing.drivers import environ, http_scope

__all__ = ["Told", "asgi_told", "environ", "http_scope", "wsgi_told"]

Told = list[tuple[Any, ...]]
"""What was seen, in its order."""


def wsgi_told(app: Callable[..., Any], told: Told, given: Any = None) -> Any:
    """Call an application; write down all that it does; return what it has returned."""

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        sent = any(kind in ("piece", "write") and what for kind, what in told)
        if exc_info and sent:
            raise exc_info[1].with_traceback(exc_info[2])
        told.append(("start", (status, dict(headers), exc_info is not None)))
        return lambda data: told.append(("write", data))

    result = app(environ() if given is None else given, start_response)
    try:
        told.extend(("piece", piece) for piece in result)
    finally:
        if hasattr(result, "close"):
            result.close()
    return result


def asgi_told(app: Callable[..., Any], told: Told, scope: Any = None, *messages: Any) -> None:
    """Call an application with such messages, and write down what it sends."""
    queue = [*messages] or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not queue:
            await asyncio.Event().wait()
        return queue.pop(0)

    async def send(message: Any) -> None:
        told.append((message["type"], message))

    async def run() -> None:
        async with asyncio.timeout(10):
            await app(http_scope() if scope is None else scope, receive, send)

    asyncio.run(run())
