"""What is put around an application under development: own paths, broken code, live pages."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from bare_serve.dev import live
from bare_serve.dev.placeholder import application as placeholder
from bare_serve.dev.state import record_of
from tests.dev.calls import Browser, fails


def wsgi(environ: Any, start: Any) -> Any:
    start("200 OK", [("Content-Type", "text/html"), ("Content-Length", "2")])
    return [b"hi"]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hi"})
        await receive()
        return
    fields = [(b"content-type", b"text/html"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"hi"})


BOTH = pytest.mark.parametrize(("app", "interface"), [(wsgi, "wsgi"), (asgi, "asgi")])


def broken() -> BaseException:
    try:
        compile("def f(:\n", "/app/views.py", "exec")
    except SyntaxError as error:
        return error
    raise AssertionError


@BOTH
def test_an_answer_that_nothing_is_wrong_with_is_what_it_was(app: Any, interface: str) -> None:
    answer = Browser(app, interface).get()
    assert (answer.status, answer.content) == (200, b"hi")


def test_what_works_without_works_with_it() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status="200 OK", headers=[("Content-Type", "text/html")])
        return [b"hi"]

    for live_pages in (True, False):
        assert Browser(app, "wsgi", live=live_pages).get().content.startswith(b"hi")


@BOTH
def test_the_version_and_the_script(app: Any, interface: str) -> None:
    browser = Browser(app, interface)
    assert browser.get("/__bare_serve__/version").text == f"{browser.state.code}.0"
    browser.state.renewed()  # the code of this worker
    assert browser.get("/__bare_serve__/version").text == f"{browser.state.code}.0"
    answer = browser.get("/__bare_serve__/live.js")
    assert answer.text == live.SCRIPT
    assert answer.headers["content-type"].startswith("text/javascript")
    assert browser.get("/__bare_serve__/x").status == 404
    assert browser.get("/__bare_serve__/version", "POST").status == 405


@BOTH
def test_code_that_does_not_start_is_shown_until_other_code_serves(
    app: Any, interface: str
) -> None:
    browser = Browser(app, interface)
    fails(browser.state, broken(), "'app:app' raised SyntaxError while it was imported")
    answer = browser.get("/any/path")
    assert answer.status == 503
    for shown in ("SyntaxError", "/app/views.py", "while it was imported", "data-state="):
        assert shown in answer.text
    assert browser.json()["line"] == 1
    assert browser.get(accept="*/*").text.startswith("The code does not start.")
    assert browser.get(accept="*/*").status == 503
    assert not browser.get("/__bare_serve__/version").text.endswith(".0")
    browser.state.renewed()
    assert browser.get().content == b"hi"
    assert browser.get("/__bare_serve__/version").text.endswith(".0")


@BOTH
def test_others_are_served_by_the_code_before(app: Any, interface: str) -> None:
    browser = Browser(app, interface)
    fails(browser.state, broken())
    assert browser.get(host="evil.example").content == b"hi"
    assert browser.get("/__bare_serve__/version", host="evil.example").text.endswith(".0")


@BOTH
@pytest.mark.parametrize(
    ("record", "said"),
    [
        (record_of("It took too long.", "Traceback of it"), ("It took too long.", "Traceback of")),
        (record_of("No record", "", '{"a": 1}'), ("No record",)),
        (b"no JSON", ("The reason stands in the log.",)),
        (b"[1]", ("The reason stands in the log.",)),
    ],
)
def test_a_failure_without_a_record_is_shown_as_it_is(
    app: Any, interface: str, record: bytes, said: tuple[str, ...]
) -> None:
    browser = Browser(app, interface)
    browser.state.failed(record)
    for accept in ("text/html", "*/*", "application/json"):
        text = browser.get(accept=accept).text
        assert all(each in text for each in said)


@BOTH
def test_pages_are_live(app: Any, interface: str) -> None:
    browser = Browser(app, interface, live=True)
    tag = live.tag("", f"{browser.state.code}.0")
    answer = browser.get()
    assert answer.text == f"hi{tag}"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert browser.get(method="POST").content == b"hi"
    assert browser.get(accept="*/*").content == b"hi"
    assert browser.get(host="phone.lan").text == f"hi{tag}"


@BOTH
def test_a_worker_of_the_code_before_keeps_pages_waiting(app: Any, interface: str) -> None:
    browser = Browser(app, interface, live=True)
    fails(browser.state, broken())
    before = browser.state.code
    browser.state.begun()
    browser.state.renewed()
    browser.state.code = before
    assert browser.get("/__bare_serve__/version").status == 503
    assert browser.get().text == f"hi{live.tag('', f'{before}.0')}"


def test_what_stands_in_is_a_page_that_heals_even_if_nothing_is_said_to_have_failed() -> None:
    browser = Browser(placeholder, "wsgi")
    answer = browser.get()
    assert answer.status == 503
    assert "about to be started" in answer.text
    assert f'data-state="{browser.state.code}.1"' in answer.text
    assert "terminal" in browser.get(host="evil.example").text


def test_a_websocket_passes_through_even_if_new_code_does_not_start() -> None:
    browser = Browser(asgi, "asgi", live=True)
    fails(browser.state, broken())
    with browser.client.websocket("/") as socket:
        assert socket.receive() == "hi"


def test_the_xray_is_on_the_page_and_not_in_what_the_application_sees() -> None:
    seen: list[Any] = []

    def app(environ: Any, start: Any) -> Any:
        seen.append("bare_serve.xray" in environ)
        raise ZeroDivisionError

    browser = Browser(app, "wsgi")
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_ACCEPT": "text/html",
        "bare_serve.xray": lambda: "the <steps>",
    }
    body = b"".join(browser.app(environ, lambda *given: None))
    assert b"the &lt;steps&gt;" in body
    assert seen == [False]


def flask() -> Any:
    import flask

    app = flask.Flask("app")
    app.add_url_rule("/raise", "raise", lambda: str(1 // 0))
    app.add_url_rule("/abort", "abort", lambda: flask.abort(500))
    return app


def quart() -> Any:
    import quart

    app = quart.Quart("app")
    app.add_url_rule("/raise", view_func=_raises)
    return app


async def _raises() -> str:
    return str(1 // 0)


def fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.add_api_route("/raise", lambda: 1 // 0)
    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def raises(request: Any) -> Any:
        return 1 // 0

    return Starlette(routes=[Route("/raise", raises)])


def litestar() -> Any:
    from litestar import Litestar, get

    return Litestar([get("/raise", sync_to_thread=False)(_divides)])


def _divides() -> int:
    return 1 // 0


def django(kind: str) -> Any:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    if not settings.configured:
        urls: Any = ModuleType("urls_of_error_pages")
        urls.urlpatterns = [path("raise", lambda request: 1 // 0)]
        sys.modules[urls.__name__] = urls
        settings.configure(ROOT_URLCONF=urls.__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
        django.setup()
    return get_wsgi_application() if kind == "wsgi" else get_asgi_application()


FRAMEWORKS: dict[str, Any] = {
    "flask": (flask, "wsgi"),
    "quart": (quart, "asgi"),
    "fastapi": (fastapi, "asgi"),
    "starlette": (starlette, "asgi"),
    "litestar": (litestar, "asgi"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    # What FastAPI does here is Starlette's doing, and its import takes seconds.
    [pytest.param(name, marks=[pytest.mark.long] * (name == "fastapi")) for name in FRAMEWORKS],
)
def test_exceptions_that_frameworks_answer_themselves_are_shown(name: str) -> None:
    make, interface = FRAMEWORKS[name]
    browser = Browser(make(), interface)
    answer = browser.get("/raise")
    assert answer.status == 500
    assert "<h1>ZeroDivisionError</h1>" in answer.text
    assert "1 // 0" in answer.text
    answer = browser.get("/raise", accept="application/json")
    assert answer.status == 500
    assert "traceback" not in answer.text.lower()


def aborting() -> Any:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    async def abort(request: Any) -> None:
        raise HTTPException(500, "wanted")

    async def fail(request: Any) -> None:
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError as error:
            raise HTTPException(500, "wanted") from error

    return Starlette(routes=[Route("/abort", abort), Route("/fail", fail)])


def test_a_500_that_the_application_wants_is_not_replaced() -> None:
    assert "Internal Server Error</h1>" in Browser(flask(), "wsgi").get("/abort").text
    browser = Browser(aborting(), "asgi")
    assert browser.get("/abort").text == "wanted"
    assert "ZeroDivisionError" in browser.get("/fail").text
