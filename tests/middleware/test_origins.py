"""What is an origin, and which is the host's own."""

from __future__ import annotations

import pytest

from bare_serve.middleware.cors import Cors
from bare_serve.middleware.origins import is_origin, is_same


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example", True),
        ("http://localhost:3000", True),
        ("http://[::1]:8000", True),
        ("chrome-extension://abcdef", True),
        ("http://a.example:443", True),
        ("https://a.example:443", False),  # browsers leave the usual port out
        ("http://a.example:80", False),
        ("https://A.example", False),
        ("https://a.example/", False),
        ("https://u@a.example", False),
        ("https://*.a.example", False),
        ("https://a.example:x", False),
        ("a.example", False),
        ("https://", False),
        ("null", False),
        ("", False),
    ],
)
def test_what_is_an_origin(text: str, expected: bool) -> None:
    assert is_origin(text) is expected


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "expected"),
    [
        ("http://shop.example", "shop.example", "ws", True),
        ("http://shop.example", "Shop.example:80", "ws", True),
        ("https://shop.example", "shop.example", "ws", True),  # a proxy ends TLS
        ("http://shop.example", "shop.example", "wss", False),
        ("http://shop.example", "shop.example:8000", "ws", False),
        ("http://evil.example", "shop.example", "ws", False),
        ("ftp://shop.example", "shop.example", "ws", False),
        ("http://", "", "ws", False),
    ],
)
def test_what_is_the_same_host(origin: str, host: str, scheme: str, expected: bool) -> None:
    assert is_same(origin, host, scheme) is expected


def test_an_origin_that_no_browser_sends_is_refused() -> None:
    with pytest.raises(ValueError, match="a port other than the usual"):
        Cors(["https://a.example:443"])
