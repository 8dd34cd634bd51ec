"""Exceptions of an ASGI application become pages as long as no byte of its answer has left."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from bare_serve.errors import ClientGone, RequestError, ResponseError
from bare_serve.testing import TestClient
from tests.dev.calls import Browser

FIELDS = [(b"content-type", b"text/html")]
LOCAL = {"accept": "text/html", "host": "localhost"}


def raising(app: Any) -> TestClient:
    return TestClient(Browser(app, "asgi").app, interface="asgi")


def head(status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": FIELDS}


def piece(body: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def raises(scope: Any, receive: Any, send: Any) -> None:
    await send(piece(b"%d" % (1 // 0)))


async def raises_after_the_head(scope: Any, receive: Any, send: Any) -> None:
    await send(head())
    await send(piece(b"%d" % (1 // 0)))


async def raises_in_a_group(scope: Any, receive: Any, send: Any) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(raises(scope, receive, send))


@pytest.mark.parametrize("app", [raises, raises_after_the_head, raises_in_a_group])
def test_an_exception_becomes_a_page(app: Any) -> None:
    answer = Browser(app, "asgi").get()
    assert answer.status == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "ZeroDivisionError" in answer.text
    assert "test_asgi_errors.py" in answer.text
    assert "headers: host" in answer.text


def test_an_application_of_asgi_2_is_one_too() -> None:
    def app(scope: Any) -> Any:
        async def instance(receive: Any, send: Any) -> None:
            raise ZeroDivisionError

        return instance

    assert "ZeroDivisionError" in Browser(app, "asgi2").get().text


def test_the_exception_is_raised_behind_the_page_for_the_log() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(raises).get("/", headers=LOCAL)


def test_programs_get_json_or_text() -> None:
    browser = Browser(raises, "asgi")
    assert browser.json()["type"] == "ZeroDivisionError"
    assert browser.get(accept="*/*").text.endswith("modulo by zero\n")


@pytest.mark.parametrize("fields", [{"host": "evil.example"}, {"x_forwarded_for": "127.0.0.1"}])
def test_others_get_what_they_always_get(fields: dict[str, str]) -> None:
    with pytest.raises(ZeroDivisionError):
        raising(raises).get(
            "/", headers={**LOCAL, **{n.replace("_", "-"): v for n, v in fields.items()}}
        )
    assert "ZeroDivisionError" not in Browser(raises, "asgi").get(**fields).text


@pytest.mark.parametrize("error", [ClientGone(32, "gone"), RequestError(413, "Too large")])
def test_what_is_the_clients_doing_is_left_to_the_server(error: Exception) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise OSError("in a framework") from error

    answer = Browser(app, "asgi").get(accept="*/*")
    assert "in a framework" not in answer.text


def test_no_page_behind_bytes_that_have_left() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(head())
        await send(piece(b"begun", more=True))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        raising(app).get("/", headers=LOCAL)


@pytest.mark.parametrize(
    ("messages", "said"),
    [([], "without a complete answer"), ([head()], "without a complete answer")],
)
def test_an_answer_that_is_missing_is_shown(messages: list[Any], said: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    found = Browser(app, "asgi").json()
    assert found["type"] == f"{ResponseError.__module__}.ResponseError"
    assert said in found["message"]


@pytest.mark.parametrize("messages", [[], [head()]])
def test_no_answer_is_owed_to_a_client_that_has_left(messages: list[Any]) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        assert (await receive())["type"] == "http.disconnect"
        if scope["path"] == "/raises":
            raise ZeroDivisionError

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    served = Browser(app, "asgi").app
    fields = [(name.encode(), value.encode()) for name, value in LOCAL.items()]
    scope = {"type": "http", "method": "GET", "headers": fields, "client": ("127.0.0.1", 1)}
    asyncio.run(served({**scope, "path": "/"}, receive, send))
    assert sent == messages
    with pytest.raises(ZeroDivisionError):
        asyncio.run(served({**scope, "path": "/raises"}, receive, send))


def makes_500(show: bytes = b"Internal Server Error", how: str = "log", pieces: int = 1) -> Any:
    async def answer(send: Any) -> None:
        await send(head(500))
        for number in range(pieces):
            await send(piece(show, more=number < pieces - 1))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError as error:
            if how == "log":
                logger = logging.getLogger("framework")
                await asyncio.to_thread(logger.error, "oh", exc_info=error)
            else:
                await answer(send)
                if how == "raise":
                    raise
        if how == "log":
            await answer(send)

    return app


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("how", ["log", "handle", "raise"])
def test_a_500_made_of_an_exception_becomes_its_page(how: str, pieces: int) -> None:
    assert "ZeroDivisionError" in Browser(makes_500(how=how, pieces=pieces), "asgi").get().text


def test_an_exception_that_is_not_logged_by_a_framework_is_logged_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("bare_serve").propagate = True
    Browser(makes_500(how="handle"), "asgi").get()
    Browser(makes_500(how="log"), "asgi").get()
    assert [record.name for record in caplog.records if record.name != "framework"] == [
        "bare_serve.app"
    ]


@pytest.mark.parametrize("how", ["log", "handle", "raise"])
def test_a_500_for_a_program_stays_what_it_is(how: str) -> None:
    answer = Browser(makes_500(how=how), "asgi").get(accept="application/json")
    assert answer.text == "Internal Server Error"


@pytest.mark.parametrize("how", ["log", "handle", "raise"])
def test_a_500_that_shows_the_exception_itself_stays(how: str) -> None:
    shown = b"<h1>ZeroDivisionError</h1> Traceback ..."
    assert Browser(makes_500(shown, how), "asgi").get().text == shown.decode()


def test_a_500_of_no_exception_stays() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(head(500))
        await send(piece(b"mine"))

    assert Browser(app, "asgi").get().text == "mine"


def test_a_long_500_passes_through() -> None:
    body = b"x" * 100_000
    answer = Browser(makes_500(body, pieces=5), "asgi").get()
    assert answer.content == body * 5


@pytest.mark.parametrize("body", [None, "text", 1])
def test_a_body_that_is_none_is_judged_by_the_server(body: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(head(500))
        await send({"type": "http.response.body", "body": body})

    Browser(app, "asgi").get()  # the page of a ResponseError, or a 500: no failure of ours
