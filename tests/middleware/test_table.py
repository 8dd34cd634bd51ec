"""Every policy leaves every answer what it was, through both adapters, with a lint on each side."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from bare_serve.middleware import wrap
from bare_serve.middleware.basic_auth import BasicAuth
from bare_serve.middleware.bearer_auth import BearerAuth
from bare_serve.middleware.cors import Cors
from bare_serve.middleware.gzip import Gzip
from bare_serve.middleware.https_redirect import HttpsRedirect
from bare_serve.middleware.linting import lint
from bare_serve.middleware.logging import Logging
from bare_serve.middleware.registry import NAMES
from bare_serve.middleware.request_id import RequestId
from bare_serve.middleware.security_headers import SecurityHeaders
from bare_serve.middleware.timing import Timing
from bare_serve.middleware.trace_context import TraceContext
from bare_serve.middleware.trusted_host import TrustedHost
from tests.middleware.apps import BOTH, PATHS, App, client

BASIC = "Basic YW5uOnNlY3JldA=="
POLICIES: dict[str, tuple[Any, dict[str, str], str]] = {
    "basic-auth": (BasicAuth(["ann:secret"]), {"Authorization": BASIC}, ""),
    "bearer-auth": (BearerAuth(["tok"]), {"Authorization": "Bearer tok"}, ""),
    "cors": (Cors(["https://a.example"]), {"Origin": "https://a.example"}, "Vary"),
    "gzip": (Gzip(minimum_size=1), {"Accept-Encoding": "gzip"}, ""),
    "https-redirect": (HttpsRedirect(exclude=PATHS), {}, ""),
    "lint": (lint, {}, ""),
    "logging": (Logging(), {}, ""),
    "request-id": (RequestId(), {}, "X-Request-ID"),
    "security-headers": (SecurityHeaders(), {}, "X-Content-Type-Options"),
    "timing": (Timing(), {}, "Server-Timing"),
    "trace-context": (TraceContext(), {}, ""),
    "trusted-host": (TrustedHost(["testserver", "localhost", "127.0.0.1"]), {}, ""),
}
"""Each with what a request needs to get by, and the field that all answers then have."""


def test_each_name_is_in_the_table() -> None:
    assert {*NAMES} - {"static"} == POLICIES.keys()


def content(response: Any) -> bytes:
    body: bytes = response.content
    return gzip.decompress(body) if response.headers.get("content-encoding") == "gzip" else body


@BOTH
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", [*POLICIES, "all"])
def test_answers_stay_what_they_are(name: str, method: str, app: App) -> None:
    fields: dict[str, str] = {}
    around: Callable[[App], App]
    if name == "all":
        made = [policy for policy, _, _ in POLICIES.values()]
        for _, given, _ in POLICIES.values():
            fields |= given
        made.remove(POLICIES["basic-auth"][0])  # there is one Authorization only

        def around(app: App) -> App:
            return wrap(app, *made)

        said = [field for _, _, field in POLICIES.values() if field]
    else:
        policy, fields, field = POLICIES[name]
        said = [field] if field else []

        def around(app: App) -> App:
            return wrap(app, policy)

    with client(app, lambda app: app) as bare, client(app, around) as wrapped:
        for path in PATHS:
            if path == "/write" and method == "HEAD":
                continue
            headers = [*fields.items()]
            plain = bare.request(method, path, headers=headers)
            response = wrapped.request(method, path, headers=headers)
            assert response.status == plain.status, path
            if (method, path) != ("HEAD", "/fail"):  # of which the client itself makes a body
                assert content(response) == plain.content, path
            for field in said:
                assert field in response.headers, (path, field)
            for name_, value in plain.headers.pairs:
                if name_.lower() not in ("content-length", "etag", "content-type"):
                    assert value in response.headers.all(name_), (path, name_)


@BOTH
@pytest.mark.parametrize("name", POLICIES)
def test_bodies_reach_the_application(name: str, app: App) -> None:
    policy, fields, _ = POLICIES[name]
    with client(app, lambda app: wrap(app, policy)) as wrapped:
        response = wrapped.post("/echo", content=b"some body", headers=[*fields.items()])
        assert content(response) == b"got: some body"
