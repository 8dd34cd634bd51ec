"""PROXY headers over real sockets, for both engines: trusted proxies name their clients in
environ, scope and log alike, before anything else; nobody else can, and no worker is held up."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support import RawClient, Server, eventually, run_cli, serve
from tests.support.proxy_headers import (
    LOCAL,
    TCP4,
    TCP6,
    UNIX,
    UNSPEC,
    block,
    inet,
    line,
    unix,
    value,
)
from tests.support.real_proxies import certificate, trusting

APP = """
import json

def wsgi(environ, start_response):
    body = json.dumps({
        "client": [environ["REMOTE_ADDR"], environ["REMOTE_PORT"]],
        "server": [environ["SERVER_NAME"], environ["SERVER_PORT"]],
        "scheme": environ["wsgi.url_scheme"],
    }).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    told = json.dumps({
        "client": [str(part) for part in scope["client"] or ["", ""]],
        "server": ["localhost", "80"] if scope["server"][1] is None
                  else [str(part) for part in scope["server"]],
        "scheme": scope["scheme"],
    })
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told.encode()})
"""
WSGI, ASGI = ("app:wsgi",), ("app:asgi", "--lifespan", "off")
KINDS = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(WSGI, id="wsgi"),
        pytest.param((*WSGI, "--threads", "1"), id="wsgi, one thread"),
        pytest.param((*ASGI, "--loop", "uvloop"), id="asgi, uvloop"),
        pytest.param((*ASGI, "--loop", "asyncio"), id="asgi, asyncio"),
    ],
)
V1 = line("192.0.2.7", "203.0.113.1")
V2 = block(TCP4, inet("192.0.2.7", "203.0.113.1"))
TOLD = {"client": ["192.0.2.7", "4000"], "server": ["203.0.113.1", "443"], "scheme": "http"}
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@contextmanager
def server_of(kind: tuple[str, ...], *options: str, trust: str = "127.0.0.1") -> Iterator[Server]:
    args = (*kind, "--proxy-protocol", "--forwarded-allow-ips", trust, *options)
    with serve(*args, source=APP) as server:
        yield server


def ask(server: Server, *pieces: bytes) -> dict[str, Any]:
    """What the application was told on a connection that begins by these bytes."""
    with RawClient(server.address) as client:
        client.send(*pieces)
        answer = client.response()
        assert answer.status == 200, answer
        told = json.loads(answer.body)
        assert json.loads(client.request().body) == told, "it holds for the whole connection"
    assert isinstance(told, dict)
    return told


@KINDS
def test_a_trusted_proxy_names_the_client(kind: tuple[str, ...]) -> None:
    six = {"client": ["2001:db8::7", "4000"], "server": ["2001:db8::1", "443"], "scheme": "http"}
    with server_of(kind) as server:
        for header in (V1, V2):
            assert ask(server, header + GET) == TOLD
            assert ask(server, header, GET) == TOLD
            assert ask(server, *(bytes((byte,)) for byte in header), GET) == TOLD
            assert ask(server, header[:5], header[5:] + GET[:9], GET[9:]) == TOLD
        assert ask(server, line("2001:db8::7", "2001:db8::1") + GET) == six
        assert ask(server, block(TCP6, inet("2001:db8::7", "2001:db8::1")) + GET) == six
        long = block(TCP4, inet("192.0.2.7", "203.0.113.1"), value(4, bytes(5000)))
        assert ask(server, long + GET) == TOLD
        tls = block(TCP4, inet("192.0.2.7", "203.0.113.1"), value(0x20, b"\x01\0\0\0\0"))
        assert ask(server, tls + GET) == {**TOLD, "scheme": "https"}
        through_unix = ask(server, block(UNIX, unix(b"", b"/run/proxy.sock")) + GET)
        assert through_unix["client"] == ["", ""]
        assert through_unix["server"] == ["localhost", "80"]
        output = server.wait_for_output(" 2001:db8::7 GET / ")
        assert " 192.0.2.7 GET / " in output


@KINDS
def test_the_client_has_to_be_trusted_itself_to_be_believed(kind: tuple[str, ...]) -> None:
    lie = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n"
    with server_of(kind, trust="127.0.0.1,192.0.2.0/24") as server:

        def client_of(header: bytes) -> str:
            with RawClient(server.address) as client:
                client.send(header + lie)
                return str(json.loads(client.response().body)["client"][0])

        assert client_of(V1) == "198.51.100.9", "a proxy behind the proxy"
        assert client_of(line("203.0.113.7", "203.0.113.1")) == "203.0.113.7"
        # The proxy speaks for somebody whom it cannot name: that one is not the proxy.
        assert client_of(b"PROXY UNKNOWN\r\n") == "127.0.0.1"
        assert client_of(block(UNSPEC)) == "127.0.0.1"
        assert client_of(block(UNIX, unix(b"", b"/s"))) == ""
        # The proxy speaks for itself, and is trusted.
        assert client_of(block(UNSPEC, command=LOCAL)) == "198.51.100.9"


@KINDS
def test_a_header_that_is_missing_or_malformed_ends_the_connection(kind: tuple[str, ...]) -> None:
    garbage = (GET, b"\x16\x03\x01\x02\0\x01", V1[:-2] + b" 1\r\n", V2[:13] + b"\x44" + V2[14:])
    with server_of(kind) as server:
        for data in garbage:
            with RawClient(server.address) as client:
                client.send(data)
                assert client.is_closed()
        with RawClient(server.address) as client:
            client.send(V1 + GET + V1 + GET)  # only once, and only at the beginning
            assert client.response().status == 200
            assert client.response().status == 400
        for part in (b"", V1[:9], V2[:20]):  # a check of the port, a proxy that leaves
            with RawClient(server.address) as client:
                client.send(part)
                client.send_eof()
                assert client.is_closed()
        assert ask(server, V1 + GET) == TOLD
        refused = "127.0.0.1: refused: no PROXY header"
        eventually(lambda: server.output.count(refused) >= len(garbage), "they are in the log")
        assert server.output.count(refused) == len(garbage), "and nothing of those that left"
        assert "Traceback" not in server.output


@KINDS
def test_nobody_else_can_name_a_client(kind: tuple[str, ...]) -> None:
    with server_of(kind, trust="10.0.0.0/8") as server:
        for header in (V1, V2):
            with RawClient(server.address) as client:
                client.send(header + GET)
                assert client.response().status == 400
                assert client.is_closed()
        with RawClient(server.address) as client:
            told = json.loads(client.request().body)
            assert told["client"] == ["127.0.0.1", str(client.socket.getsockname()[1])]
        assert "192.0.2.7" not in server.output


@KINDS
def test_a_header_that_does_not_come_is_waited_for_until_its_deadline(
    kind: tuple[str, ...],
) -> None:
    with server_of(kind, "--timeout-headers", "1") as server:
        with RawClient(server.address) as silent, RawClient(server.address) as slow:
            slow.send(V2[:-1])
            assert ask(server, V2 + GET) == TOLD, "others are served meanwhile"
            assert silent.is_closed()
            assert slow.is_closed()
        server.wait_for_output("its PROXY header did not arrive in time")


@KINDS
def test_a_stop_waits_for_no_header(kind: tuple[str, ...]) -> None:
    with server_of(kind) as server, RawClient(server.address) as waiting:
        waiting.send(V2[:9])
        assert ask(server, V1 + GET) == TOLD
        server.send_signal(signal.SIGTERM)
        assert waiting.is_closed()
        assert server.wait() == 0
        assert "Traceback" not in server.output


@KINDS
def test_a_proxy_on_a_unix_socket(kind: tuple[str, ...], tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    args = (*kind, "--proxy-protocol", "--forwarded-allow-ips", "unix", "-b", f"unix:{path}")
    with serve(*args, source=APP, ready=False) as server:
        server.wait_for_output("pid")
        with RawClient(path) as client:
            client.send(V1, GET)
            assert json.loads(client.response().body) == TOLD


def test_a_websocket_through_a_proxy() -> None:
    with server_of(ASGI) as server:
        for header in (V1, V2):
            sock = socket.create_connection(server.address)
            sock.sendall(header)
            with connect(server.url.replace("http", "ws"), sock=sock) as websocket:
                assert json.loads(websocket.recv(timeout=10)) == {**TOLD, "scheme": "ws"}


@pytest.mark.parametrize("kind", [WSGI, ASGI], ids=["wsgi", "asgi"])
def test_from_the_file_and_from_the_environment(kind: tuple[str, ...], tmp_path: Path) -> None:
    trust = ("--forwarded-allow-ips", "127.0.0.1")
    with serve(*kind, *trust, source=APP, env={"BARE_SERVE_PROXY_PROTOCOL": "yes"}) as server:
        assert ask(server, V2 + GET) == TOLD
    file = tmp_path / "bare-serve.toml"
    file.write_text("proxy-protocol = true\n")
    with serve(*kind, *trust, source=APP, cwd=tmp_path) as server:
        assert ask(server, V2 + GET) == TOLD
        file.write_text("proxy-protocol = false\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Reloaded: all workers are new.", 30)
        # The one before is asked to leave then, and may accept one more.
        eventually(lambda: len(server.workers) == 1)
        with RawClient(server.address) as client:
            assert client.request().status == 200, "no header is asked for any more"


def spoken_first(client: RawClient, context: ssl.SSLContext, header: bytes) -> None:
    """TLS on this connection, its hello in one piece with what stands before it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    client.send(header + outgoing.read())
    while True:
        incoming.write(client.socket.recv(65536))
        try:
            hello.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.send(outgoing.read())
    hello.write(GET)
    client.send(outgoing.read())
    data = b""
    while b"}" not in data:
        try:
            data += hello.read()
        except ssl.SSLWantReadError:
            incoming.write(client.socket.recv(65536))
    client.buffer += data


@KINDS
def test_tls_comes_behind_the_header(kind: tuple[str, ...], tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    files = ("--ssl-certfile", str(pem), "--ssl-keyfile", str(pem))
    context = trusting(pem)
    with server_of(kind, "-b", "tls:127.0.0.1:0", *files) as server:
        for header in (V1, V2):
            with RawClient(server.address) as client:
                client.send(header)
                client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
                for _ in range(2):
                    told = json.loads(client.request().body)
                    assert told == {**TOLD, "scheme": "https"}
            with RawClient(server.address) as client:
                spoken_first(client, context, header)
                assert json.loads(client.response().body) == {**TOLD, "scheme": "https"}
        with RawClient(server.address) as client, pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client.socket, server_hostname="localhost")
        server.wait_for_output("refused: no PROXY header")


def test_nobody_to_be_believed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = run_cli("app:wsgi", "--proxy-protocol", cwd=tmp_path)
    assert done.returncode == 2
    assert "--proxy-protocol needs --forwarded-allow-ips" in done.stderr
    assert "Traceback" not in done.stderr
