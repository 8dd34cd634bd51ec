"""One small site, for each interface, that the tests of the clients visit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

Answer = tuple[str, list[tuple[str, str]], bytes]
PLAIN = ("Content-Type", "text/plain; charset=utf-8")


def answer(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Answer:
    """What the site says."""
    if path == "/see":
        seen = {"method": method, "query": query, "headers": headers, "body": body.decode()}
        content = json.dumps(seen).encode()
        return _whole("200 OK", [("Content-Type", "application/json")], content)
    if path == "/twice":
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/twice")]
        return _whole("201 Created", [*cookies, ("X-A", "1"), ("x-a", "2"), PLAIN], b"two")
    if path.startswith("/to/"):
        location = path.removeprefix("/to")
        return _whole(
            "307 Temporary Redirect", [("Location", location), ("Set-Cookie", "r=1; Path=/")], b""
        )
    if path == "/round":
        return _whole("302 Found", [("Location", "/round")], b"")
    if path == "/nothing":
        return "204 No Content", [], b""
    if path == "/raise":
        raise LookupError("of the application")
    return _whole("404 Not Found", [PLAIN], b"Not here.\n")


def _whole(status: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
    return status, [*headers, ("Content-Length", str(len(body)))], body


def wsgi_site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    status, fields, body = answer(
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"],
        environ["QUERY_STRING"],
        headers,
        environ["wsgi.input"].read(),
    )
    start_response(status, fields)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body] if body else []


async def asgi_site(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            break
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode()
        joint = "; " if key == "cookie" else ","
        headers[key] = joint.join(filter(None, [headers.get(key), value.decode()]))
    path = scope["path"].removeprefix(scope["root_path"])
    status, fields, content = answer(
        scope["method"], path, scope["query_string"].decode(), headers, body
    )
    pairs = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": pairs})
    await send(
        {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content}
    )


SITES: dict[str, Any] = {"wsgi": wsgi_site, "asgi": asgi_site}
