"""The clients on popular frameworks: whole answers, streams that are left, WebSockets."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bare_serve.testing import AsyncTestClient, TestClient, WebSocketClosed
from tests.testing import endless_apps, framework_apps

SITES: dict[str, Any] = {
    "flask": framework_apps.flask,
    "django": lambda: framework_apps.django("wsgi"),
    "django async": lambda: framework_apps.django("asgi"),
    "starlette": framework_apps.starlette,
    "fastapi": framework_apps.fastapi,
    "quart": framework_apps.quart,
    "litestar": framework_apps.litestar,
}
FILE = framework_apps.FILE.read_bytes()
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:StreamingHttpResponse")


@quiet
@pytest.mark.parametrize("name", SITES)
def test_whole_answers(name: str) -> None:
    pytest.importorskip(name.split()[0])
    with TestClient(SITES[name]()) as client:
        assert client.get("/hello").text == "hello"
        assert client.get("/json").json() == {"a": 1}
        assert client.get("/stream").text == "tick 0\ntick 1\n"
        assert client.get("/file").content == FILE
        assert client.get("/missing").status == 404
        head = client.head("/hello")
        assert head.content == b""
        with client.stream("GET", "/stream") as answer:
            assert list(answer.lines()) == ["tick 0", "tick 1"]


@quiet
@pytest.mark.parametrize("name", [name for name in SITES if name not in ("flask", "django")])
def test_an_asynchronous_test(name: str) -> None:
    pytest.importorskip(name.split()[0])

    async def main() -> None:
        async with AsyncTestClient(SITES[name]()) as client:
            answers = await asyncio.gather(*[client.get("/hello") for _ in range(5)])
            assert [answer.text for answer in answers] == ["hello"] * 5
            assert (await client.get("/file")).content == FILE
            async with client.stream("GET", "/stream") as answer:
                assert [line async for line in answer.lines()] == ["tick 0", "tick 1"]

    asyncio.run(main())


@quiet
@pytest.mark.parametrize("name", ["starlette", "fastapi", "quart", "litestar"])
def test_websockets(name: str) -> None:
    pytest.importorskip(name)
    with TestClient(SITES[name]()) as client:
        with client.websocket("/ws") as ws:
            ws.send("hi")
            assert ws.receive() == "hi"
            with pytest.raises(WebSocketClosed, match="1000"):
                ws.receive()
        with client.websocket("/ws"):
            pass  # left while the application waits for a message


@quiet
@pytest.mark.parametrize("kind", ["ticks", "flood", "quiet"])
@pytest.mark.parametrize("name", ["starlette", "fastapi", "quart", "litestar", "flask"])
def test_a_stream_that_is_left_ends(name: str, kind: str) -> None:
    pytest.importorskip(name)
    if (name, kind) == ("flask", "quiet"):
        pytest.skip("a WSGI application that waits is waited for")
    app = getattr(endless_apps, name)()
    endless_apps.ended.clear()
    with TestClient(app) as client:
        with client.stream("GET", f"/{kind}") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert next(answer.events()).data == "0"
            assert endless_apps.ended == []
            before = time.process_time()
        assert endless_apps.ended == [kind]
        assert time.process_time() - before < 0.5
