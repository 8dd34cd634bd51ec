"""WebSockets under WSGI: an application that takes the socket out of the environ has it, by plain
TCP and by TLS, and the server keeps its promises: access log, drain, no limit of a request."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync import client as websockets

from bare_serve.errors import ResponseError
from bare_serve.http import Timeouts
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.environ import connection_environ, server_environ
from bare_serve.wsgi.response import FileWrapper
from bare_serve.wsgi.upgraded import UpgradedSocket
from tests.http1.harness import connect as http_connection
from tests.support import Authority, RawClient, Server, eventually, serve

HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FLASK = """
import time
from flask import Flask, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)

@sock.route("/echo")
def echo(ws):
    while (data := ws.receive()) != "bye":
        if data == "boom":
            raise KeyError("boom")
        ws.send(data)

@app.get("/offered")
def offered():
    return str("gunicorn.socket" in request.environ)
"""


# ------------------------------------------------------------------------- the socket alone


class Pair:
    """A connection in the middle of a call, and its client."""

    def __init__(self, behind: bytes = b"") -> None:
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        self.http = http_connection()
        self.http.receive_data(HEAD + behind)
        self.http.next_event()
        base = server_environ(multithread=True, multiprocess=True, file_wrapper=FileWrapper)
        environ = connection_environ(base, None, None)
        self.connection = Connection(ours, self.http, Timeouts(write=1.0), environ)
        made = self.connection.socket_for_upgrade()
        assert isinstance(made, UpgradedSocket)
        self.sock = made

    def close(self) -> None:
        self.connection.close()
        self.client.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_nothing_happens_before_it_is_used(pair: Pair) -> None:
    assert pair.connection.upgraded is None
    pair.http.start_response(400, [])
    pair.http.send_body(b"", False)
    for use in (lambda: pair.sock.recv(1), lambda: pair.sock.send(b"x"), pair.sock.fileno):
        with pytest.raises(OSError, match="answered already"):
            use()
    assert pair.connection.upgraded is None


def test_reads_and_writes_wait_for_the_client(pair: Pair) -> None:
    large = os.urandom(1 << 21)
    got = bytearray()

    def client() -> None:
        pair.client.sendall(b"abc")
        while len(got) < len(large):
            got.extend(pair.client.recv(1 << 16))
        pair.client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=client)
    thread.start()
    assert pair.sock.recv(2, socket.MSG_PEEK) == b"ab"
    assert pair.sock.recv(2) == b"ab"
    buffer = bytearray(4)
    assert (pair.sock.recv_into(buffer), buffer[:1]) == (1, b"c")
    assert pair.sock.send(large) == len(large)
    assert pair.sock.recv(9) == b""
    thread.join()
    assert bytes(got) == large
    assert (pair.http.status, pair.http.bytes_sent) == (101, len(large))


def test_what_came_behind_the_request_is_there_for_select() -> None:
    pair = Pair(behind=b"frames")
    fd = pair.sock.fileno()
    assert select.select([fd], [], [], 0)[0] == [fd]
    assert pair.sock.recv(3) == b"fra"
    assert select.select([fd], [], [], 0)[0] == [fd], "the rest is not in the socket any more"
    assert pair.sock.recv(3) == b"mes"
    assert select.select([fd], [], [], 0)[0] == []
    pair.client.send(b"x")
    assert select.select([fd], [], [], 5)[0] == [fd]
    pair.close()
    assert pair.sock.fileno() == -1


def test_times(pair: Pair) -> None:
    pair.sock.settimeout(0.01)
    with pytest.raises(TimeoutError, match="timed out"):
        pair.sock.recv(1)
    pair.sock.setblocking(False)
    assert pair.sock.gettimeout() == 0
    with pytest.raises(BlockingIOError):
        pair.sock.recv(1)
    pair.sock.setblocking(True)
    with pytest.raises(TimeoutError, match="does not take"):
        pair.sock.send(bytes(1 << 24))


def test_a_stop_reads_as_an_end_and_is_told_to_the_client(pair: Pair) -> None:
    ended: list[bytes] = []
    thread = threading.Thread(target=lambda: ended.append(pair.sock.recv(1)))
    thread.start()
    eventually(lambda: pair.connection.upgraded is not None)
    pair.sock.end()
    thread.join(10)
    assert ended == [b""]
    pair.sock.send(b"\x81\x01x")
    pair.connection.start_lingering()
    assert pair.client.recv(99) == b"\x81\x01x\x88\x02\x03\xf4"
    with pytest.raises(OSError, match="closed"):
        pair.sock.send(b"x")
    assert pair.sock.recv(1) == b""


def test_a_close_frame_of_the_application_is_the_last(pair: Pair) -> None:
    pair.sock.send(b"\x88\x00")
    pair.sock.end()
    pair.connection.start_lingering()
    assert pair.client.recv(99) == b"\x88\x00"


def test_closed_by_the_application(pair: Pair) -> None:
    assert pair.sock.getsockname() == ""
    pair.sock.send(b"x")
    pair.sock.shutdown(socket.SHUT_RDWR)
    assert pair.sock.recv(1) == b""
    with pytest.raises(OSError, match="closed"):
        pair.sock.sendall(b"x")


def test_a_worker_that_stops_already(pair: Pair) -> None:
    pair.http.close_after = True
    assert pair.sock.recv(1) == b""


def test_how_a_call_may_end(pair: Pair) -> None:
    assert all(map(pair.sock.is_expected, (StopIteration(), ConnectionError(), ResponseError(""))))
    assert not pair.sock.is_expected(KeyError())


# ------------------------------------------------------------------------- a server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("flask_sock")
    directory = tmp_path_factory.mktemp("ws")
    limits = ("--timeout-request", "1", "--threads", "4")
    with serve("app:app", *limits, source=FLASK, cwd=directory) as server:
        yield server


def connect(address: str, **options: Any) -> websockets.ClientConnection:
    """A client that bears a busy machine: by itself it gives up after ten seconds."""
    return websockets.connect(address, open_timeout=40, close_timeout=40, **options)


def url(server: Server, scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{server.port}/echo"


def test_flask_sock(server: Server) -> None:
    with connect(url(server), max_size=1 << 24) as client:
        for text in ("x", "y" * 70_000, "z" * 3_000_000):
            client.send(text)
            assert client.recv(timeout=20) == text
        client.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
    eventually(lambda: " GET /echo HTTP/1.1 101 " in server.stdout)
    assert "Traceback" not in server.output


def test_the_time_of_a_request_does_not_hold_for_it(server: Server) -> None:
    with connect(url(server)) as client:
        with pytest.raises(TimeoutError):
            client.recv(timeout=2.5)
        client.send("still there")
        assert client.recv(timeout=20) == "still there"


def test_other_requests_have_no_socket(server: Server) -> None:
    with RawClient(server.address) as client:
        for upgrade in (b"", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Upgrade: websocket\r\n"):
            client.send(b"GET /offered HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
            assert client.response().body == b"False"
        client.send(HEAD.replace(b"/ws", b"/offered"))
        assert client.response().status == 400, "Flask has no WebSocket there, and says so"
        client.send(b"GET /offered HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().body == b"False", "and HTTP goes on"


def test_a_failure_of_the_application_is_its_own(server: Server) -> None:
    with connect(url(server)) as client:
        client.send("boom")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=20)
    server.wait_for_output("KeyError: 'boom'")


def test_an_x_ray_shows_no_failure(tmp_path: Path) -> None:
    pytest.importorskip("flask_sock")
    with serve("app:app", "--xray", source=FLASK, cwd=tmp_path) as server:
        with connect(url(server)) as client:
            client.send("bye")
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=20)
        server.wait_for_output("by StopIteration, as libraries do behind a WebSocket of theirs")
        assert " raised " not in server.stdout


SOCKETIO = """
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")

@socketio.on("double")
def double(number):
    return 2 * number
"""


def test_flask_socketio_in_threading_mode_by_tls_and_the_stop(tmp_path: Path) -> None:
    pytest.importorskip("flask_socketio")
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    files = ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key))
    with serve("app:app", *files, source=SOCKETIO, cwd=tmp_path) as server:
        address = f"wss://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
        context: Any = authority.client()
        with connect(address, ssl=context, server_hostname="localhost") as client:
            assert str(client.recv(timeout=20)).startswith('0{"sid":')
            client.send("40")
            assert str(client.recv(timeout=20)).startswith('40{"sid":')
            client.send('420["double",21]')
            assert client.recv(timeout=20) == "430[42]"
            assert server.stop() == 0
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert "Traceback" not in server.output


RAW = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [str("gunicorn.socket" in environ).encode()]
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_with_one_thread_there_is_none_and_the_log_says_why(threads: int) -> None:
    with serve("app:app", "--threads", str(threads), source=RAW) as server:
        with RawClient(server.address) as client:
            for _ in range(2):
                client.send(HEAD)
                assert client.response().body == str(threads > 1).encode()
        server.stop()
        told = server.stderr.count("GET /ws asks for a WebSocket, which a WSGI application")
        assert told == (threads == 1)
