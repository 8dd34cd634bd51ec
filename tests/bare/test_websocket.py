"""A WebSocket's handler: what it may do when, and what becomes of one that returns or raises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from bare_serve.bare import Bare, CloseWebSocket, Rooms, WebSocket, WebSocketClosed
from bare_serve.bare.errors import HTTPError, NotFound, TooManyRequests
from bare_serve.bare.websocket import serve_websocket
from bare_serve.testing import AsyncTestClient, TestClient, WebSocketRefused
from bare_serve.testing import WebSocketClosed as ClosedHere

Handler = Callable[[WebSocket], Awaitable[None]]


def served(handler: Handler, origins: tuple[str, ...] = ("same",)) -> TestClient:
    """A client of an application with one handler."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ws = WebSocket(scope, receive, send, None, {"name": "tea"})
        await serve_websocket(ws, origins, handler)

    return TestClient(app, interface="asgi", raise_app_exceptions=False)


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)


def test_messages_go_both_ways() -> None:
    with served(echo).websocket("/") as ws:
        for message in ("hi", "", "\u00e4\U0001f600", b"\xff\0", b""):
            ws.send(message)
            assert ws.receive() == message


def test_binary_frame_is_no_disconnect() -> None:
    """Also where a server sends both keys, as the specification allows."""

    async def play() -> list[Any]:
        told = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "bytes": b"", "text": None},
            {"type": "websocket.receive", "bytes": None, "text": ""},
            {"type": "websocket.receive", "bytes": b"x"},
            {"type": "websocket.disconnect", "code": 1001},
        ]
        ws = RawSocket(told).ws
        await ws.accept()
        return [message async for message in ws]

    assert asyncio.run(play()) == [b"", "", b"x"]


VALUES = [123, None, True, 1.5, "text", "", [], [1], {}, {"a": None}, "\ud800", "\u00e4"]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_json_scalar_survives(value: Any) -> None:
    async def echo_json(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_json(await ws.receive_json())

    with served(echo_json).websocket("/") as ws:
        ws.send(json.dumps(value))
        assert ws.receive_json() == value


READERS = {
    "receive_text": (b"bytes", 1003, "This WebSocket takes text."),
    "receive_bytes": ("text", 1003, "This WebSocket takes bytes."),
    "receive_json": ("{", 1007, "The message is not JSON."),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_message_that_is_not_what_is_read(reader: str, caplog: pytest.LogCaptureFixture) -> None:
    """The client's mistake: the WebSocket is closed, and nothing is logged."""
    message, code, reason = READERS[reader]

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await getattr(ws, reader)()

    with served(handler).websocket("/") as ws:
        ws.send({"receive_text": "text", "receive_bytes": b"bytes"}.get(reader, b"[]"))
        ws.send(message)
        with pytest.raises(ClosedHere):
            ws.receive()
        assert (ws.close_code, ws.close_reason) == (code, reason)
    assert not caplog.records


# ---------------------------------------------------------------------- the handshake


def test_what_a_handler_knows_of_the_handshake() -> None:
    seen: dict[str, Any] = {}

    async def handler(ws: WebSocket) -> None:
        seen.update(
            path=ws.path,
            query=ws.query("q"),
            header=ws.header("X-Shop"),
            cookies=ws.cookies,
            params=ws.path_params,
            offered=ws.subprotocols,
            accepted=ws.accepted,
        )
        await ws.accept("chat", {"X-Answer": "yes"})
        seen["after"] = ws.accepted

    with served(handler).websocket(
        "/rooms?q=1", headers={"x-shop": "2"}, cookies={"a": "b"}, subprotocols=["v2", "chat"]
    ) as ws:
        assert ws.subprotocol == "chat"
        assert ws.headers["x-answer"] == "yes"
    assert seen == {
        "path": "/rooms",
        "query": "1",
        "header": "2",
        "cookies": {"a": "b"},
        "params": {"name": "tea"},
        "offered": ["v2", "chat"],
        "accepted": False,
        "after": True,
    }


async def return_at_once(ws: WebSocket) -> None:
    pass


async def close_early(ws: WebSocket) -> None:
    await ws.close(1008, "No.")


async def raise_close(ws: WebSocket) -> None:
    raise CloseWebSocket(4001, "Who are you?")


async def raise_http(ws: WebSocket) -> None:
    raise TooManyRequests("Later.", {"Retry-After": "5"})


async def refuse(ws: WebSocket) -> None:
    await ws.refuse(401, headers={"WWW-Authenticate": "Basic"})


async def fail(ws: WebSocket) -> None:
    raise ZeroDivisionError("secret")


REFUSALS = {
    return_at_once: (403, "Forbidden\n"),
    close_early: (403, "No.\n"),
    raise_close: (403, "Who are you?\n"),
    raise_http: (429, "Later.\n"),
    refuse: (401, "Unauthorized\n"),
    fail: (500, "Internal Server Error\n"),
}


@pytest.mark.parametrize("handler", REFUSALS)
def test_refusals(handler: Handler) -> None:
    with pytest.raises(WebSocketRefused) as caught, served(handler).websocket("/"):
        pass
    assert (caught.value.status, caught.value.body.decode()) == REFUSALS[handler]
    expected = {raise_http: ("retry-after", "5"), refuse: ("www-authenticate", "Basic")}
    if handler in expected:
        name, value = expected[handler]
        assert caught.value.headers[name] == value


@pytest.mark.parametrize("handler", REFUSALS)
def test_refusals_of_a_server_without_the_extension(handler: Handler) -> None:
    raw = RawSocket([{"type": "websocket.connect"}])
    raw.scope["extensions"] = None
    raw.serve(handler)
    assert raw.sent == [{"type": "websocket.close", "code": 1008}]


def test_a_subprotocol_that_is_not_offered() -> None:
    async def play() -> None:
        ws = RawSocket([]).ws
        with pytest.raises(ValueError, match="does not offer 'chat'; it offers none"):
            await ws.accept("chat")
        for headers in ({"a b": "x"}, {"a": "x\r\ny"}):
            with pytest.raises(ValueError, match="must be"):
                await ws.accept(headers=headers)

    asyncio.run(play())


ORDER: dict[str, Callable[[WebSocket], Awaitable[Any]]] = {
    "`await ws.accept\\(\\)` comes before": lambda ws: ws.receive(),
    "`await ws.accept\\(\\)` comes before the first message": lambda ws: ws.send("x"),
}


@pytest.mark.parametrize("message", ORDER)
def test_accept_comes_first(message: str) -> None:
    async def play() -> None:
        with pytest.raises(RuntimeError, match=message):
            await ORDER[message](RawSocket([]).ws)

    asyncio.run(play())


def test_accept_comes_once() -> None:
    async def play() -> None:
        ws = RawSocket([{"type": "websocket.connect"}]).ws
        await ws.accept()
        for again in (ws.accept, ws.refuse):
            with pytest.raises(RuntimeError, match="accepted or closed before"):
                await again()

    asyncio.run(play())


# ---------------------------------------------------------------------- the end


def test_a_handler_that_returns_closes_with_1000() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("bye")

    with served(handler).websocket("/") as ws:
        assert list(ws) == ["bye"]
        assert ws.close_code == 1000


ENDS: dict[str, tuple[Exception, int, str]] = {
    "failure": (ZeroDivisionError("secret"), 1011, "Internal Server Error"),
    "close": (CloseWebSocket(4000, "Enough."), 4000, "Enough."),
    "long reason": (CloseWebSocket(4000, "\u00e4" * 100), 4000, "\u00e4" * 61),
    "HTTP, the client's": (NotFound("No such room."), 1008, "No such room."),
    "HTTP, ours": (HTTPError(503, "Later."), 1011, "Later."),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_handler_that_raises(case: str, caplog: pytest.LogCaptureFixture) -> None:
    error, code, reason = ENDS[case]

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise error

    with served(handler).websocket("/rooms/tea") as ws:
        with pytest.raises(ClosedHere):
            ws.receive()
        assert (ws.close_code, ws.close_reason) == (code, reason)
    assert not caplog.records  # it is the server's to log, once


def test_a_failure_is_seen_by_a_test_and_by_the_server() -> None:
    app = Bare()

    @app.websocket("/")
    async def fails(ws: WebSocket) -> None:
        await ws.accept()
        raise ZeroDivisionError("not for clients")

    with pytest.raises(ZeroDivisionError), TestClient(app).websocket("/") as ws:
        ws.receive()


def test_iteration_ends_when_the_client_leaves() -> None:
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        seen.extend([message async for message in ws])
        seen.append((ws.close_code, ws.close_reason))
        for wait in (ws.receive, ws.receive_json, lambda: ws.send("x"), lambda: ws.send_json(1)):
            with pytest.raises(WebSocketClosed, match="closed: 4000 Bye") as caught:
                await wait()
            assert isinstance(caught.value, OSError)
            seen.append(caught.value.code)

    with served(handler).websocket("/") as ws:
        ws.send("hi")
        ws.close(4000, "Bye")
    assert seen == ["hi", (4000, "Bye"), 4000, 4000, 4000, 4000]


def test_a_handler_need_not_notice_that_the_client_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.receive()

    with served(handler).websocket("/") as ws:
        ws.send("hi")
    assert not caplog.records


class RawSocket:
    """A server that has messages for the application, and keeps what it sends."""

    def __init__(self, told: list[dict[str, Any]], error: type[Exception] | None = None) -> None:
        self.told = told
        self.error = error
        self.sent: list[dict[str, Any]] = []
        self.scope = {
            "type": "websocket",
            "path": "/",
            "scheme": "ws",
            "headers": [(b"host", b"shop.example")],
            "extensions": {"websocket.http.response": {}},
        }

    @property
    def ws(self) -> WebSocket:
        return WebSocket(self.scope, self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        return self.told.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        if self.error is not None and message["type"] != "websocket.accept":
            raise self.error
        self.sent.append(message)

    def serve(self, handler: Handler, origins: tuple[str, ...] = ("same",)) -> None:
        call = serve_websocket(self.ws, origins, handler)
        with suppress(ZeroDivisionError):  # as a server does, which logs it
            asyncio.run(call)


CONNECT = {"type": "websocket.connect"}
LEFT = {"type": "websocket.disconnect", "code": 1005}


async def leave_by_return(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws:
        pass


async def leave_by_context(ws: WebSocket) -> None:
    async with ws:
        async for _ in ws:
            pass


async def leave_by_failure(ws: WebSocket) -> None:
    await ws.accept()
    async for _ in ws:
        pass
    raise ZeroDivisionError


async def leave_by_close(ws: WebSocket) -> None:
    await leave_by_return(ws)
    await ws.close(1011)


@pytest.mark.parametrize(
    "handler", [leave_by_return, leave_by_context, leave_by_failure, leave_by_close]
)
def test_close_after_disconnect_is_silent(handler: Handler) -> None:
    raw = RawSocket([CONNECT, LEFT])
    raw.serve(handler)
    assert [message["type"] for message in raw.sent] == ["websocket.accept"]


async def close_twice(ws: WebSocket) -> None:
    async with ws:
        await ws.close(4000)
        await ws.close(4001)


async def close_and_raise(ws: WebSocket) -> None:
    await ws.accept()
    await ws.close(4000)
    raise ZeroDivisionError


async def close_and_send(ws: WebSocket) -> None:
    await ws.accept()
    await ws.close(4000)
    await ws.send("x")


@pytest.mark.parametrize("handler", [close_twice, close_and_raise, close_and_send])
def test_no_double_close(handler: Handler) -> None:
    raw = RawSocket([CONNECT])
    raw.serve(handler)
    assert [message.get("code") for message in raw.sent] == [None, 4000]


@pytest.mark.parametrize("handler", [echo, leave_by_return, refuse, fail, return_at_once])
def test_a_client_that_leaves_before_the_handshake_is_over(handler: Handler) -> None:
    raw = RawSocket([LEFT])
    raw.serve(handler)
    assert raw.sent == []


async def speak(ws: WebSocket) -> None:
    await ws.accept()
    with pytest.raises(WebSocketClosed):
        await ws.send("x")
    assert ws.close_code == 1006


@pytest.mark.parametrize("handler", [speak, refuse, fail, close_early])
def test_a_client_that_left_is_noticed_while_sending(handler: Handler) -> None:
    raw = RawSocket([CONNECT], BrokenPipeError)
    raw.serve(handler)
    assert [message["type"] for message in raw.sent] == ["websocket.accept"] * (handler is speak)


def test_a_close_may_find_that_the_client_left() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

    RawSocket([CONNECT], BrokenPipeError).serve(handler)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
def test_codes_that_may_not_be_sent(code: int) -> None:
    async def play() -> None:
        ws = RawSocket([]).ws
        with pytest.raises(ValueError, match=f"not {code}"):
            await ws.close(code)
        with pytest.raises(ValueError, match=f"not {code}"):
            CloseWebSocket(code)

    asyncio.run(play())


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_may_be_sent(code: int) -> None:
    assert CloseWebSocket(code).code == code


@pytest.mark.parametrize("wrong", [None, 1, {"a": 1}, bytearray(b"x")])
def test_only_text_and_bytes_are_sent(wrong: Any) -> None:
    async def play() -> None:
        with pytest.raises(TypeError, match=r"str or bytes, not .*: see send_json\(\)"):
            await RawSocket([]).ws.send(wrong)

    asyncio.run(play())


def test_cancellation_is_the_servers() -> None:
    """A server that stops cancels the call, and closes with 1012 itself."""

    async def play() -> list[dict[str, Any]]:
        raw = RawSocket([CONNECT])

        async def handler(ws: WebSocket) -> None:
            await ws.accept()
            await asyncio.Event().wait()

        task = asyncio.create_task(serve_websocket(raw.ws, ("same",), handler))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return raw.sent

    assert [message["type"] for message in asyncio.run(play())] == ["websocket.accept"]


# ---------------------------------------------------------------------- Origin


def test_origin_checked(caplog: pytest.LogCaptureFixture) -> None:
    client = served(echo)
    own = {"Host": "shop.example", "Origin": "http://shop.example"}
    foreign = {"Host": "shop.example", "Origin": "http://evil.example\r\n"[:-2]}
    with client.websocket("/", headers=own) as ws:
        ws.send("hi")
        assert ws.receive() == "hi"
    with pytest.raises(WebSocketRefused) as caught, client.websocket("/", headers=foreign):
        pass
    assert caught.value.status == 403
    assert caught.value.body == b"Pages of this origin may not open this WebSocket.\n"
    with client.websocket("/"):
        pass  # without an Origin it is no browser
    with served(echo, ("*",)).websocket("/", headers=foreign):
        pass


# ---------------------------------------------------------------------- rooms


def test_rooms_of_websockets() -> None:
    rooms = Rooms(max_message=10)

    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        async with rooms.join("tea", ws, ws.query("name")) as room:
            room.send(f"{len(room.members)} here")
            async for message in ws:
                room.send(message, but=ws)

    client = served(chat)
    with client.websocket("/?name=ann") as ann:
        assert ann.receive() == "1 here"
        with client.websocket("/?name=bob") as bob:
            assert ann.receive() == bob.receive() == "2 here"
            assert [member.who for member in rooms.members("tea")] == ["ann", "bob"]
            ann.send("hi")
            assert bob.receive() == "hi"
            bob.send("x" * 11)
            with pytest.raises(ClosedHere):
                bob.receive()
            assert (bob.close_code, bob.close_reason) == (1009, "A message has more than 10 bytes.")
        ann.send("alone")
    assert len(rooms) == 0


def test_a_member_who_does_not_read_is_asked_to_leave() -> None:
    rooms = Rooms(limit=10)

    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        async with rooms.join("tea", ws):
            async for message in ws:
                rooms.send("tea", message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await serve_websocket(WebSocket(scope, receive, send), ("same",), chat)

    async def play() -> None:
        client = AsyncTestClient(app, interface="asgi")
        async with client.websocket("/") as ann, client.websocket("/") as slow:
            for number in range(5000):  # a test's socket holds 1,024 for who does not take them
                await ann.send(str(number))
                assert await ann.receive() == str(number)
                if slow.close_code is not None:
                    break
            assert (slow.close_code, slow.close_reason) == (1013, "You read too slowly.")
            assert len(rooms.members("tea")) == 1
        assert len(rooms) == 0

    asyncio.run(play())
