"""The messages of a WebSocket, as an application sends and receives them, without a socket."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from bare_serve.errors import ClientGone, ResponseError
from bare_serve.websocket import WebSocketOptions
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, bodies, body, hello, start
from tests.asgi.websocket_fakes import (
    ACCEPT,
    DEFLATE,
    Scripted,
    SocketWire,
    ended,
    opened,
    upgrade,
)
from tests.websocket.harness import BINARY, CLOSE, PING, PONG, RSV1, TEXT, close, frame

DISCONNECT = "websocket.disconnect"


def test_the_scope(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app, root_path="/api")
        wire.service.state = {"db": 1}
        await wire.feed(upgrade(b"Sec-WebSocket-Protocol: v1, v2\r\n", b"Cookie: a=1\r\n"))
        scope = app.scope
        assert scope["type"] == "websocket"
        assert scope["scheme"] == "ws"
        assert scope["http_version"] == "1.1"
        assert scope["subprotocols"] == ["v1", "v2"]
        assert scope["path"] == "/api/chat"
        assert (scope["raw_path"], scope["query_string"]) == (b"/chat", b"room=1")
        assert (b"cookie", b"a=1") in scope["headers"]
        assert scope["client"] == ("10.0.0.9", 4711)
        assert scope["state"] == {"db": 1}
        assert scope["extensions"] == {"websocket.http.response": {}}
        assert "method" not in scope
        await wire.lose()

    run(scene())


def test_a_conversation(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        waiting = wire.loop.create_task(app.receive())
        await wire.feed(frame(TEXT, b"hi"))
        assert await waiting == {"type": "websocket.receive", "text": "hi"}
        await wire.feed(frame(BINARY, b"\x00") + frame(TEXT, b""))
        assert await app.receive() == {"type": "websocket.receive", "bytes": b"\x00"}
        assert await app.receive() == {"type": "websocket.receive", "text": ""}
        await app.send({"type": "websocket.send", "text": "there"})
        await app.send({"type": "websocket.send", "text": None, "bytes": b"\x01"})
        await app.send({"type": "websocket.send", "bytes": bytearray(b"\x02")})
        await wire.feed(frame(PING, b"p"))
        assert wire.sent == [(TEXT, b"there"), (BINARY, b"\x01"), (BINARY, b"\x02"), (PONG, b"p")]
        await wire.feed(close(1001, b"bye"))
        for _ in range(2):
            gone = {"type": DISCONNECT, "code": 1001, "reason": "bye"}
            assert await app.receive() == gone
        assert wire.close_code == 1001
        assert wire.transport.closed
        await ended(wire, app)

    run(scene())


def test_the_answer_to_the_handshake(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app, extra_headers=b"X-Ours: 1\r\n")
        await wire.feed(upgrade(b"Sec-WebSocket-Protocol: v1\r\n"))
        headers = [(b"set-cookie", b"a=1"), (b"Connection", b"close")]
        await app.send({**ACCEPT, "subprotocol": "v1", "headers": headers})
        first, *lines = wire.head.split(b"\r\n")
        assert first == b"HTTP/1.1 101 Switching Protocols"
        names = [line.partition(b":")[0].lower() for line in lines]
        assert sorted(names) == sorted(
            [
                *(b"date", b"x-ours", b"set-cookie", b"upgrade", b"connection"),
                *(b"sec-websocket-accept", b"sec-websocket-protocol"),
            ]
        )
        assert b"Connection: Upgrade" in lines
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
        await ended(wire, app)

    run(scene())


def test_frames_right_behind_the_request_are_kept(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade() + frame(TEXT, b"early") + frame(TEXT, b"bird")[:3])
        await wire.feed(frame(TEXT, b"bird")[3:])
        await app.send(ACCEPT)
        assert (await app.receive())["type"] == "websocket.connect"
        assert (await app.receive())["text"] == "early"
        assert (await app.receive())["text"] == "bird"
        await ended(wire, app)

    run(scene())


def test_much_behind_the_request_is_not_read_before_the_handshake(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade() + frame(BINARY, bytes(100_000)))
        assert not wire.transport.reading
        await app.send(ACCEPT)
        await app.receive()
        assert (await app.receive())["bytes"] == bytes(100_000)
        assert wire.transport.reading
        await ended(wire, app)

    run(scene())


@pytest.mark.parametrize("compression", [True, False])
def test_compression(run: Run, compression: bool) -> None:
    async def scene() -> None:
        app = Scripted()
        options = WebSocketOptions(compression=compression)
        wire = await opened(app, DEFLATE, websocket=options)
        assert (b"permessage-deflate" in wire.head) is compression
        await app.send({"type": "websocket.send", "text": "x" * 1000})
        ((first, payload),) = wire.sent
        assert (first, len(payload) < 50) == ((TEXT | RSV1, True) if compression else (TEXT, False))
        await ended(wire, app)

    run(scene())


# ---------------------------------------------------------------------- without a handshake


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade().replace(b"Version: 13", b"Version: 12"), 426),
        (upgrade().replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        (upgrade().replace(b"dGhl", b""), 400),
        (upgrade(b"Sec-WebSocket-Protocol: \xff\r\n"), 400),
        (upgrade(b"Sec-WebSocket-Extensions: a b\r\n"), 400),
    ],
)
def test_a_handshake_that_is_wrong_never_reaches_the_application(
    run: Run, request_bytes: bytes, status: int
) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(request_bytes)
        assert wire.status == status
        assert (b"Sec-WebSocket-Version: 13" in wire.head) is (status == 426)
        assert app.scope == {}
        assert wire.transport.eof_written
        await wire.lose()

    run(scene())


@pytest.mark.parametrize(
    "request_bytes",
    [
        upgrade().replace(b"keep-alive, Upgrade", b"keep-alive"),
        upgrade().replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        upgrade().replace(b"GET", b"POST"),
        upgrade(b"Content-Length: 2\r\n") + b"hi",
        upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_other_requests_are_plain_http(run: Run, request_bytes: bytes) -> None:
    async def scene() -> None:
        wire = SocketWire(hello)
        await wire.feed(request_bytes)
        assert wire.status == 200
        assert bodies(wire.output) == [b"/chat"]
        await wire.lose()

    run(scene())


def test_with_websockets_off_all_is_plain_http(run: Run) -> None:
    async def scene() -> None:
        wire = SocketWire(hello, websocket=None)
        await wire.feed(upgrade() + GET)
        assert bodies(wire.output) == [b"/chat", b"/"]
        await wire.lose()

    run(scene())


def test_close_before_accept_is_403(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade())
        await app.receive()
        await app.send({"type": "websocket.close", "code": 4000})
        assert wire.status == 403
        assert await app.receive() == {"type": DISCONNECT, "code": 1006, "reason": ""}
        await app.send({"type": "websocket.close"})
        with pytest.raises(ResponseError, match="refused"):
            await app.send(ACCEPT)
        app.over.set()
        # The connection is one for HTTP as before.
        wire.service.app = hello
        await wire.feed(GET)
        assert bodies(wire.output)[1:] == [b"/"]
        await wire.lose()

    run(scene())


def test_a_refusal_with_an_answer_of_its_own(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade())
        prefix = "websocket."
        await app.send({**start(401, (b"www-authenticate", b"Basic")), "type": prefix + START})
        with pytest.raises(ResponseError):
            await app.send(ACCEPT)
        await app.send({**body(b"who ", more=True), "type": prefix + BODY})
        await app.send({**body(b"are you?"), "type": prefix + BODY})
        assert wire.status == 401
        assert b"www-authenticate: Basic" in wire.output
        assert b"are you?" in wire.output
        await wire.lose()

    run(scene())


START, BODY = "http.response.start", "http.response.body"


async def ignores_the_type(scope: Any, receive: Any, send: Any) -> None:
    await send(start())
    await send(body(b"hello"))


async def insists_on_http(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"


async def returns(scope: Any, receive: Any, send: Any) -> None:
    pass


@pytest.mark.parametrize("app", [ignores_the_type, insists_on_http, returns])
def test_an_application_without_websockets_gives_an_answer(
    run: Run, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        wire = SocketWire(app)
        await wire.feed(upgrade())
        assert wire.status == 500
        assert not wire.service.running
        await wire.lose()

    run(scene())
    assert "/chat" in caplog.text


@pytest.mark.parametrize("gone", [True, False])
def test_a_client_that_leaves_before_the_answer(
    run: Run, gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade())
        await app.receive()
        waiting = wire.loop.create_task(app.receive())
        await wire.settle()
        if gone:
            await wire.lose()
        else:
            assert await wire.eof() is False
        assert await waiting == {"type": DISCONNECT, "code": 1006, "reason": ""}
        with pytest.raises(ClientGone):
            await app.send(ACCEPT)
        await app.send({"type": "websocket.close"})
        app.over.set()
        await wire.settle()
        assert not wire.service.running
        assert wire.output == b""
        if not gone:
            assert wire.transport.closed
            await wire.lose()

    run(scene())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send", "text": "x"},
        {"type": "websocket.receive"},
        {"type": START, "status": 200},
        {"type": None},
        {},
        None,
        {**ACCEPT, "subprotocol": "v9"},
        {**ACCEPT, "headers": [(b"a\r\nb", b"c")]},
        {**ACCEPT, "headers": [(b"a", b"b\nc")]},
        {**ACCEPT, "headers": [("a", "b")]},
        {**ACCEPT, "headers": [1]},
        {**ACCEPT, "headers": 7},
        {**ACCEPT, "headers": [(b"Sec-WebSocket-Protocol", b"x")]},
    ],
)
def test_messages_that_are_wrong_before_the_handshake(run: Run, message: Any) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade())
        with pytest.raises(ResponseError):
            await app.send(message)
        assert wire.output == b""
        await app.send(ACCEPT)  # nothing is lost
        assert wire.status == 101
        await ended(wire, app)

    run(scene())


# ---------------------------------------------------------------------- after it


@pytest.mark.parametrize(
    "message",
    [
        ACCEPT,
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.send", "text": 7},
        {"type": "websocket.send", "bytes": [1]},
        {"type": "websocket.send", "text": "\ud800"},
        {"type": "websocket.close", "code": 1005},
        {"type": "websocket.close", "code": 999},
        {"type": "websocket.close", "code": "1000"},
        {"type": "websocket.close", "reason": b"x"},
        {"type": "websocket.http.response.start", "status": 200},
        {"type": START, "status": 200},
        {},
        7,
    ],
)
def test_messages_that_are_wrong_after_the_handshake(run: Run, message: Any) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        with pytest.raises(ResponseError):
            await app.send(message)
        await app.send({"type": "websocket.send", "text": "still here"})
        assert wire.sent == [(TEXT, b"still here")]
        await ended(wire, app)

    run(scene())


def test_the_application_closes(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await app.send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        assert wire.sent == [(CLOSE, (4001).to_bytes(2, "big") + b"enough")]
        assert not wire.transport.closed, "the client's close frame is waited for"
        await wire.feed(frame(TEXT, b"too late"))
        with pytest.raises(ResponseError, match="has closed"):
            await app.send({"type": "websocket.send", "text": "x"})
        await app.send({"type": "websocket.close"})
        gone = {"type": DISCONNECT, "code": 4001, "reason": "enough"}
        assert await app.receive() == gone
        await wire.feed(close(4001))
        assert wire.transport.closed
        await ended(wire, app)
        assert len(wire.sent) == 1

    run(scene())


def test_an_application_that_returns_closes_with_1000(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        app.over.set()
        await wire.settle()
        assert wire.close_code == 1000
        await ended(wire, app)

    run(scene())


def test_an_application_that_raises_closes_with_1011(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        app.result = ValueError("theirs")
        app.over.set()
        await wire.settle()
        assert wire.close_code == 1011
        assert b"theirs" not in wire.output
        await ended(wire, app)

    run(scene())
    assert "ValueError: theirs" in caplog.text


@pytest.mark.parametrize("how", ["close", "lose", "drain"])
def test_after_a_disconnect(run: Run, how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await wire.feed(frame(TEXT, b"last words"))
        if how == "close":
            await wire.feed(close(1000))
        elif how == "lose":
            await wire.lose()
        else:
            wire.protocol.drain()
        with pytest.raises(ClientGone) as caught:
            await app.send({"type": "websocket.send", "text": "x"})
        assert isinstance(caught.value, OSError)
        await app.send({"type": "websocket.close", "code": 1006})
        assert (await app.receive())["text"] == "last words"
        codes = {"close": 1000, "lose": 1006, "drain": 1012}
        assert (await app.receive())["code"] == codes[how]
        app.result = caught.value  # an application may let it pass
        app.over.set()
        await wire.settle()
        if how == "drain":
            assert wire.close_code == 1012
            await wire.feed(close(1012))
        if how != "lose":
            await wire.lose()
        assert not wire.service.connections
        assert not wire.service.running

    run(scene())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_upgrade_while_draining_is_closed_at_once(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = SocketWire(app)
        await wire.feed(upgrade())
        wire.service.draining = True
        await app.send(ACCEPT)
        assert wire.close_code == 1012
        await ended(wire, app)

    run(scene())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0x83), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, bytes(1001)), 1009),
        (frame(TEXT, b"x", key=None), 1002),
    ],
)
def test_a_client_that_breaks_the_protocol(run: Run, data: bytes, code: int) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app, websocket=WebSocketOptions(max_size=1000))
        await wire.feed(frame(TEXT, b"good") + data)
        # The application answers the good message before the fault is met.
        assert (await app.receive())["text"] == "good"
        await app.send({"type": "websocket.send", "text": "good"})
        message = await app.receive()
        assert (message["type"], message["code"]) == (DISCONNECT, code)
        assert wire.sent[0] == (TEXT, b"good")
        assert wire.close_code == code
        # What the client still sends is read, so that no reset overtakes the close frame.
        assert wire.transport.eof_written
        assert wire.transport.reading
        await wire.feed(bytes(1 << 19))
        assert not wire.transport.closed
        await wire.feed(bytes(1 << 19))
        assert wire.transport.closed
        await ended(wire, app)

    run(scene())


def test_a_fault_does_not_wait_for_an_application_that_takes_nothing(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        await wire.feed(frame(TEXT, b"good") + frame(0x83))
        assert wire.sent == []
        wire.protocol.check(wire.loop.time())
        assert wire.close_code == 1002
        await ended(wire, app)

    run(scene())


def test_many_tasks_may_wait_in_receive_and_send(run: Run) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        tasks = [wire.loop.create_task(app.receive()) for _ in range(3)]
        await wire.settle()
        tasks[0].cancel()
        await wire.feed(frame(TEXT, b"1"), frame(TEXT, b"2"))
        assert {(await task)["text"] for task in tasks[1:]} == {"1", "2"}
        assert len({app.send, app.send}) == 1, "send may be kept in a set"
        await asyncio.gather(
            *(app.send({"type": "websocket.send", "text": str(i)}) for i in range(5))
        )
        assert [payload for _, payload in wire.sent] == [b"0", b"1", b"2", b"3", b"4"]
        await ended(wire, app)

    run(scene())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "neither 'bytes' nor 'text'"),
        ({"bytes": None, "text": None}, "neither 'bytes' nor 'text'"),
        ({"bytes": 5}, "not int"),
        ({"text": ["a"]}, "not list"),
    ],
)
def test_a_message_that_holds_nothing_to_send(run: Run, more: dict[str, Any], told: str) -> None:
    async def scene() -> None:
        app = Scripted()
        wire = await opened(app)
        with pytest.raises(ResponseError, match=told):
            await app.send({"type": "websocket.send", **more})
        assert wire.sent == []
        await ended(wire, app)

    run(scene())
