"""`client_disconnected`: an application that waits learns that nobody waits for it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.tls import TlsOptions
from bare_serve.tls.certificates import Certificates
from tests.support import Authority, RawClient, eventually
from tests.workers.wsgi.threads import (
    PLAIN,
    Environ,
    Everywhere,
    Serve,
    get,
    hello,
    serve_threaded,
)

__all__ = ["serve_threaded"]

NAMES = ("bare_serve.client_disconnected", "waitress.client_disconnected")


@pytest.fixture(params=["plain", "tls"])
def transport(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Options of a worker, and what its clients do first."""
    if request.param == "plain":
        return SimpleNamespace(options={}, greet=lambda client: client)
    authority = Authority(tmp_path_factory.mktemp("pki"))
    chain, key = authority.issue("server")
    options = TlsOptions(certfile=str(chain), keyfile=str(key))
    context: ssl.SSLContext = authority.client()
    return SimpleNamespace(
        options={"certificates": Certificates(options), "roles": Everywhere({0: "tls"})},
        greet=lambda client: client.speak_tls(context),
    )


class Waiting:
    """/wait gives its callables to the test, and ends when the test says so."""

    def __init__(self) -> None:
        self.asks: list[Callable[[], bool]] = []
        self.go = threading.Event()

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/wait":
            return hello(environ, start_response)
        start_response("200 OK", [PLAIN])
        self.asks += [environ[name] for name in NAMES]
        assert self.go.wait(30)
        return [b"waited"]

    @property
    def answers(self) -> set[bool]:
        eventually(lambda: self.asks)
        return {ask() for ask in self.asks}


def reset(client: RawClient) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


@pytest.mark.parametrize("leave", [RawClient.close, reset], ids=["closes", "resets"])
@pytest.mark.parametrize("behind", [b"", get("/next")], ids=["", "a request behind"])
def test_a_client_that_has_left_is_seen_without_a_write(
    serve_threaded: Serve,
    transport: SimpleNamespace,
    leave: Callable[[RawClient], None],
    behind: bytes,
) -> None:
    app = Waiting()
    with serve_threaded(app, **transport.options) as worker:
        client = transport.greet(worker.client())
        client.send(get("/wait") + behind)
        assert app.answers == {False}
        leave(client)
        eventually(lambda: app.answers == {True})
        app.go.set()
        eventually(lambda: not worker.shared.connections)
        assert app.answers == {True}, "and for ever"


def test_who_has_sent_the_next_request_is_there(
    serve_threaded: Serve, transport: SimpleNamespace
) -> None:
    app = Waiting()
    with (
        serve_threaded(app, **transport.options) as worker,
        transport.greet(worker.client()) as client,
    ):
        client.send(get("/wait"))
        assert app.answers == {False}
        client.send(get("/next"))
        connection = next(iter(worker.shared.connections.values()))
        eventually(connection.has_word)
        assert app.answers == {False}
        app.go.set()
        assert [client.response().body for _ in range(2)] == [b"waited", b"hello"]


def test_who_has_ended_its_side_counts_as_gone_and_is_answered(serve_threaded: Serve) -> None:
    app = Waiting()
    with serve_threaded(app) as worker, worker.client() as client:
        client.send(get("/wait"))
        assert app.answers == {False}
        client.send_eof()
        eventually(lambda: app.answers == {True})
        app.go.set()
        assert client.response().body == b"waited"


def test_a_stream_that_nobody_hears_ends_by_itself(serve_threaded: Serve) -> None:
    ended = threading.Event()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"first"
        gone = environ["bare_serve.client_disconnected"]
        while not gone():
            ended.wait(0.01)  # nothing happens, and nothing is written
        ended.set()

    with serve_threaded(app) as worker:
        with worker.client() as client:
            client.send(get("/"))
            client.read_until(b"first")
        assert ended.wait(10)
        eventually(lambda: not worker.shared.connections)
