"""Behind a proxy, over real sockets: what a trusted one says is applied alike under both
interfaces, and what anybody else says is left as it came. Real proxies: test_real_proxies.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import RawClient, eventually, serve

APP = """
import json

def wsgi(environ, start_response):
    body = json.dumps({
        "client": [environ["REMOTE_ADDR"], environ["REMOTE_PORT"]],
        "scheme": environ["wsgi.url_scheme"],
        "server": [environ["SERVER_NAME"], environ["SERVER_PORT"]],
        "root": environ["SCRIPT_NAME"],
        "path": environ["SCRIPT_NAME"] + environ["PATH_INFO"],
        "host": environ.get("HTTP_HOST"),
        "raw": environ.get("HTTP_X_FORWARDED_FOR"),
    }).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    headers = {}
    for name, value in scope["headers"]:
        headers[name] = value if name not in headers else headers[name] + b"," + value
    client = scope["client"] or ["", ""]
    body = json.dumps({
        "client": [client[0], str(client[1])],
        "scheme": scope["scheme"],
        "server": [scope["server"][0], str(scope["server"][1])],
        "root": scope["root_path"],
        "path": scope["path"],
        "host": headers[b"host"].decode(),
        "raw": headers.get(b"x-forwarded-for", b"").decode() or None,
    }).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
KINDS = pytest.mark.parametrize("kind", ["wsgi", "asgi"])
TOLD = (
    "X-Forwarded-For: 6.6.6.6, 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.example",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: /shop",
)
APPLIED = {
    "client": ["203.0.113.9", "0"],
    "scheme": "https",
    "server": ["shop.example", "8443"],
    "root": "/shop",
    "path": "/shop/a",
    "host": "shop.example:8443",
}


def ask(client: RawClient, *headers: str, target: str = "/a") -> dict[str, Any]:
    answer = client.request("GET", target, *headers)
    assert answer.status == 200, answer
    told = json.loads(answer.body)
    assert isinstance(told, dict)
    return told


@KINDS
def test_a_trusted_proxy_is_believed_request_by_request(kind: str) -> None:
    options = ("--forwarded-allow-ips", "10.0.0.0/8,127.0.0.1", "--lifespan", "off")
    options = options[:2] if kind == "wsgi" else options
    with serve(f"app:{kind}", *options, source=APP) as server:
        with RawClient(server.address) as client:
            for _ in range(2):  # a repeated head is not read again
                assert APPLIED.items() <= ask(client, *TOLD).items()
            plain = ask(client)
            own = str(client.socket.getsockname()[1])
            assert plain["client"] == ["127.0.0.1", own]
            assert (plain["scheme"], plain["root"], plain["host"]) == ("http", "", "test")
            rfc = 'Forwarded: for="[2001:db8::9]:77";proto=https;host=b.example'
            told = ask(client, rfc)
            assert told["client"] == ["2001:db8::9", "77"]
            assert told["server"] == ["b.example", "443"]
            assert ask(client, "X-Forwarded-For: unknown")["client"] == ["", ""]
        server.wait_for_output(" 203.0.113.9 GET /a ")


@KINDS
@pytest.mark.parametrize("allow", ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_a_listener_for_both_families_names_clients_of_ipv4_by_their_address(
    kind: str, allow: str
) -> None:
    options = ("--bind", "[::]:0", "--forwarded-allow-ips", allow)
    with serve(f"app:{kind}", *options, source=APP) as server:
        with RawClient(("127.0.0.1", server.port)) as client:
            told = ask(client)
            own = [client.socket.getsockname()[0], str(client.socket.getsockname()[1])]
            assert told["client"] == own
            assert told["server"] == ["127.0.0.1", str(server.port)]
            assert ask(client, *TOLD)["client"] == ["203.0.113.9", "0"]
            assert ask(client, "X-Forwarded-For: ::ffff:6.6.6.6")["client"] == ["6.6.6.6", "0"]
        with RawClient(("127.0.0.1", server.port)) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            assert client.response().status == 400
        with RawClient(("::1", server.port)) as client:
            assert ask(client, *TOLD)["client"][0] == "::1"
        eventually(lambda: server.stdout.count("\n") == 4, "four lines of access log")
        clients = [line.split()[2] for line in server.stdout.splitlines()]
        assert clients == ["127.0.0.1", "203.0.113.9", "6.6.6.6", "::1"]
        assert "127.0.0.1: refused: " in server.wait_for_output(": refused: ")
        assert "::ffff:" not in server.output.replace(allow, "")


@KINDS
def test_nobody_else_is_believed(kind: str) -> None:
    with serve(f"app:{kind}", "--forwarded-allow-ips", "10.0.0.0/8", source=APP) as server:
        with RawClient(server.address) as client:
            told = ask(client, *TOLD, "Forwarded: for=1.2.3.4;proto=https")
            own = str(client.socket.getsockname()[1])
        assert told["client"] == ["127.0.0.1", own]
        assert (told["scheme"], told["root"], told["host"]) == ("http", "", "test")
        assert told["raw"] == "6.6.6.6, 203.0.113.9", "what was sent is left as it was"


@KINDS
def test_what_cannot_be_understood_is_refused(kind: str) -> None:
    with serve(f"app:{kind}", "--forwarded-allow-ips", "*", source=APP) as server:
        for headers in (["X-Forwarded-Proto: gopher"], ["X-Forwarded-For: me"]):
            for body in (b"", b"small", b"x" * 300_000):
                with RawClient(server.address) as client:
                    answer = client.request("POST" if body else "GET", "/", *headers, body=body)
                    assert answer.status == 400
                    assert answer.header("connection") == "close"
        with RawClient(server.address) as client:
            assert ask(client)["scheme"] == "http"


@KINDS
@pytest.mark.parametrize(("entry", "believed"), [("unix", True), ("127.0.0.1", False)])
def test_a_unix_socket_is_trusted_by_its_name(
    kind: str, entry: str, believed: bool, tmp_path: Path
) -> None:
    path = str(tmp_path / "s")
    args = ("--forwarded-allow-ips", entry, "-b", f"unix:{path}")
    with serve(f"app:{kind}", *args, source=APP, ready=False) as server:
        server.wait_for_output("pid")
        with RawClient(path) as client:
            assert (ask(client, *TOLD)["client"] == APPLIED["client"]) is believed


def test_only_the_chosen_headers_are_read() -> None:
    env = {"FORWARDED_ALLOW_IPS": "127.0.0.1", "BARE_SERVE_FORWARDED_HEADERS": "x-forwarded-for"}
    with serve("app:wsgi", source=APP, env=env) as server, RawClient(server.address) as client:
        told = ask(client, *TOLD)
        assert told["client"] == APPLIED["client"]
        assert (told["scheme"], told["host"], told["root"]) == ("http", "test", "")
