"""WebSockets between real clients and a real server: websockets, wsproto, and raw bytes."""

from __future__ import annotations

import itertools
import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from tests.support import RawClient, Server, eventually, serve
from tests.websocket.harness import BINARY, PING, TEXT, close, fragments, frame

APP = '''
import asyncio
import json

sent = 0


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan")
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(sent).encode()})
        return
    await receive()
    await globals()[scope["path"][1:]](scope, receive, send)


async def echo(scope, receive, send):
    chosen = scope["subprotocols"][0] if scope["subprotocols"] else None
    headers = [(b"x-app", b"echo")]
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def refuse(scope, receive, send):
    await send({"type": "websocket.close"})


async def answer(scope, receive, send):
    prefix = "websocket.http.response."
    await send({"type": prefix + "start", "status": 401, "headers": [(b"x-why", b"no")]})
    await send({"type": prefix + "body", "body": b"who are you?"})


async def fail(scope, receive, send):
    await send({"type": "websocket.accept"})
    await receive()
    raise RuntimeError("as expected")


async def leave(scope, receive, send):
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})


async def flood(scope, receive, send):
    """Sends for as long as anybody takes it."""
    global sent
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "bytes": bytes(10_000)})
        sent += 1


async def idle(scope, receive, send):
    """Takes nothing and sends nothing."""
    await send({"type": "websocket.accept"})
    await asyncio.get_running_loop().create_future()
'''

VARIANTS = (("uvloop", "auto"), ("asyncio", "auto"), ("uvloop", "wsproto"))


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    loop, engine = request.param
    options = ("--loop", loop, "--ws", engine, "--ws-max-size", "1MiB")
    with serve("app:application", *options, cwd=tmp_path_factory.mktemp("ws"), source=APP) as made:
        yield made


def client(server: Server, path: str = "/echo", **more: Any) -> ClientConnection:
    url = f"ws://{server.host}:{server.port}{path}"
    return connect(url, open_timeout=20, close_timeout=20, max_size=None, proxy=None, **more)


HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def raw(server: Server, path: str = "/echo", behind: bytes = b"") -> RawClient:
    """A connection of bytes for which the handshake has been made."""
    made = RawClient(server.address, timeout=20)
    lines = [f"GET {path} HTTP/1.1", "Host: test", *HANDSHAKE, "", ""]
    made.send("\r\n".join(lines).encode() + behind)
    assert made.response().status == 101
    return made


MESSAGES = (
    *("", "hello", "\u20ac" * 1000, "x" * 70_000, "x" * (1 << 20)),
    *(b"", b"\x00\xff", bytes(range(256)) * 1000),
)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websockets_library(server: Server, compression: str | None) -> None:
    with client(server, compression=compression) as ws:
        assert ws.response is not None
        assert ws.response.headers["X-App"] == "echo"
        assert ("Sec-WebSocket-Extensions" in ws.response.headers) is (compression is not None)
        for message in MESSAGES:
            ws.send(message)
            assert ws.recv(20) == message
        ws.send(iter(["in ", "many", " fragments"]))
        assert ws.recv(20) == "in many fragments"
        for message in MESSAGES:  # many on their way at once
            ws.send(message)
        assert [ws.recv(20) for _ in MESSAGES] == list(MESSAGES)
        assert ws.ping("x").wait(20)
    assert ws.close_code == 1000


def test_subprotocols(server: Server) -> None:
    with client(server, subprotocols=["v2", "v1"]) as ws:
        assert ws.subprotocol == "v2"


@pytest.mark.parametrize(
    ("path", "status", "text"), [("/refuse", 403, b"refused"), ("/answer", 401, b"who are you?")]
)
def test_refusals(server: Server, path: str, status: int, text: bytes) -> None:
    with pytest.raises(InvalidStatus) as caught:
        client(server, path)
    assert caught.value.response.status_code == status
    assert text in caught.value.response.body


def test_the_application_closes(server: Server) -> None:
    with client(server, "/leave") as ws, pytest.raises(ConnectionClosed):
        ws.recv(20)
    assert (ws.close_code, ws.close_reason) == (4000, "enough")


def test_the_application_fails(server: Server) -> None:
    with client(server, "/fail") as ws:
        ws.send("x")
        with pytest.raises(ConnectionClosed):
            ws.recv(20)
    assert ws.close_code == 1011
    server.wait_for_output("RuntimeError: as expected")


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("pieces", [1, 20])
def test_too_large_messages(server: Server, compression: str | None, pieces: int) -> None:
    with client(server, compression=compression) as ws:
        message = "x" * ((1 << 20) // pieces + 1)
        with suppress(ConnectionClosed):  # it may be told before it has sent all
            ws.send(iter([message] * pieces) if pieces > 1 else message)
        with pytest.raises(ConnectionClosed):
            ws.recv(20)
    assert ws.close_code == 1009


@pytest.mark.parametrize("compressed", [True, False])
def test_wsproto_client(server: Server, compressed: bool) -> None:
    ws = WSConnection(ConnectionType.CLIENT)
    extensions = [PerMessageDeflate()] if compressed else []
    with RawClient(server.address, timeout=20) as made:
        made.send(ws.send(Request(host="test", target="/echo", extensions=list(extensions))))
        events: list[Any] = []

        def event() -> Any:
            while not events:
                data = made.socket.recv(65536)
                ws.receive_data(data or None)
                events.extend(ws.events())
            return events.pop(0)

        accepted = event()
        assert isinstance(accepted, AcceptConnection)
        assert len(accepted.extensions) == len(extensions)
        for data in ("hello" * 200, "x", b"\x00" * 1000):
            kind = TextMessage if isinstance(data, str) else BytesMessage
            made.send(ws.send(kind(data=data)))  # type: ignore[arg-type]
            assert event().data == data
        made.send(ws.send(CloseConnection(code=1001, reason="bye")))
        last = event()
        assert isinstance(last, CloseConnection)
        assert last.code == 1001
        assert made.is_closed()


def test_frames_in_the_same_packet_as_the_request(server: Server) -> None:
    with raw(server, behind=frame(TEXT, b"early") + close(1000)) as made:
        # The close may be answered before the application has sent its echo.
        assert b"\x88\x02\x03\xe8" in made.read_to_eof()


def test_an_echo_byte_by_byte(server: Server) -> None:
    with raw(server) as made:
        data = fragments(TEXT, b"by", b"te") + frame(PING, b"p") + frame(BINARY, bytes(130))
        made.send(*(bytes((byte,)) for byte in data))
        expected = b"\x81\x04byte" + b"\x8a\x01p" + b"\x82\x7e\x00\x82" + bytes(130)
        assert sorted(made.read(len(expected))) == sorted(expected)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"unmasked", key=None), 1002),
        (frame(0x83), 1002),
        (frame(0xC1, b"x"), 1002),
        (frame(0x09), 1002),
        (frame(TEXT, b"\xc0"), 1007),
        (close(1005), 1002),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask", 1009),
    ],
)
def test_malformed_frames(server: Server, data: bytes, code: int) -> None:
    with raw(server) as made:
        made.send(data)
        assert made.read(4)[2:] == code.to_bytes(2, "big")
        # The client may go on sending for a while without losing what it was told.
        made.send(bytes(100_000))
        made.send_eof()
        made.read_to_eof()
    with client(server) as ws:
        ws.send("others are served")
        assert ws.recv(20) == "others are served"


def test_refused_handshakes(server: Server) -> None:
    with RawClient(server.address) as made:
        lines = [line.replace(": 13", ": 8") for line in HANDSHAKE]
        response = made.request("GET", "/echo", *lines)
        assert response.status == 426
        assert response.header("sec-websocket-version") == "13"
        assert made.is_closed()
    with RawClient(server.address) as made:
        assert made.request("GET", "/echo", *HANDSHAKE[:3]).status == 400
    with RawClient(server.address) as made:
        other = made.request("GET", "/echo", "Upgrade: foo/2", "Connection: Upgrade")
        assert other.status == 200


def test_the_line_in_the_access_log(server: Server) -> None:
    with client(server, "/echo?log", compression=None) as ws:
        ws.send("hi")
        ws.recv(20)
    server.wait_for_output("WEBSOCKET /echo?log HTTP/1.1 1000 4 ")
    server.wait_for_output("ms in=1/8 out=1/4")


# ---------------------------------------------------------------------- one server for each


def started(path: Path, *options: str) -> Any:
    options = ("--timeout-graceful-shutdown", "1s", *options)
    return serve("app:application", *options, cwd=path, source=APP)


def count(server: Server) -> int:
    """How many messages /flood has sent."""
    with urllib.request.urlopen(f"{server.url}/", timeout=20) as answer:
        return int(json.load(answer))


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_client_that_reads_nothing_makes_the_application_wait(tmp_path: Path, loop: str) -> None:
    with started(tmp_path, "--loop", loop) as server, raw(server, "/flood"):
        numbers = itertools.count()
        seen = [-1]

        def settled() -> bool:
            seen.append(count(server))
            return seen[-1] == seen[-2] and next(numbers) > 5

        eventually(settled, "no more is sent")
        assert 0 < seen[-1] < 2000, "20 MB would not fit into any buffer"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_application_that_takes_nothing_stops_the_client(tmp_path: Path, loop: str) -> None:
    with started(tmp_path, "--loop", loop) as server, raw(server, "/idle") as made:
        made.socket.settimeout(1)
        piece = frame(BINARY, bytes(10_000)) * 10
        sent = 0
        with suppress(TimeoutError):
            while sent < 100 << 20:
                sent += made.socket.send(piece)
        assert 0 < sent < 50 << 20


def test_a_client_that_does_not_answer_pings_is_closed(tmp_path: Path) -> None:
    options = ("--ws-ping-interval", "300ms", "--ws-ping-timeout", "300ms", "--log-level", "debug")
    with started(tmp_path, *options) as server:
        with client(server, ping_interval=None) as ws, raw(server) as made:
            assert made.read(2) == b"\x89\x04"
            made.read(4)
            assert made.read(4)[::3] == b"\x88" + (1011).to_bytes(2, "big")[1:]
            assert made.is_closed() or made.read_to_eof()
            ws.send("I am still here")
            assert ws.recv(20) == "I am still here"
        assert "pong after" in server.output


@pytest.mark.parametrize("workers", ["0", "1"])
def test_shutdown(tmp_path: Path, workers: str) -> None:
    with (
        started(tmp_path, "--workers", workers) as server,
        client(server) as ws,
        client(server, "/idle"),
    ):
        ws.send("x")
        ws.recv(20)
        server.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            ws.recv(20)
        assert ws.close_code == 1012
        # /idle takes no notice of anything: it has the grace period, and is cancelled then.
        assert server.wait() == 0
        assert "cancelled, because the server is stopping" in server.output


def test_shutdown_without_clients_that_stay_is_quick(tmp_path: Path) -> None:
    """The grace period would be much longer."""
    with (
        started(tmp_path, "--timeout-graceful-shutdown", "120") as server,
        client(server) as ws,
    ):
        server.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            ws.recv(20)
        assert ws.close_code == 1012
        assert server.wait() == 0


WSGI = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"plain"]
"""


@pytest.mark.parametrize(("source", "option"), [(WSGI, "auto"), (APP, "off")])
def test_plain_http_where_there_are_no_websockets(tmp_path: Path, source: str, option: str) -> None:
    with (
        serve("app:application", "--ws", option, cwd=tmp_path, source=source) as server,
        RawClient(server.address) as made,
    ):
        assert made.request("GET", "/echo", *HANDSHAKE).status == 200
        assert made.request().status == 200, "the connection goes on"
