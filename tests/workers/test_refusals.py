"""Refused requests, by both kinds of workers: the answer, the line of the log, the access log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import RawClient, eventually, serve

SOURCE = """
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("x", "y")])
    return [b"ok"]
"""
REQUESTS = {
    b"GET /one HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 9 + b"\r\n": (
        431, "127.0.0.1: refused: 431 There are too many headers. (--limit-headers 5): GET /one",
        'GET /one',
    ),
    b"POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n": (
        413, "refused: 413 The request body is too large. (--limit-body 1KiB): POST /two",
        'POST /two',
    ),
    b"POST /three HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n": (
        413, "refused: 413 The request body is too large. (--limit-body 1KiB): POST /three",
        'POST /three',
    ),
    b"GET /" + b"x" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n": (
        414, "refused: 414 The request line is too long. (--limit-request-line 100): GET /xxx",
        'GET /xxx',
    ),
    b"\x16\x03\x01\x00\xa5\x01\x00": (
        400, "refused: 400 This address speaks plain HTTP, and the client TLS: use http://", ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_refusal_is_told_and_logged(kind: str, tmp_path: Path) -> None:
    limits = ["--limit-headers", "5", "--limit-body", "1KiB", "--limit-request-line", "100"]
    form = "--access-log-format=%(m)s %(U)s %(s)s %({x}o)s"
    access = tmp_path / "access.log"
    with serve(
        f"app:{kind}", *limits, form, "--access-log", str(access), source=SOURCE, cwd=tmp_path
    ) as server:
        for raw, (status, line, asked) in REQUESTS.items():
            with RawClient(server.address) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.response().status == 200
                client.send(raw)
                assert client.response().status == status
            server.wait_for_output(line)
            if asked:
                logged = re.compile(rf"^{asked}\S* {status} -$", re.MULTILINE)
                eventually(lambda it=logged: it.search(access.read_text()), asked)
        assert server.stop() == 0
