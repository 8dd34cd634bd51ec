"""A small WSGI shop, for the tests beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

PRICES = {"tea": 3, "cake": 4}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer GET /prices/NAME."""
    _, _, name = environ["PATH_INFO"].partition("/prices/")
    if name not in PRICES:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"We have no such thing.\n"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"name": name, "price": PRICES[name]}).encode()]
