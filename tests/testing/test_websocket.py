"""WebSockets: messages both ways, refusals, both ends; and applications that do not come to one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bare_serve.errors import ResponseError
from bare_serve.testing import (
    AsyncTestClient,
    ClientTimeout,
    IncompleteAnswer,
    SpecError,
    TestClient,
    WebSocketClosed,
    WebSocketRefused,
)

TEXT = (b"content-type", b"text/plain")


class Echo:
    """Sends back what it receives; closes when it is told to; `ended` has what it was told last."""

    def __init__(self) -> None:
        self.ended: Any = None
        self.scope: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/refuse":
            await send({"type": "websocket.close"})
            return
        if scope["path"] == "/denied":
            start = {"type": "websocket.http.response.start", "status": 401}
            await send({**start, "headers": [(b"www-authenticate", b"Basic"), TEXT]})
            body = {"type": "websocket.http.response.body"}
            await send({**body, "body": b"no ", "more_body": True})
            await send({**body, "body": b"entry"})
            return
        accept: dict[str, Any] = {"type": "websocket.accept", "headers": [(b"x-a", b"1")]}
        if scope["subprotocols"]:
            accept["subprotocol"] = scope["subprotocols"][-1]
        await send(accept)
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.ended = message["code"], message["reason"]
                return
            text = message.get("text")
            if text == "close":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you like"})
                return
            if text == "done":
                await send({"type": "websocket.close"})
                return
            if text == "return":
                return
            if text == "raise":
                raise LookupError("of the application")
            data = text if text is not None else message["bytes"]
            await send({"type": "websocket.send", "text" if text is not None else "bytes": data})


def test_messages_both_ways() -> None:
    echo = Echo()
    with TestClient(echo) as client:
        with client.websocket("/chat?a=1", headers={"X": "y"}, cookies={"c": "d"}) as ws:
            ws.send("text")
            assert ws.receive() == "text"
            ws.send(b"bytes")
            assert ws.receive() == b"bytes"
            ws.send_json({"a": [1, "\u00e9"]})
            assert ws.receive_json() == {"a": [1, "\u00e9"]}
            ws.send("no json")
            with pytest.raises(ValueError, match="the message is no JSON"):
                ws.receive_json()
            assert ws.subprotocol is None
            assert ws.headers["x-a"] == "1"
            assert ws.close_code is None
        assert echo.ended == (1000, "")
    scope = echo.scope
    assert (scope["scheme"], scope["path"], scope["query_string"]) == ("ws", "/chat", b"a=1")
    assert {(b"x", b"y"), (b"cookie", b"c=d"), (b"upgrade", b"websocket")} <= set(scope["headers"])
    assert "websocket.http.response" in scope["extensions"]
    assert "method" not in scope


def test_subprotocols() -> None:
    with TestClient(Echo()).websocket("/", subprotocols=["a", "b"]) as ws:
        assert ws.subprotocol == "b"


def test_a_scheme_of_its_own() -> None:
    echo = Echo()
    with TestClient(echo).websocket("wss://shop/chat"):
        assert echo.scope["scheme"] == "wss"
        assert echo.scope["server"] == ("shop", 443)


def test_the_test_closes() -> None:
    echo = Echo()
    with TestClient(echo).websocket("/") as ws:
        ws.close(4000, "enough")
        assert echo.ended == (4000, "enough")
        with pytest.raises(WebSocketClosed):
            ws.receive()
        with pytest.raises(WebSocketClosed):
            ws.send("too late")


def test_the_application_closes() -> None:
    with TestClient(Echo()).websocket("/") as ws:
        ws.send("one")
        ws.send("close")
        assert ws.receive() == "one"
        with pytest.raises(WebSocketClosed, match="code 4001 and 'as you like'") as caught:
            ws.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "as you like")
        assert (ws.close_code, ws.close_reason) == (4001, "as you like")
        with pytest.raises(WebSocketClosed):
            ws.send("too late")


def test_an_application_that_accepts_and_closes_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "bye"})
        await send({"type": "websocket.close", "code": 4001, "reason": "as we like"})

    with TestClient(app).websocket("/") as ws:
        assert ws.receive() == "bye"
        with pytest.raises(WebSocketClosed, match="4001"):
            ws.receive()
        assert (ws.close_code, ws.close_reason) == (4001, "as we like")


@pytest.mark.parametrize("last", ["done", "return"])
def test_iteration_ends_with_the_conversation(last: str) -> None:
    with TestClient(Echo()).websocket("/") as ws:
        for text in ("a", "b", last):
            ws.send(text)
        assert list(ws) == ["a", "b"]
        assert ws.close_code == 1000


def test_iteration_tells_of_another_end() -> None:
    with TestClient(Echo()).websocket("/") as ws:
        ws.send("a")
        ws.send("close")
        messages = iter(ws)
        assert next(messages) == "a"
        with pytest.raises(WebSocketClosed, match="4001"):
            next(messages)


def test_a_refusal() -> None:
    with (
        pytest.raises(WebSocketRefused, match="with status 403") as caught,
        TestClient(Echo()).websocket("/refuse"),
    ):
        pytest.fail("it was refused")
    assert (caught.value.status, caught.value.body) == (403, b"")


def test_a_refusal_with_an_answer() -> None:
    with pytest.raises(WebSocketRefused) as caught, TestClient(Echo()).websocket("/denied"):
        pytest.fail("it was refused")
    refused = caught.value
    assert (refused.status, refused.body) == (401, b"no entry")
    assert refused.headers["WWW-Authenticate"] == "Basic"


def test_an_exception_of_the_application() -> None:
    with pytest.raises(LookupError, match="of the application"):
        with TestClient(Echo()).websocket("/") as ws:
            ws.send("raise")
            ws.receive()
    with pytest.raises(LookupError, match="of the application"):
        with TestClient(Echo()).websocket("/") as ws:
            ws.send("raise")  # and the test does not look
    with TestClient(Echo(), raise_app_exceptions=False).websocket("/") as ws:
        ws.send("raise")
        with pytest.raises(WebSocketClosed, match="1011"):
            ws.receive()


def test_the_tests_own_failure_is_the_one_to_show() -> None:
    with pytest.raises(ZeroDivisionError), TestClient(Echo()).websocket("/") as ws:
        ws.send("raise")
        raise ZeroDivisionError


def test_a_message_that_does_not_come() -> None:
    client = TestClient(Echo(), timeout=30)
    with client.websocket("/chat") as ws:
        with pytest.raises(ClientTimeout) as caught:
            ws.receive(timeout=0.05)
        assert "(none sent) within 0.05 s; it waits at " in str(caught.value)
        ws.send("hi")
        assert ws.receive() == "hi"
        with pytest.raises(ClientTimeout) as caught:
            ws.receive(timeout=0.05)
    text = str(caught.value)
    assert text.startswith("WebSocket /chat: no message from the application (the last one sent to")
    assert "was 'hi') within 0.05 s; it waits at " in text
    assert "test_websocket.py:" in text
    assert "in __call__" in text


def test_an_application_that_never_accepts() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    with (
        pytest.raises(ClientTimeout, match="it sent neither"),
        TestClient(app, timeout=0.05).websocket("/"),
    ):
        pytest.fail("it was not accepted")


def test_an_application_that_returns_without_accepting() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    with pytest.raises((IncompleteAnswer, SpecError)), TestClient(app).websocket("/"):
        pytest.fail("it was not accepted")
    with (
        pytest.raises(IncompleteAnswer, match="it sent neither"),
        TestClient(app, lint=False).websocket("/"),
    ):
        pytest.fail("it was not accepted")
    with pytest.raises(WebSocketRefused, match="500"):
        with TestClient(app, lint=False, raise_app_exceptions=False).websocket("/"):
            pytest.fail("it was not accepted")


def test_sending_into_a_closed_websocket_is_no_mistake() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    with TestClient(app).websocket("/") as ws:
        assert ws.receive() == "tick"
    assert ended == [True]


def test_a_sender_waits_for_a_test_that_does_not_read() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            sent += 1

    with TestClient(app) as client, client.websocket("/") as ws:
        assert ws.receive() == "tick"
        assert sent < 5000
        client.run(asyncio.sleep(0.01))
        assert sent < 5000


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "message first": ([{"type": "websocket.send", "text": "a"}], "websocket.accept"),
    "no type": ([{}], "type"),
    "subprotocol": ([{"type": "websocket.accept", "subprotocol": "x"}], "x"),
    "headers": ([{"type": "websocket.accept", "headers": [("a", "b")]}], "headers"),
    "twice": ([{"type": "websocket.accept"}, {"type": "websocket.accept"}], "websocket.accept"),
    "nothing in it": ([{"type": "websocket.accept"}, {"type": "websocket.send"}], "text"),
    "no text": ([{"type": "websocket.accept"}, {"type": "websocket.send", "text": 1}], "int"),
    "no code": ([{"type": "websocket.accept"}, {"type": "websocket.close", "code": 99}], "99"),
    "after the close": (
        [
            *({"type": "websocket.accept"}, {"type": "websocket.close"}),
            {"type": "websocket.send", "text": "a"},
        ],
        "close",
    ),
}


@pytest.mark.parametrize("lint", [True, False])
@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_named(case: str, lint: bool) -> None:
    messages, word = WRONG[case]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    with pytest.raises(SpecError if lint else ResponseError, match=word) as caught:
        with TestClient(app, lint=lint).websocket("/") as ws:
            ws.receive()
            ws.receive()
    assert "ASGI" in str(caught.value) or "RFC" in str(caught.value)


def test_a_mistake_that_the_application_swallows_is_raised_all_the_same() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await send({"type": "websocket.send"})
        except ValueError:
            pass
        await send({"type": "websocket.close"})

    with pytest.raises(ResponseError, match="neither 'bytes' nor 'text'"):
        with TestClient(app, lint=False).websocket("/"):
            pass


def test_two_websockets_of_one_client() -> None:
    members: set[Any] = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        members.add(send)
        while (message := await receive())["type"] == "websocket.receive":
            for member in members:
                await member({"type": "websocket.send", "text": message["text"]})
        members.discard(send)

    with TestClient(app) as client:
        with client.websocket("/") as one, client.websocket("/") as two:
            one.send("hi")
            assert one.receive() == two.receive() == "hi"
            two.close()
            one.send("alone")
            assert one.receive() == "alone"
        assert members == set()


def test_a_websocket_that_is_left_open_ends_with_its_client() -> None:
    echo = Echo()
    with TestClient(echo) as client:
        client.websocket("/").__enter__()
    assert echo.ended == (1000, "")


def test_an_asynchronous_test() -> None:
    async def main() -> None:
        echo = Echo()
        async with AsyncTestClient(echo) as client:
            async with client.websocket("/", subprotocols=["a"]) as ws:
                assert ws.subprotocol == "a"
                await ws.send_json([1])
                assert await ws.receive_json() == [1]
                for text in ("a", "b", "done"):
                    await ws.send(text)
                assert [message async for message in ws] == ["a", "b"]
            async with client.websocket("/") as ws:
                await ws.close(4000, "enough")
            assert echo.ended == (4000, "enough")
            with pytest.raises(WebSocketRefused):
                async with client.websocket("/refuse"):
                    pytest.fail("it was refused")

    asyncio.run(main())
