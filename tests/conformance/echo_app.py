"""The application behind the corpus, as WSGI and as ASGI: it echoes what it saw of a request.

Each answer it makes carries `X-Echo: 1`; the server's own do not. A path without a route is the
echo: 200 and a JSON object: method, path (bytes as latin-1 text), raw_path, query, headers, body
(base64), version, scheme, script_name, kind, and the environ variables that header spoofing aims
at. The routes of `planned` misbehave on purpose: bad headers, wrong lengths, errors at any time.
/noread and /read1 do not read the body (whole), /sleep?MS and /late wait, /close asks to close.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

MARK = ("X-Echo", "1")
WATCHED = (
    "HTTP_PROXY", "REMOTE_USER", "AUTH_TYPE", "HTTP_X_FORWARDED_FOR", "HTTP_TRANSFER_ENCODING",
    "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_CONTENT_TYPE", "HTTP_HOST",
    "SERVER_PROTOCOL", "REMOTE_ADDR", "wsgi.input_terminated",
)  # fmt: skip
LARGEST = 64 << 20


class Boom(Exception):
    """Raised on purpose."""


class Plan(NamedTuple):
    """An answer that does not depend on the interface."""

    status: int
    headers: list[tuple[str, str]]
    parts: list[bytes]
    twist: str = ""


PLANS = {
    "/stream": Plan(200, [("Content-Type", "text/plain")], [b"part0\n", b"part1\n", b"part2\n"]),
    "/nolen": Plan(200, [("Content-Type", "text/plain")], [b"hello"]),
    "/noread": Plan(200, [("Content-Length", "6")], [b"noread"], "noread"),
    "/empty": Plan(200, [("Content-Length", "0")], []),
    "/badvalue": Plan(200, [("X-Bad", "a\r\nX-Injected: 1"), ("Content-Length", "2")], [b"ok"]),
    "/badname": Plan(200, [("X-Bad\r\nX-Injected", "1"), ("Content-Length", "2")], [b"ok"]),
    "/badstatus": Plan(200, [("Content-Length", "2")], [b"ok"], "badstatus"),
    "/short": Plan(200, [("Content-Length", "10")], [b"12345"]),
    "/long": Plan(200, [("Content-Length", "5")], [b"12345XXXXX"]),
    "/error": Plan(200, [], [], "error"),
    "/errormid": Plan(200, [], [b"first part\n"], "errormid"),
    "/body204": Plan(204, [], [b"oops"]),
    "/cl204": Plan(204, [("Content-Length", "4")], [b"oops"]),
    "/body304": Plan(304, [], [b"oops"]),
    "/te": Plan(200, [("Transfer-Encoding", "chunked")], [b"hello"]),
}


def planned(path: str, query: str) -> Plan | None:
    """The plan for a path; None for the echo and for routes that differ between interfaces."""
    if path.startswith("/status/"):
        return _status(path.removeprefix("/status/"))
    if path in ("/big", "/bigstream"):
        size = min(int(query or 0), LARGEST)
        if path == "/big":
            return Plan(200, [("Content-Length", str(size))], [b"x" * size])
        return Plan(200, [], [b"x" * min(65536, size - at) for at in range(0, size, 65536)])
    return PLANS.get(path)


def _status(text: str) -> Plan:
    code = int(text) if text.isdigit() and 200 <= int(text) <= 599 else 404
    body = b"" if code in (204, 205, 304) else b"status %d" % code
    headers = [("Content-Type", "text/plain")]
    if code not in (204, 304):
        headers.append(("Content-Length", str(len(body))))
    return Plan(code, headers, [body] if body else [])


def pause(path: str, query: str) -> float:
    """How long to wait before reading the body."""
    if path == "/late":
        return 0.3
    if path == "/sleep" and query.isdigit():
        return min(int(query), 2000) / 1000
    return 0.0


def encoded(seen: dict[str, Any], body: bytes) -> bytes:
    """The echo."""
    return json.dumps({**seen, "body": base64.b64encode(body).decode()}).encode()


# ---------------------------------------------------------------------------------------- WSGI


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """PEP 3333."""
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    stream = environ["wsgi.input"]
    plan = planned(path, query)
    if plan is not None:
        return _wsgi_plan(plan, stream, start_response)
    if path in ("/close", "/read1"):
        stream.read(*([1] if path == "/read1" else []))
        body = b"bye" if path == "/close" else b"read1"
        start_response("200 OK", [("Content-Length", str(len(body))), MARK])
        return [body]
    time.sleep(pause(path, query))
    out = encoded(_wsgi_seen(environ, path, query), stream.read())
    status = "405 Method Not Allowed" if environ["REQUEST_METHOD"] == "CONNECT" else "200 OK"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(out))), MARK]
    start_response(status, headers)
    return [out]


def _wsgi_plan(plan: Plan, stream: Any, start_response: Any) -> Iterable[bytes]:
    if plan.twist == "error":
        raise Boom("/error")
    if plan.twist != "noread":
        stream.read()
    reason = "OK\r\nX-Injected: 1" if plan.twist == "badstatus" else "Whatever"
    start_response(f"{plan.status} {reason}", [*plan.headers, MARK])
    return _then_boom(plan.parts) if plan.twist == "errormid" else iter(plan.parts)


def _then_boom(parts: list[bytes]) -> Iterator[bytes]:
    yield from parts
    raise Boom("/errormid")


def _wsgi_seen(environ: dict[str, Any], path: str, query: str) -> dict[str, Any]:
    headers = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers.append([key[5:].replace("_", "-").lower(), value])
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value != "":
            headers.append([key.replace("_", "-").lower(), value])
    return {
        "kind": "wsgi",
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "raw_path": environ.get("RAW_URI") or environ.get("REQUEST_URI"),
        "query": query,
        "headers": headers,
        "version": environ.get("SERVER_PROTOCOL", ""),
        "scheme": environ.get("wsgi.url_scheme"),
        "script_name": environ.get("SCRIPT_NAME", ""),
        "environ": {key: environ[key] for key in WATCHED if key in environ},
    }


# ---------------------------------------------------------------------------------------- ASGI


async def asgi_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI 3: lifespan, http, and a WebSocket that echoes."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await _websocket(receive, send)
        return
    path = scope["path"].encode("utf-8", "surrogateescape").decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    plan = planned(path, query)
    if plan is not None:
        await _asgi_plan(plan, receive, send)
        return
    await asyncio.sleep(pause(path, query))
    if path == "/read1":
        await receive()
        body: bytes | None = b""
    else:
        body = await _read(receive)
    if body is None:
        return
    if path == "/close":
        await _answer(send, 200, [("Connection", "close")], b"bye")
    elif path == "/read1":
        await _answer(send, 200, [], b"read1")
    else:
        out = encoded(_asgi_seen(scope, path, query), body)
        status = 405 if scope["method"] == "CONNECT" else 200
        await _answer(send, status, [("Content-Type", "application/json")], out)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": event + ".complete"})
        if event == "lifespan.shutdown":
            return


async def _websocket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": _encoded([MARK])})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def _read(receive: Any) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _asgi_plan(plan: Plan, receive: Any, send: Any) -> None:
    headers = plan.headers
    if plan.twist == "error":
        raise Boom("/error")
    if plan.twist == "badstatus":  # ASGI has no reason phrase: a bad value instead
        headers = PLANS["/badvalue"].headers
    if plan.twist != "noread" and await _read(receive) is None:
        return
    await _start(send, plan.status, headers)
    for part in plan.parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    if plan.twist == "errormid":
        raise Boom("/errormid")
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Any, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    await _start(send, status, [*headers, ("Content-Length", str(len(body)))])
    await send({"type": "http.response.body", "body": body})


async def _start(send: Any, status: int, headers: list[tuple[str, str]]) -> None:
    pairs = _encoded([*headers, MARK])
    await send({"type": "http.response.start", "status": status, "headers": pairs})


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _asgi_seen(scope: dict[str, Any], path: str, query: str) -> dict[str, Any]:
    return {
        "kind": "asgi",
        "method": scope["method"],
        "path": path,
        "raw_path": scope["raw_path"].decode("latin-1"),
        "query": query,
        "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]],
        "version": "HTTP/" + scope["http_version"],
        "scheme": scope["scheme"],
        "script_name": scope["root_path"],
        "environ": {},
    }
