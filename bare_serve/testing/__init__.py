"""Tools for the tests of applications: the interface of this folder.

What lives here: names, and where each is defined. A name is imported when it is asked for, so that
a test pays only for what it uses. No server imports anything of this folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bare_serve.testing.async_client import AsyncTestClient
    from bare_serve.testing.client import TestClient
    from bare_serve.testing.cookies import Cookie, CookieJar
    from bare_serve.testing.errors import (
        ClientTimeout,
        IncompleteAnswer,
        LifespanFailed,
        WebSocketClosed,
        WebSocketRefused,
    )
    from bare_serve.testing.events import Event
    from bare_serve.testing.headers import Headers
    from bare_serve.testing.linting import lint
    from bare_serve.testing.live import LiveServer, LiveServers
    from bare_serve.testing.live_request import LiveResponse
    from bare_serve.testing.response import Response
    from bare_serve.testing.verdicts import SpecAdvice, SpecError

_HOMES = {
    "AsyncTestClient": "async_client",
    "ClientTimeout": "errors",
    "Cookie": "cookies",
    "CookieJar": "cookies",
    "Event": "events",
    "Headers": "headers",
    "IncompleteAnswer": "errors",
    "LifespanFailed": "errors",
    "LiveResponse": "live_request",
    "LiveServer": "live",
    "LiveServers": "live",
    "Response": "response",
    "SpecAdvice": "verdicts",
    "SpecError": "verdicts",
    "TestClient": "client",
    "WebSocketClosed": "errors",
    "WebSocketRefused": "errors",
    "lint": "linting",
}

__all__ = [
    "AsyncTestClient",
    "ClientTimeout",
    "Cookie",
    "CookieJar",
    "Event",
    "Headers",
    "IncompleteAnswer",
    "LifespanFailed",
    "LiveResponse",
    "LiveServer",
    "LiveServers",
    "Response",
    "SpecAdvice",
    "SpecError",
    "TestClient",
    "WebSocketClosed",
    "WebSocketRefused",
    "lint",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
