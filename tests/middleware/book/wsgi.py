"""WSGI middleware as textbooks write it, rebuilt with its faults: each test is to find them.

The last one is what such a text describes without showing it: compression "by wrapping
start_response".
"""

from __future__ import annotations

import base64
import gzip
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

App = Callable[..., Any]


def logging(app: App) -> App:
    def around(environ: Any, start_response: Any) -> Any:
        begun, seen = time.monotonic(), []

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            seen.append(status)
            return start_response(status, headers, exc_info)

        result = app(environ, start)
        took = (time.monotonic() - begun) * 1000
        status = seen[0] if seen else "???"
        line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {status} {took:.1f}ms"
        print(line, file=sys.stderr)
        return result

    return around


def basic_auth(app: App, username: str = "ann", password: str = "secret") -> App:
    expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def around(environ: Any, start_response: Any) -> Any:
        if environ.get("HTTP_AUTHORIZATION", "") != expected:
            fields = [("Content-Type", "text/plain"), ("WWW-Authenticate", 'Basic realm="P"')]
            start_response("401 Unauthorized", fields)
            return [b"Unauthorized"]
        return app(environ, start_response)

    return around


def cors(app: App, allow_origins: Any = ("https://a.example", "https://b.example")) -> App:
    added = [
        ("Access-Control-Allow-Origin", ", ".join(allow_origins)),
        ("Access-Control-Allow-Methods", "GET, POST"),
    ]

    def around(environ: Any, start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            start_response("204 No Content", [*added, ("Content-Length", "0")])
            return [b""]

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            return start_response(status, headers + added, exc_info)

        return app(environ, start)

    return around


def request_id(app: App) -> App:
    def around(environ: Any, start_response: Any) -> Any:
        given = environ.get("HTTP_X_REQUEST_ID") or str(uuid.uuid4())
        environ["HTTP_X_REQUEST_ID"] = environ["request_id"] = given

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Request-ID", given)], exc_info)

        return app(environ, start)

    return around


def timing(app: App) -> App:
    def around(environ: Any, start_response: Any) -> Any:
        begun = time.monotonic()

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            took = (time.monotonic() - begun) * 1000
            fields = [*headers, ("X-Response-Time", f"{took:.2f}ms")]
            return start_response(status, fields, exc_info)

        return app(environ, start)

    return around


def described_gzip(app: App) -> App:
    def around(environ: Any, start_response: Any) -> Any:
        kept: list[Any] = []

        def start(status: str, headers: Any) -> None:
            kept[:] = [status, headers]

        body = gzip.compress(b"".join(app(environ, start)))
        fields = [pair for pair in kept[1] if pair[0] != "Content-Length"]
        start_response(kept[0], [*fields, ("Content-Encoding", "gzip")])
        return [body]

    return around


def shared_options(app: App, allow_headers: list[str] = ["Content-Type"]) -> App:  # noqa: B006
    """Keeps what it is given in a default that all of its kind share."""

    def around(environ: Any, start_response: Any) -> Any:
        allow_headers.append("X")
        return app(environ, start_response)

    return around
