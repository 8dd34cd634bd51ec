"""Which pages may open a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.bare import WebSocket
from bare_serve.bare.websocket import serve_websocket
from bare_serve.middleware.origins import check_origins

SAME, ALL = ("same",), ("*",)

CASES: list[tuple[str, tuple[str, ...], str, str, bool]] = [
    # origin, origins, host, scheme
    ("", SAME, "shop.example", "ws", True),  # no browser
    ("", (), "shop.example", "ws", True),
    ("http://shop.example", SAME, "shop.example", "ws", True),
    ("HTTP://Shop.Example", SAME, "shop.EXAMPLE", "ws", True),
    ("http://shop.example:8000", SAME, "shop.example:8000", "ws", True),
    ("http://[::1]:8000", SAME, "[::1]:8000", "ws", True),
    ("http://shop.example", SAME, "shop.example:80", "ws", True),
    ("https://shop.example", SAME, "shop.example:443", "wss", True),
    ("https://shop.example", SAME, "shop.example", "wss", True),
    ("https://shop.example", SAME, "shop.example", "ws", True),  # a proxy ends TLS
    ("http://shop.example", SAME, "shop.example", "wss", False),
    ("http://shop.example", SAME, "shop.example:8000", "ws", False),
    ("http://shop.example:8000", SAME, "shop.example", "ws", False),
    ("https://shop.example:80", SAME, "shop.example", "wss", False),
    ("http://evil.example", SAME, "shop.example", "ws", False),
    ("http://shop.example.evil.example", SAME, "shop.example", "ws", False),
    ("http://evilshop.example", SAME, "shop.example", "ws", False),
    ("http://shop.example/", SAME, "shop.example", "ws", False),
    ("http://user@shop.example", SAME, "shop.example", "ws", False),
    ("http://shop.example:x", SAME, "shop.example", "ws", False),
    ("http://[", SAME, "shop.example", "ws", False),
    ("ftp://shop.example", SAME, "shop.example", "ws", False),
    ("//shop.example", SAME, "shop.example", "ws", False),
    ("shop.example", SAME, "shop.example", "ws", False),
    ("null", SAME, "shop.example", "ws", False),
    ("null", SAME, "null", "ws", False),
    ("http://", SAME, "", "ws", False),
    ("null", ("null",), "shop.example", "ws", True),
    ("null", ALL, "shop.example", "ws", True),
    ("http://evil.example", ALL, "shop.example", "ws", True),
    ("https://a.example", ("https://a.example",), "shop.example", "ws", True),
    ("http://a.example", ("https://a.example",), "shop.example", "ws", False),
    ("https://a.example:444", ("https://a.example",), "shop.example", "ws", False),
    ("https://shop.example", ("https://a.example",), "shop.example", "ws", False),
    ("https://a.example", ("same", "https://a.example"), "shop.example", "ws", True),
    ("http://shop.example, http://evil.example", SAME, "shop.example", "ws", False),
]


@pytest.mark.parametrize(("origin", "origins", "host", "scheme", "allowed"), CASES)
def test_who_may_connect(
    origin: str, origins: tuple[str, ...], host: str, scheme: str, allowed: bool
) -> None:
    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]
    scope = {"type": "websocket", "path": "/", "scheme": scheme, "headers": headers}
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    asyncio.run(serve_websocket(WebSocket(scope, receive, send), origins, handler))
    assert sent == ["websocket.accept"] * allowed + ["websocket.close"]


def test_origins_that_may_be_named() -> None:
    given = ["same", "*", "null", "HTTPS://A.example", "http://localhost:3000", "http://[::1]"]
    assert check_origins(given) == tuple(each.lower() for each in given)


@pytest.mark.parametrize(
    "wrong",
    [
        *("https://a.example/", "a.example", "https://*.a.example", "ftp:/a.example", ""),
        *("https://a.example:443", "http://a.example:80", "https://a.example:x", "https://u@a.b"),
    ],
)
def test_what_is_no_origin(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"origins: .* is none"):
        check_origins([wrong])


def test_a_text_is_one_of_them() -> None:
    assert check_origins("same") == ("same",)
