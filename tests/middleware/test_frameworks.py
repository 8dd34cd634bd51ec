"""A stack of middleware around frameworks, with a lint on each side: their answers stay theirs."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bare_serve.middleware import wrap
from bare_serve.middleware.cors import Cors
from bare_serve.middleware.gzip import Gzip
from bare_serve.middleware.linting import lint
from bare_serve.middleware.logging import Logging
from bare_serve.middleware.request_id import RequestId
from bare_serve.middleware.security_headers import SecurityHeaders
from bare_serve.middleware.timing import Timing
from bare_serve.testing import TestClient
from tests.testing import framework_apps

SITES: dict[str, tuple[str, Callable[[], Any]]] = {
    "flask": ("flask", framework_apps.flask),
    "django, wsgi": ("django", partial(framework_apps.django, "wsgi")),
    "django, asgi": ("django", partial(framework_apps.django, "asgi")),
    "fastapi": ("fastapi", framework_apps.fastapi),
    "starlette": ("starlette", framework_apps.starlette),
}


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("name", SITES)
def test_a_framework_in_a_stack(name: str) -> None:
    module, make = SITES[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    app = make()
    policies = (
        RequestId(),
        Timing(),
        Logging(),
        SecurityHeaders(),
        Cors(["https://a.example"]),
        Gzip(minimum_size=1),
    )
    around = lint(wrap(lint(app), *policies))
    sent = [("Origin", "https://a.example"), ("Accept-Encoding", "gzip")]
    with TestClient(app) as plain, TestClient(around) as stacked:
        for path in ("/hello", "/json", "/stream", "/file", "/nowhere"):
            wanted, got = plain.get(path), stacked.get(path, headers=sent)
            body = got.content
            if got.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert (got.status, body) == (wanted.status, wanted.content), path
            assert "x-request-id" in got.headers
            assert got.headers["x-content-type-options"] == "nosniff"
            if wanted.status == 200:
                assert got.headers["content-encoding"] == "gzip", path
                assert "https://a.example" in got.headers.all("access-control-allow-origin")
        head = stacked.head("/hello", headers=sent)
        assert (head.status, head.content) == (plain.head("/hello").status, b"")
        if name in ("fastapi", "starlette"):
            with stacked.websocket("/ws", headers=[("X-Request-ID", "abc")]) as ws:
                ws.send("hi")
                assert ws.receive() == "hi"
                assert ws.headers["x-request-id"] == "abc"
