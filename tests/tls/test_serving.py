"""TLS on the wire: real clients, both kinds of worker, each loop."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
import websockets

from tests.support import RawClient, Server, eventually, serve
from tests.tls.apps import LARGE

KINDS = {
    "wsgi-1": ("apps:wsgi", "--threads", "1", "--parser", "httptools"),
    "wsgi-8": ("apps:wsgi", "--threads", "8"),
    "asgi-asyncio": ("apps:asgi", "--loop", "asyncio", "--parser", "httptools"),
    "asgi-uvloop": ("apps:asgi", "--loop", "uvloop"),
}
APPS = str(Path(__file__).parent)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, pki: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    for needed in {"uvloop", "httptools"} & {*request.param.split("-"), *KINDS[request.param]}:
        pytest.importorskip(needed)
    file = tmp_path_factory.mktemp("files") / "large.bin"
    file.write_bytes(LARGE)
    options = ("--ssl-certfile", str(pki.chain), "--ssl-keyfile", str(pki.key))
    options += ("--ssl-ca-certs", str(pki.ca.file), "--ssl-cert-reqs", "optional")
    options += ("--timeout-headers", "2", "--app-dir", APPS)
    env = {"LARGE_FILE": str(file)}
    with serve(*KINDS[request.param], *options, env=env) as running:
        assert running.url.startswith("https://")
        yield running
        assert "Traceback" not in running.stderr


@pytest.fixture
def url(server: Server) -> str:
    return f"https://localhost:{server.port}"


def client_of(server: Server, context: ssl.SSLContext) -> RawClient:
    return RawClient(server.address).speak_tls(context)


@pytest.mark.parametrize("kind", ["wsgi-8", "asgi-asyncio"])
def test_no_keep_alive(kind: str, pki: SimpleNamespace, trusting: ssl.SSLContext) -> None:
    options = ("--ssl-certfile", str(pki.chain), "--ssl-keyfile", str(pki.key), "--app-dir", APPS)
    with (
        serve(*KINDS[kind], *options, "--timeout-keep-alive", "0") as running,
        client_of(running, trusting) as client,
    ):
        assert client.request().header("connection") == "close"
        assert client.is_closed()


def test_requests_and_httpx(url: str, pki: SimpleNamespace, trusting: ssl.SSLContext) -> None:
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(pki.ca.file)
        for _ in range(3):
            assert session.get(url).text == "hello"
    with httpx.Client(verify=trusting) as client:
        assert client.get(f"{url}/stream").text.endswith("piece 99;")
        assert client.get(f"{url}/slow").text == "slow"
        assert client.get(f"{url}/large").content == LARGE
        assert client.get(f"{url}/file").content == LARGE
        digest = client.post(f"{url}/digest", content=LARGE).text
        assert digest == hashlib.sha256(LARGE).hexdigest()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(url: str, pki: SimpleNamespace, version: str, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(LARGE)
    options = ["--cacert", str(pki.ca.file), f"--tlsv{version}", "--tls-max", version]
    command = ["curl", "-sS", *options, "--data-binary", f"@{upload}", f"{url}/digest"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    assert done.stdout.decode() == hashlib.sha256(LARGE).hexdigest()
    assert done.stderr == b""


def facts(server: Server, context: ssl.SSLContext) -> dict[str, Any]:
    with client_of(server, context) as client:
        told: dict[str, Any] = eval(client.request(target="/facts").body)
    return told


def test_the_application_is_told(
    server: Server, pki: SimpleNamespace, trusting: ssl.SSLContext
) -> None:
    told, known = facts(server, trusting), facts(server, pki.ca.client(*pki.client))
    assert told["scheme"] == known["scheme"] == "https"
    if "extensions" in told:
        assert told["extensions"]["tls"]["server_cert"] == pki.chain.read_text()
        assert told["extensions"]["tls"]["client_cert_chain"] == []
        assert known["extensions"]["tls"]["client_cert_name"].startswith("CN=Ann")
        assert known["extensions"]["tls"]["tls_version"] == 0x0304
        assert told["server"][1] == server.port
        return
    assert told["HTTPS"] == "on"
    assert told["SERVER_PORT"] == str(server.port)
    assert told["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_CERT" not in told
    assert known["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert known["SSL_CLIENT_CERT"] == pki.client[0].read_text()
    assert known["SSL_PROTOCOL"] == "TLSv1.3"


def test_pipelined_requests_are_all_answered(server: Server, trusting: ssl.SSLContext) -> None:
    with client_of(server, trusting) as client:
        slow = GET.replace(b"/ ", b"/slow ", 1)
        client.send(GET * 5 + slow + GET * 5 + slow)
        bodies = [client.response().body for _ in range(12)]
    assert bodies == [*[b"hello"] * 5, b"slow", *[b"hello"] * 5, b"slow"]


def test_a_request_in_many_records_and_many_in_one(
    server: Server, trusting: ssl.SSLContext
) -> None:
    with client_of(server, trusting) as client:
        client.send(*(GET[at : at + 1] for at in range(len(GET))))
        assert client.response().body == b"hello"
        body = b"x" * 100_000
        head = b"POST /digest HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        client.send((head % len(body)) + body + GET)
        assert client.response().body.decode() == hashlib.sha256(body).hexdigest()
        assert client.response().body == b"hello"


def test_a_slow_reader_gets_it_all_and_holds_up_nobody(
    server: Server, trusting: ssl.SSLContext
) -> None:
    with client_of(server, trusting) as slow:
        slow.send(GET.replace(b"/ ", b"/large ", 1))
        with client_of(server, trusting) as quick:
            assert quick.request().body == b"hello"
        assert slow.response().body == LARGE


def test_a_client_that_leaves_in_the_middle_harms_nobody(
    server: Server, trusting: ssl.SSLContext
) -> None:
    for number in range(10):
        client = client_of(server, trusting)
        client.send(GET.replace(b"/ ", b"/large ", 1))
        if number % 2:  # a reset
            how = struct.pack("ii", 1, 0)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)
        client.close()
    with client_of(server, trusting) as client:
        assert client.request().body == b"hello"


def test_the_end_is_said(server: Server, trusting: ssl.SSLContext) -> None:
    context = trusting
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    with client_of(server, context) as client:
        # Without close_notify reading to the end would raise.
        assert isinstance(client.socket, ssl.SSLSocket)
        client.socket.suppress_ragged_eofs = False
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert client.read_to_eof().endswith(b"hello")


def test_a_client_may_say_its_end_before_the_answer(
    server: Server, trusting: ssl.SSLContext
) -> None:
    """RFC 8446, 6.1: close_notify closes one direction only."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(server.address, 10) as sock:

        def step(do: Any, *args: Any) -> Any:
            while True:
                try:
                    return do(*args)
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    data = sock.recv(1 << 16)
                    assert data, "closed too early"
                    incoming.write(data)

        step(tls.do_handshake)
        tls.write(GET.replace(b"/ ", b"/slow ", 1))
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        sock.sendall(outgoing.read())
        answer = b""
        while not answer.endswith(b"slow"):
            answer += step(tls.read, 1 << 16)


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS"])
def test_plain_http_is_told_so(server: Server, method: bytes) -> None:
    before = server.stderr.count("speaks plain HTTP")
    with RawClient(server.address) as client:
        client.send(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.response()
        assert answer.status == 400
        assert b"https://" in answer.body
        assert client.is_closed()
    eventually(lambda: server.stderr.count("speaks plain HTTP") == before + 1)


@pytest.mark.parametrize("data", [b"\0" * 100, b"\x16\x03\x01\x00\x10" + b"x" * 16, b"\x80abc"])
def test_garbage_ends_one_connection_with_one_line(
    server: Server, data: bytes, trusting: ssl.SSLContext
) -> None:
    before = len(server.stderr.splitlines())
    with client_of(server, trusting) as other:
        with RawClient(server.address) as client:
            client.send(data)
            try:
                client.read_to_eof()
            except ConnectionResetError:
                pass
        assert other.request().body == b"hello"
    lines = server.stderr.splitlines()[before:]
    assert len(lines) == 1
    assert "no TLS: " in lines[0]


def test_who_says_nothing_or_too_little_has_a_deadline_and_is_no_news(
    server: Server, trusting: ssl.SSLContext
) -> None:
    before = server.stderr
    RawClient(server.address).close()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trusting.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    sent = -1
    silent = RawClient(server.address)
    with socket.create_connection(server.address, 10) as sock:
        sock.settimeout(0.1)
        try:
            for byte in hello:
                sock.sendall(bytes((byte,)))
                sent += 1
                try:
                    if not sock.recv(1):
                        break
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
    assert 0 < sent < len(hello) - 1, "not to the end, and not at once"
    with silent:
        assert silent.read_to_eof() == b"", "closed after --timeout-headers"
    assert server.stderr == before


def test_many_handshakes_hold_up_nobody(server: Server, trusting: ssl.SSLContext) -> None:
    """Half of them never finish theirs."""
    idle = [socket.create_connection(server.address, 10) for _ in range(30)]
    for sock in idle:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
    answers = []

    def ask() -> None:
        for _ in range(5):
            with client_of(server, trusting) as client:
                answers.append(client.request().body)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert answers == [b"hello"] * 30
    for sock in idle:
        sock.close()


def test_websockets(server: Server, url: str, trusting: ssl.SSLContext) -> None:
    if "apps:wsgi" in server.process.args:  # type: ignore[operator]
        pytest.skip("WSGI knows no WebSocket")

    async def talk() -> None:
        where = url.replace("https", "wss")
        async with websockets.connect(where, ssl=trusting, max_size=None) as ws:
            assert await ws.recv() == "wss"
            for data in (b"x", LARGE):
                await ws.send(data)
                assert await ws.recv() == data

    asyncio.run(talk())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_renegotiation_is_refused(server: Server) -> None:
    where = f"{server.host}:{server.port}"
    done = subprocess.run(
        ["openssl", "s_client", "-connect", where, "-tls1_2", "-quiet"],
        input=b"R\nGET / HTTP/1.0\n\n",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert b"hello" not in done.stdout
    assert re.search(rb"no renegotiation|alert|error", done.stderr)
    assert server.workers
