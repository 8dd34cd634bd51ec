"""Pairs of applications, WSGI and ASGI, that answer alike; and what tests do with both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.testing import TestClient, lint

App = Callable[..., Any]
TEXT = "text/plain; charset=utf-8"
JSON = b'{"a": "' + b"abcdefgh" * 512 + b'"}'


class Unfinished(Exception):
    """What the applications here raise."""


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    """Answers by path; see `asgi`."""
    path = environ["PATH_INFO"]
    if path == "/json":
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(JSON)))]
        start_response("200 OK", [*fields, ("ETag", '"abc"')])
        return [JSON]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", TEXT)])
        return pieces(environ)
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", TEXT)])
        write(b"one\n")
        write(b"two\n")
        return [b"three\n"]
    if path == "/late-start":
        return late_start(start_response)
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    if path == "/same":
        start_response("304 Not Modified", [("ETag", '"abc"')])
        return []
    if path == "/cookies":
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        start_response("302 Found", [("Location", "/hello"), *cookies, ("Content-Length", "0")])
        return [b""]
    if path == "/echo":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [("Content-Type", TEXT)])
        return [b"got: " + body]
    if path == "/fail":
        raise Unfinished("before the answer")
    start_response("200 OK", [("Content-Type", TEXT), ("Content-Length", "6")])
    return [b"hello\n"]


def pieces(environ: dict[str, Any]) -> Iterator[bytes]:
    """Yield three, the second of them empty."""
    yield b"one\n"
    yield b""
    yield b"two\n"


def late_start(start_response: Any) -> Iterator[bytes]:
    """Begin the answer when it is asked for its first piece."""
    start_response("200 OK", [("Content-Type", TEXT)])
    yield b"late\n"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answers by path as `wsgi` does; echoes WebSockets; has a lifespan."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
        return
    path = scope["path"]
    status, fields, body = 200, [(b"content-type", TEXT.encode())], [b"hello\n"]
    if path == "/json":
        fields = [(b"content-type", b"application/json"), (b"etag", b'"abc"')]
        fields.append((b"content-length", b"%d" % len(JSON)))
        body = [JSON]
    elif path in ("/stream", "/write", "/late-start"):
        body = {
            "/stream": [b"one\n", b"", b"two\n"],
            "/write": [b"one\n", b"two\n", b"three\n"],
            "/late-start": [b"late\n"],
        }[path]
    elif path == "/empty":
        status, fields, body = 204, [], [b""]
    elif path == "/same":
        status, fields, body = 304, [(b"etag", b'"abc"')], [b""]
    elif path == "/cookies":
        cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        status, body = 302, [b""]
        fields = [(b"location", b"/hello"), *cookies, (b"content-length", b"0")]
    elif path == "/echo":
        read = b""
        while True:
            message = await receive()
            read += message["body"]
            if not message["more_body"]:
                break
        body = [b"got: " + read]
    elif path == "/fail":
        raise Unfinished("before the answer")
    else:
        fields.append((b"content-length", b"6"))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    for number, piece in enumerate(body, 1):
        more = number < len(body)
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def lifespan(receive: Any, send: Any) -> None:
    """Begin and end."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    """Tell what the scope says of id and user, and echo."""
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-app", b"yes")]})
    while (message := await receive())["type"] == "websocket.receive":
        said = f"{scope.get('request_id')} {scope.get('user')} {message['text']}"
        await send({"type": "websocket.send", "text": said})


PATHS = (
    *("/hello", "/json", "/stream", "/write", "/late-start", "/empty", "/same", "/cookies"),
    *("/echo", "/fail"),
)
BOTH = pytest.mark.parametrize("app", [wsgi, asgi], ids=["wsgi", "asgi"])


def client(app: App, around: Callable[[App], App], **options: Any) -> TestClient:
    """A client of `app` with something around it, and a lint on both sides of that."""
    return TestClient(around(lint(app)), raise_app_exceptions=False, **options)


def against(ours: Any, *books: Any) -> Any:
    """Run a test with each of `ours`, and have it fail with each of `books`.

    What is given are middleware, or things that become one when the test calls them.
    """

    def decorate(test: Callable[[Any], None]) -> Any:
        def check(version: Any, fails: bool) -> None:
            if not fails:
                test(version)
                return
            try:
                test(version)
            except (Exception, pytest.fail.Exception):
                return
            pytest.fail("the book's version passes")

        every = ours if isinstance(ours, list) else [ours]
        cases = [pytest.param(each, False, id=f"ours{n or ''}") for n, each in enumerate(every)]
        cases += [pytest.param(each, True, id=f"book{n or ''}") for n, each in enumerate(books)]
        check.__doc__ = test.__doc__
        return pytest.mark.parametrize(("version", "fails"), cases)(check)

    return decorate
