"""TLS for its own sake: KeyUpdates (RFC 8446, 4.6.3) without end, from a client of our own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from benchmarks.hostile.key_updates import KeyUpdater
from tests.hurt.crowd import Process
from tests.hurt.floods import worst_wait
from tests.support import Server, eventually, serve

APP = """
async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    while environ["wsgi.input"].read(1):
        pass
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
POST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
INTERFACES = pytest.mark.parametrize("interface", ["asgi", "wsgi"])


@contextlib.contextmanager
def serving(interface: str, pki: SimpleNamespace) -> Iterator[Server]:
    pair = ("--ssl-certfile", str(pki.chain), "--ssl-keyfile", str(pki.key))
    with serve(
        f"app:{interface}", "--no-access-log", "--log-level", "info", *pair, source=APP
    ) as server:
        yield server


def updates(client: KeyUpdater, count: int) -> bytes:
    return b"".join(client.key_update() for _ in range(count))


@INTERFACES
def test_key_updates_among_data_are_ordinary(interface: str, pki: SimpleNamespace) -> None:
    with serving(interface, pki) as server:
        client = KeyUpdater(server.address, pki.ca.client())
        sent = client.data(POST % 2_000_100)
        for _ in range(100):
            sent += updates(client, 3) + client.data(b"x") + client.key_update(answered=False)
            sent += client.data(b"x" * 10_000) + client.data(b"x" * 10_000)
        client.socket.sendall(sent)
        with client.socket:
            told = b""
            while data := client.socket.recv(65536):
                told += data
        assert len(told) > 100 * 27, "those that wanted an answer have one"
        assert "no TLS" not in server.stderr
        with pki.ca.client().wrap_socket(
            socket.create_connection(server.address, timeout=60), server_hostname="localhost"
        ) as ordinary:
            ordinary.sendall(POST % 0)
            assert ordinary.recv(1000).startswith(b"HTTP/1.1 200")


@INTERFACES
def test_small_records_of_data_are_no_flood(interface: str, pki: SimpleNamespace) -> None:
    with serving(interface, pki) as server:
        client = KeyUpdater(server.address, pki.ca.client())
        client.socket.sendall(client.data(POST % 20_000))
        client.socket.sendall(b"".join(client.data(b"x") for _ in range(20_000)))
        with client.socket:
            assert client.socket.recv(65536)
        assert "no TLS" not in server.stderr


@INTERFACES
@pytest.mark.parametrize("every", [0, 500])
def test_key_updates_without_end_end_the_connection(
    interface: str, every: int, pki: SimpleNamespace
) -> None:
    with serving(interface, pki) as server:
        client = KeyUpdater(server.address, pki.ca.client())
        client.socket.sendall(client.data(POST % 1_000_000))
        sent = b""
        for _ in range(8):
            sent += updates(client, every or 500) + (client.data(b"x") if every else b"")
        with client.socket, contextlib.suppress(ConnectionError):
            client.socket.sendall(sent)
            while client.socket.recv(65536):
                pass
        text = "no TLS: the client sends too much that is no data"
        eventually(lambda: text in server.stderr, text)


@INTERFACES
def test_key_updates_keep_nobody_waiting_and_fill_no_memory(
    interface: str, pki: SimpleNamespace
) -> None:
    def plain() -> socket.socket:
        made = socket.create_connection(server.address, timeout=60)
        return pki.ca.client().wrap_socket(made, server_hostname="localhost")

    def pour(client: KeyUpdater, data: bytes) -> None:
        with contextlib.suppress(OSError), client.socket:
            client.socket.sendall(data)  # and reads nothing

    with serving(interface, pki) as server:
        worker = Process(server.workers[0])
        worst_wait(plain, 0.3)
        made = []
        for _ in range(3):
            client = KeyUpdater(server.address, pki.ca.client())
            data = [client.data(POST % 1_000_000)]
            for _ in range(20):
                data += [updates(client, 300), client.data(b"x")]
            made.append((client, b"".join(data)))
        before = worker.memory
        worker.forget_peak()
        threads = [threading.Thread(target=pour, args=each) for each in made]
        for thread in threads:
            thread.start()
        wait = worst_wait(plain, 1.5)
        for thread in threads:
            thread.join(60)
        assert wait < 2.0
        assert worker.peak - before < 8 << 20
