"""Connections of WSGI as they come and go, one request each."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from bare_serve.net import no_delay
from bare_serve.wsgi.connection import Connection
from tests.support import RawClient
from tests.workers.wsgi.threads import PLAIN, Environ, Serve, get, hello, running, serve_on

__all__ = ["serve_on"]


@pytest.mark.parametrize("inherits", [True, False])
def test_no_delay(serve_on: Serve, inherits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = Connection.read

    def look(self: Connection) -> bool | None:
        seen.append(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return real(self)

    if not inherits:
        monkeypatch.setattr(no_delay, "_INHERITS", False)
    monkeypatch.setattr(Connection, "read", look)
    with serve_on(hello) as worker:
        for _ in range(3):
            with worker.client() as client:
                assert client.request().body == b"hello"
    assert seen
    assert all(seen)


def test_our_end_of_a_listener_for_all_addresses() -> None:
    """It is that of the connection, not that of the listener."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}".encode()]

    with running(app, where="0.0.0.0") as worker:
        port = worker.address[1]
        for host in ("127.0.0.1", "127.0.0.2"):
            with RawClient((host, port)) as client:
                assert client.request().body == f"{host}:{port}".encode()


def test_many_come_at_once_and_one_by_one(serve_on: Serve) -> None:
    with serve_on(hello) as worker:
        for count in (1, 1, 1, 60, 1, 1, 40):
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(worker.client()) for _ in range(count)]
                for client in clients:
                    client.send(get("/", "Connection: close"))
                for client in clients:
                    assert client.response().body == b"hello"
                    assert client.is_closed()


@pytest.mark.parametrize("more", [b"", b"GET /next HTTP/1.1\r\n", b"x" * 5000])
def test_the_last_answer_arrives_whatever_the_client_has_sent_behind_it(
    serve_on: Serve, more: bytes
) -> None:
    with serve_on(hello) as worker:
        for _ in range(5):
            with worker.client() as client:
                client.send(get("/", "Connection: close") + more)
                assert client.response().body == b"hello"
                assert client.read_to_eof() == b""


def test_a_large_last_answer_arrives_whole(serve_on: Serve) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [b"x" * 5_000_000]

    with serve_on(app) as worker, worker.client() as client:
        client.send(get("/", "Connection: close"))
        assert client.response().body == b"x" * 5_000_000
        assert client.read_to_eof() == b""
