"""What is known to go wrong in test harnesses, and does not here.

Each of these has been seen in a harness that is shown as an example somewhere: it fails there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.errors import ResponseError
from bare_serve.testing import LifespanFailed, SpecError, TestClient

TEXT = [("Content-Type", "text/plain")]
PLAIN = [(b"content-type", b"text/plain")]


def test_exc_info_before_sending_replaces() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        try:
            raise LookupError
        except LookupError:
            start_response("500 Oh dear", [*TEXT, ("X-Error", "1")], sys.exc_info())
        return [b"sorry"]

    response = TestClient(app).get("/")
    assert (response.status, response.reason, response.headers["x-error"]) == (500, "Oh dear", "1")
    assert response.text == "sorry"


def test_exc_info_after_sending_raises() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"begun"
        try:
            raise LookupError("of the application")
        except LookupError:
            start_response("500 Oh dear", TEXT, sys.exc_info())

    with pytest.raises(LookupError, match="of the application"):
        TestClient(app).get("/")


def test_generator_app() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("201 Created", TEXT)
        yield b"a"
        yield b"b"

    client = TestClient(app)
    assert (client.get("/").status, client.get("/").content) == (201, b"ab")
    with client.stream("GET", "/") as answer:
        assert answer.status == 201
        assert answer.read() == b"ab"


def test_write() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"a")
        write(b"b")
        return [b"c"]

    client = TestClient(app, lint=False)  # write is advised against
    assert client.get("/").content == b"abc"
    with client.stream("GET", "/") as answer:
        assert list(answer) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("lint", [True, False])
def test_never_started_is_named(lint: bool) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return [b"x"]

    with pytest.raises(SpecError if lint else ResponseError, match="start_response") as caught:
        TestClient(app, lint=lint).get("/")
    assert "PEP 3333" in str(caught.value)


def test_repeated_set_cookie() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b""]

    response = TestClient(app).get("/")
    assert response.headers.all("set-cookie") == ["a=1", "b=2"]
    assert response.cookies == {"a": "1", "b": "2"}


def environ_of(method: str, url: str, **given: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", TEXT)
        return [b""]

    TestClient(app).request(method, url, **given)
    return seen


def test_query_in_path() -> None:
    environ = environ_of("GET", "/a?x=1")
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a", "x=1")


def test_content_type_not_HTTP() -> None:
    environ = environ_of("POST", "/", content="a", headers={"Content-Type": "text/x"})
    assert environ["CONTENT_TYPE"] == "text/x"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_script_name_present() -> None:
    assert environ_of("GET", "/")["SCRIPT_NAME"] == ""


class Site:
    """An ASGI application with a lifespan that tells what happens to it."""

    def __init__(self, *, startup: str = "complete", message: str = "") -> None:
        self.startup = startup
        self.message = message
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            self.seen.append("startup")
            scope["state"].update(pool={"size": 1}, count=0)
            answer = {"type": f"lifespan.startup.{self.startup}"}
            await send({**answer, "message": self.message} if self.message else answer)
            if self.startup == "failed":
                return
            self.seen.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
            return
        state = scope["state"]
        self.seen.append((state["count"], state["pool"]["size"]))
        state["count"] += 1
        state["pool"]["size"] += 1
        await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
        await send({"type": "http.response.body", "body": b""})


def test_startup_failed_raises() -> None:
    site = Site(startup="failed", message="no database")
    with pytest.raises(LifespanFailed, match="startup failed: no database"), TestClient(site):
        pytest.fail("the startup has failed")


def test_no_lifespan_no_wait() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
        await send({"type": "http.response.body", "body": b"x"})

    before = time.perf_counter()
    with TestClient(app) as client:
        assert client.get("/").content == b"x"
    assert time.perf_counter() - before < 4  # and not the timeout, which is 5


def test_shutdown_sent() -> None:
    site = Site()
    with TestClient(site):
        assert site.seen == ["startup"]
    assert site.seen == ["startup", "lifespan.shutdown"]


def test_state_shared_shallow() -> None:
    site = Site()
    with TestClient(site) as client:
        client.get("/")
        client.get("/")
        assert client.state["pool"] == {"size": 3}
    assert site.seen[1:3] == [(0, 1), (0, 2)]


def test_disconnect_only_when_left() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["more_body"] is False
        listener = asyncio.create_task(receive())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not listener.done()
        await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
        await send({"type": "http.response.body", "body": b"x"})
        told.append((await listener)["type"])

    assert TestClient(app).post("/", content="body").content == b"x"
    assert told == ["http.disconnect"]


def test_long_running_app_answers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def work() -> bytes:
            await asyncio.sleep(0.02)
            return b"done"

        async def leaves() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        tasks = [asyncio.create_task(work()), asyncio.create_task(leaves())]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if tasks[0] in done:
            await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
            await send({"type": "http.response.body", "body": tasks[0].result()})

    assert TestClient(app).get("/").content == b"done"
