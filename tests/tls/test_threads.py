"""TLS on the WSGI loop that hands itself off: late threads, given-up calls, each poller."""

from __future__ import annotations

import socket
import ssl
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.http import Timeouts
from bare_serve.tls import TlsOptions
from bare_serve.tls.certificates import Certificates
from tests.support import RawClient, eventually
from tests.workers.wsgi.threads import (
    PLAIN,
    Environ,
    Everywhere,
    Running,
    Serve,
    get,
    hello,
    running,
    serve_on,
)

__all__ = ["serve_on"]


@pytest.fixture
def secure(pki: SimpleNamespace) -> dict[str, Any]:
    """Options of a worker."""
    options = TlsOptions(certfile=str(pki.chain), keyfile=str(pki.key))
    return {"certificates": Certificates(options), "roles": Everywhere({0: "tls"})}


def client_of(worker: Running, context: ssl.SSLContext) -> RawClient:
    return RawClient(worker.address).speak_tls(context)


def test_many_at_once_with_quick_and_slow_calls(
    serve_on: Serve, secure: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    sizes = {"/small": 5, "/large": 3_000_000}

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path == "/slow":
            threading.Event().wait(0.02)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [PLAIN])
        return [body + b"x" * sizes.get(path, 0)]

    wrong: list[object] = []

    def ask(worker: Running, number: int) -> None:
        try:
            with client_of(worker, trusting) as client:
                for turn in range(8):
                    path = ("/small", "/slow", "/large")[(number + turn) % 3]
                    client.send(get(path) * 2)
                    bodies = [client.response().body for _ in range(2)]
                    if bodies != [b"x" * sizes.get(path, 0)] * 2:
                        wrong.append(path)
                    body = b"b" * 90_000
                    if client.request("POST", "/slow", body=body).body != body:
                        wrong.append("POST")
        except Exception as error:
            wrong.append(error)

    with serve_on(app, **secure) as worker:
        threads = [threading.Thread(target=ask, args=(worker, n)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(50)
        assert wrong == []
        assert worker.requests == 6 * 8 * 3


def test_a_handshake_goes_on_while_the_worker_drains(
    secure: dict[str, Any], pki: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bare_serve.workers.wsgi.shared.FRESH_LINGER", 30)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pki.ca.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with (
        running(hello, **secure) as worker,
        socket.create_connection(worker.address, 10) as sock,
    ):

        def step(do: Any, *args: Any) -> Any:
            while True:
                try:
                    return do(*args)
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    data = sock.recv(1 << 16)
                    assert data, "closed too early"
                    incoming.write(data)
                    if not worker.shared.drain.begun:
                        worker.stop()
                        eventually(lambda: worker.shared.drain.begun)

        step(client.do_handshake)
        sock.sendall(outgoing.read())  # the handshake alone, and the request after it
        incoming.write(sock.recv(1 << 16))  # tickets: the worker has taken it by now
        client.write(get("/"))
        answer = b""
        while not answer.endswith(b"hello"):
            answer += step(client.read, 1 << 16)


def test_a_call_that_is_given_up_is_answered_encrypted(
    secure: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    go = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        go.wait(20)
        start_response("200 OK", [PLAIN])
        return [b"too late"]

    with (
        running(app, timeout_request=0.3, threads=2, **secure) as worker,
        client_of(worker, trusting) as client,
    ):
        client.send(get("/"))
        assert client.response().status == 504
        go.set()
        assert client.is_closed()


def test_a_client_that_takes_nothing_is_let_go(
    secure: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    gone = threading.Event()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        try:
            while True:
                yield b"x" * 100_000
        finally:
            gone.set()

    with (
        running(app, timeouts=Timeouts(write=1), **secure) as worker,
        socket.create_connection(worker.address, 10) as raw,
    ):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with trusting.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(get("/"))
            assert gone.wait(20)


def test_bursts_and_lone_pieces_arrive_while_the_application_waits(
    serve_on: Serve, secure: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    seen = threading.Semaphore(0)

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        for number in range(6):
            for piece in range(1 + number % 2 * 200):
                yield b"%d.%d." % (number, piece)
            assert seen.acquire(timeout=20)

    with serve_on(app, **secure) as worker, client_of(worker, trusting) as client:
        client.send(get("/"))
        for number in range(6):
            client.read_until(b"%d.%d." % (number, number % 2 * 200))
            seen.release()
        client.read_until(b"0\r\n\r\n")
