"""Behind a real nginx and a real HAProxy: plain, TLS and WebSockets, with headers and with PROXY,
and no client can lie. The configurations in deploy/ are run as they are, but for ports and paths.
"""

from __future__ import annotations

import grp
import json
import os
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support import RawClient, Server, eventually, serve
from tests.support.real_proxies import (
    CLIENT,
    NGINX_HEAD,
    NGINX_HTTP,
    STREAM_MODULE,
    certificate,
    free_port,
    haproxy,
    needs_haproxy,
    needs_nginx,
    needs_stream,
    nginx,
    trusting,
)

pytestmark = pytest.mark.long

APP = """
import json

def wsgi(environ, start_response):
    body = json.dumps({
        "client": environ["REMOTE_ADDR"],
        "scheme": environ["wsgi.url_scheme"],
        "server": [environ["SERVER_NAME"], environ["SERVER_PORT"]],
        "root": environ["SCRIPT_NAME"],
        "host": environ.get("HTTP_HOST"),
    }).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    body = json.dumps({
        "client": (scope["client"] or [""])[0],
        "scheme": scope["scheme"],
        "server": [scope["server"][0], str(scope["server"][1])],
        "root": scope["root_path"],
        "host": dict(scope["headers"])[b"host"].decode(),
    }).encode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": body.decode()})
        while (said := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": said["text"].upper()})
        return
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
KINDS = pytest.mark.parametrize("kind", ["wsgi", "asgi"])
LIES = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: gopher",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "Forwarded: for=6.6.6.6;proto=gopher;host=evil.example",
    "X_Forwarded_For: 6.6.6.6",
)


@dataclass(frozen=True)
class Front:
    """A port of a proxy, and what the application has to be told behind it."""

    port: int
    told: dict[str, Any]
    tls: ssl.SSLContext | None = None

    def check(self) -> None:
        """HTTP, twice on one connection, with and without lies."""
        with RawClient(("127.0.0.1", self.port), source=CLIENT) as client:
            if self.tls is not None:
                client.socket = self.tls.wrap_socket(client.socket, server_hostname="localhost")
            for headers in ((), LIES, ()):
                answer = client.request("GET", "/", *headers)
                assert answer.status == 200, (self, answer)
                told = json.loads(answer.body)
                assert self.told.items() <= told.items(), headers

    def check_websocket(self) -> None:
        """A WebSocket that says something both ways, from a client who lies."""
        scheme = "ws" if self.tls is None else "wss"
        with connect(
            f"{scheme}://localhost:{self.port}/",
            ssl=self.tls,
            source_address=(CLIENT, 0),
            additional_headers=[tuple(lie.split(": ")) for lie in LIES],
        ) as websocket:
            told = json.loads(websocket.recv(timeout=20))
            scheme = {"http": "ws", "https": "wss"}[self.told["scheme"]]
            expected = {**self.told, "scheme": scheme, "host": f"localhost:{self.port}"}
            if "server" in expected and expected["server"][0] == "test":
                del expected["server"]
            assert expected.items() <= told.items()
            websocket.send("hello")
            assert websocket.recv(timeout=20) == "HELLO"

    def check_all(self, kind: str) -> None:
        self.check()
        if kind == "asgi":
            self.check_websocket()


def headers_told(scheme: str) -> dict[str, Any]:
    """Behind a proxy that sets all the headers."""
    port = "443" if scheme == "https" else "80"
    return {
        "client": CLIENT,
        "scheme": scheme,
        "host": "test",
        "root": "",
        "server": ["test", port],
    }


def proxy_told(port: int, scheme: str = "http") -> dict[str, Any]:
    """Behind a proxy that sends a PROXY header."""
    server = ["127.0.0.1", str(port)]
    return {"client": CLIENT, "scheme": scheme, "host": "test", "root": "", "server": server}


@pytest.fixture
def plain(kind: str) -> Iterator[Server]:
    """Trusts headers from 127.0.0.1, where the proxy is; the client is at 127.0.0.2."""
    with serve(f"app:{kind}", "--forwarded-allow-ips", "127.0.0.1", source=APP) as server:
        yield server


@pytest.fixture
def proxied(kind: str) -> Iterator[Server]:
    """Wants a PROXY header from there."""
    args = ("--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1")
    with serve(f"app:{kind}", *args, source=APP) as server:
        yield server


def deployed(root: Path, name: str, changes: dict[str, str]) -> str:
    """A configuration of deploy/ for this machine."""
    text = (root / "deploy" / name).read_text()
    for there, here in changes.items():
        assert there in text, f"{name} has no {there!r}"
        text = text.replace(there, here)
    return text


# ------------------------------------------------------------------ HAProxy


@needs_haproxy
@KINDS
def test_behind_haproxy_with_headers(kind: str, plain: Server, root: Path, tmp_path: Path) -> None:
    web, tls = free_port(), free_port()
    pem = certificate(tmp_path)
    changes = {
        "bind :80\n": f"bind 127.0.0.1:{web}\n",
        "bind :443": f"bind 127.0.0.1:{tls}",
        "/etc/haproxy/site.pem": str(pem),
        "one 127.0.0.1:8000": f"one 127.0.0.1:{plain.port}",
    }
    with haproxy(tmp_path, deployed(root, "haproxy.cfg", changes), web, tls):
        Front(web, headers_told("http")).check_all(kind)
        Front(tls, headers_told("https"), trusting(pem)).check_all(kind)
        plain.wait_for_output(f" {CLIENT} GET / ")


@needs_haproxy
@KINDS
def test_behind_haproxy_that_relays_bytes(
    kind: str, proxied: Server, root: Path, tmp_path: Path
) -> None:
    web, tls = free_port(), free_port()
    pem = certificate(tmp_path)
    changes = {
        "bind :80\n": f"bind 127.0.0.1:{web}\n",
        "bind :443": f"bind 127.0.0.1:{tls}",
        "/etc/haproxy/site.pem": str(pem),
        "one 127.0.0.1:8000": f"one 127.0.0.1:{proxied.port}",
        # Often, so that some checks fall into the test.
        "check check-send-proxy": "check inter 200 check-send-proxy",
    }
    with haproxy(tmp_path, deployed(root, "haproxy-tcp.cfg", changes), web, tls):
        Front(web, proxy_told(web)).check_all(kind)
        Front(tls, proxy_told(tls, "https"), trusting(pem)).check_all(kind)
        proxied.wait_for_output(f" {CLIENT} GET / ")
    assert "PROXY header" not in proxied.output, "each check was understood"


PROXY_CONFIG = """
defaults
  timeout connect 5s
  timeout client 30s
  timeout server 30s
{listens}
"""
LISTEN = """
listen l{port}
  mode {mode}
  bind 127.0.0.1:{port}
  {more}
  server one 127.0.0.1:{upstream} {how}
"""


@needs_haproxy
@KINDS
def test_every_way_of_haproxy_to_send_a_proxy_header(
    kind: str, proxied: Server, tmp_path: Path
) -> None:
    ways = [
        (mode, how)
        for mode in ("tcp", "http")
        for how in (
            "send-proxy",
            "send-proxy-v2",
            "send-proxy-v2 proxy-v2-options crc32c,unique-id",
            "send-proxy-v2-ssl-cn",
        )
    ]
    ports = [free_port() for _ in ways]
    listens = "".join(
        LISTEN.format(mode=mode, port=port, how=how, upstream=proxied.port, more="")
        for port, (mode, how) in zip(ports, ways, strict=True)
    )
    with haproxy(tmp_path, PROXY_CONFIG.format(listens=listens), *ports):
        for port in ports:
            Front(port, proxy_told(port)).check_all(kind)
    assert "PROXY header" not in proxied.output


@needs_haproxy
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@KINDS
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
def test_haproxy_that_listens_on_both_families_at_once(
    how: str, kind: str, proxied: Server, tmp_path: Path
) -> None:
    """It names clients of IPv4 as IPv6 (::ffff:127.0.0.2)."""
    port = free_port()
    listens = LISTEN.format(mode="tcp", port=port, how=how, upstream=proxied.port, more="")
    listens = listens.replace(f"bind 127.0.0.1:{port}", f"bind :::{port} v4v6")
    assert "v4v6" in listens
    with haproxy(tmp_path, PROXY_CONFIG.format(listens=listens), port):
        Front(port, proxy_told(port)).check_all(kind)
    assert "PROXY header" not in proxied.output


@needs_haproxy
@KINDS
def test_tls_through_haproxy_to_the_server(kind: str, tmp_path: Path) -> None:
    """The proxy sees ciphertext only, and names the client before it."""
    pem = certificate(tmp_path)
    port = free_port()
    args = ("-b", "tls:127.0.0.1:0", "--ssl-certfile", str(pem), "--ssl-keyfile", str(pem))
    trust = ("--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1")
    with serve(f"app:{kind}", *args, *trust, source=APP) as server:
        how = "send-proxy-v2 check check-send-proxy check-ssl verify none inter 200"
        listens = LISTEN.format(mode="tcp", port=port, upstream=server.port, how=how, more="")
        with haproxy(tmp_path, PROXY_CONFIG.format(listens=listens), port):
            Front(port, proxy_told(port, "https"), trusting(pem)).check_all(kind)
    assert "PROXY header" not in server.output


@needs_haproxy
@KINDS
def test_a_proxy_behind_a_proxy(kind: str, tmp_path: Path) -> None:
    """The outer one sets headers, the inner one relays and names the outer one by PROXY."""
    outer, inner = free_port(), free_port()
    args = ("--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1,127.0.0.3")
    with serve(f"app:{kind}", *args, source=APP) as server:
        headers = "\n  ".join(
            (
                "http-request set-header X-Forwarded-For %[src]",
                "http-request set-header X-Forwarded-Proto https",
                *(f"http-request del-header X-Forwarded-{x}" for x in ("Host", "Port", "Prefix")),
                "http-request del-header Forwarded",
            )
        )
        listens = LISTEN.format(
            mode="http", port=outer, upstream=inner, how="source 127.0.0.3", more=headers
        ) + LISTEN.format(
            mode="tcp", port=inner, upstream=server.port, how="send-proxy-v2", more=""
        )
        with haproxy(tmp_path, PROXY_CONFIG.format(listens=listens), outer, inner):
            told = {"client": CLIENT, "scheme": "https", "host": "test", "root": ""}
            Front(outer, told).check_all(kind)
            # Who goes round the outer one is not believed.
            Front(inner, proxy_told(inner)).check_all(kind)


# ------------------------------------------------------------------ nginx


@needs_nginx
@KINDS
@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_behind_nginx_with_headers(
    kind: str, over: str, plain: Server, root: Path, tmp_path: Path
) -> None:
    web, tls = free_port(), free_port()
    pem = certificate(tmp_path)
    with ExitStack() as stack:
        upstream = f"127.0.0.1:{plain.port}"
        if over == "unix":
            path = tmp_path / "app.sock"
            args = ("-b", f"unix:{path}", "--forwarded-allow-ips", "unix")
            stack.enter_context(serve(f"app:{kind}", *args, source=APP, ready=False))
            eventually(path.exists, "the socket is there")
            upstream = f"unix:{path}"
        changes = {
            "server 127.0.0.1:8000;": f"server {upstream};",
            "listen 80;": f"listen 127.0.0.1:{web};",
            "listen 443 ssl;": f"listen 127.0.0.1:{tls} ssl;",
            "/etc/nginx/site.crt": str(pem.with_name("cert.pem")),
            "/etc/nginx/site.key": str(pem.with_name("cert.key")),
        }
        text = NGINX_HEAD + NGINX_HTTP
        text = text.format(dir=tmp_path) + deployed(root, "nginx.conf", changes) + "}\n"
        stack.enter_context(nginx(tmp_path, text, web, tls))
        Front(web, headers_told("http")).check_all(kind)
        Front(tls, headers_told("https"), trusting(pem)).check_all(kind)


def documented(root: Path) -> list[str]:
    """The command that docs/deployment.md gives for a unix socket, without the target."""
    text = (root / "docs" / "deployment.md").read_text()
    line = next(line for line in text.splitlines() if "--bind unix:/run/shop/web.sock" in line)
    assert "install -d -o shop -g www-data -m 2710 /run/shop" in text
    return line.split()[2:]


@needs_nginx
@pytest.mark.skipif(os.geteuid() != 0, reason="another user's nginx takes root")
@pytest.mark.skipif("www-data" not in {it.gr_name for it in grp.getgrall()}, reason="of Debian")
@pytest.mark.parametrize("group", ["www-data", "root"])
def test_the_documented_unix_socket_is_for_an_nginx_of_another_user(
    group: str, root: Path, tmp_path: Path
) -> None:
    """As www-data, which may write to the socket by its group alone; without that it is a 502."""
    web = free_port()
    config = f"""
    server {{ listen 127.0.0.1:{web}; location / {{ proxy_pass http://bare_serve; }} }}
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        place = Path(name, "shop")
        subprocess.run(
            ["install", "-d", "-o", "root", "-g", group, "-m", "2710", str(place)], check=True
        )
        place.chmod(0o2711)  # so that only the socket's own mode decides
        path = str(place / "web.sock")
        args = [each.replace("/run/shop/web.sock", path) for each in documented(root)]
        stack.enter_context(serve("app:wsgi", *args, source=APP, ready=False))
        eventually(Path(path).exists, "the socket is there")
        upstream = f"upstream bare_serve {{ server unix:{path}; }}"
        head = NGINX_HEAD.replace("master_process off;", "user www-data;")
        text = f"{head}{NGINX_HTTP}".format(dir=tmp_path) + f"{upstream} {config} }}\n"
        stack.enter_context(nginx(tmp_path, text, web))
        with RawClient(("127.0.0.1", web)) as client:
            status = client.request().status
    assert status == (200 if group == "www-data" else 502)


STREAM = """
stream {{
  server {{ listen 127.0.0.1:{web}; proxy_pass 127.0.0.1:{upstream}; proxy_protocol on; }}
  server {{
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/cert.key;
    proxy_pass 127.0.0.1:{upstream}; proxy_protocol on;
  }}
}}
"""


@needs_nginx
@needs_stream
@KINDS
def test_behind_nginx_that_relays_bytes(kind: str, proxied: Server, tmp_path: Path) -> None:
    web, tls = free_port(), free_port()
    pem = certificate(tmp_path)
    text = f"load_module {STREAM_MODULE};\n{NGINX_HEAD}{STREAM}"
    text = text.format(dir=tmp_path, web=web, tls=tls, upstream=proxied.port)
    with nginx(tmp_path, text, web, tls):
        Front(web, proxy_told(web)).check_all(kind)
        # Version 1, which is all that nginx sends, cannot tell of TLS.
        Front(tls, proxy_told(tls), trusting(pem)).check_all(kind)
        proxied.wait_for_output(f" {CLIENT} GET / ")
    assert "PROXY header" not in proxied.output
