"""Responses are sound when they are made, and the same bytes by both interfaces."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bare_serve.bare import (
    Bare,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Request,
    Response,
    StreamResponse,
)
from bare_serve.bare.response import dump_json
from bare_serve.testing import TestClient
from tests.bare.book import wsgi as book_wsgi
from tests.bare.test_request import Ours
from tests.bare.versions import against, both, client


def answer_of(lib: Any, make: Any) -> Any:
    """What a client gets of the response that `make` makes."""
    app = lib.Bare()

    @app.get("/")
    async def page(request: Any) -> Any:
        return make(lib)

    return TestClient(app).get("/")


@against()
def test_two_cookies_two_headers(lib: Any) -> None:
    answer = answer_of(lib, lambda lib: lib.Response("x").set_cookie("a", "1").set_cookie("b", "2"))
    assert len(answer.headers.all("set-cookie")) == 2
    assert answer.cookies == {"a": "1", "b": "2"}


@against(Ours, book_wsgi)
def test_no_stray_cookies_header(lib: Any) -> None:
    app = lib.handler(lambda request: lib.Response("x").set_cookie("a", "1"))
    names = {name for name, _ in TestClient(app).get("/x").headers.pairs}
    assert names == {"content-type", "content-length", "set-cookie"}


@against()
def test_secure_false_is_absent(lib: Any) -> None:
    answer = answer_of(lib, lambda lib: lib.Response("x").set_cookie("a", "1", secure=False))
    assert "secure" not in answer.headers["set-cookie"].lower()
    answer = answer_of(lib, lambda lib: lib.Response("x").set_cookie("a", "1", secure=True))
    assert "; Secure" in answer.headers["set-cookie"]


@against()
def test_crlf_in_header_refused(lib: Any) -> None:
    for name, value in (
        ("x", "a\r\nset-cookie: b=1"),
        ("x", "a\nb"),
        ("x", "\0"),
        ("x y", "a"),
        ("", "a"),
        ("x", "\u0100"),
    ):
        with pytest.raises(ValueError, match="RFC 9110"):
            lib.Response("x").set_header(name, value)
        with pytest.raises(ValueError, match="RFC 9110"):
            lib.Response("x", headers={name: value})


@against(Ours, book_wsgi)
def test_204_has_no_body_headers(lib: Any) -> None:
    for status in (204, 304):
        app = lib.handler(lambda request, status=status: lib.Response("text", status))
        answer = TestClient(app).get("/x")
        assert answer.content == b""
        assert [name for name, _ in answer.headers.pairs if name.startswith("content-")] == []


@against()
def test_one_content_length(lib: Any) -> None:
    def make(lib: Any) -> Any:
        response = lib.Response("four")
        try:
            response.set_header("Content-Length", "4")
        except ValueError:
            response.set_header("X-Refused", "yes")
        return response

    answer = answer_of(lib, make)
    assert answer.headers.all("content-length") == ["4"]
    assert answer.headers["x-refused"] == "yes"


# ------------------------------------------------------------------ answers of handlers


@dataclass
class Point:
    x: int
    y: float


def gen() -> Iterator[str]:
    yield "a"
    yield "\u00e4"


ANSWERS: dict[str, tuple[Any, int, str | None, bytes]] = {
    "none": (None, 204, None, b""),
    "text": ("\u00e4", 200, "text/plain; charset=utf-8", "\u00e4".encode()),
    "bytes": (b"\xff", 200, "application/octet-stream", b"\xff"),
    "dict": ({"a": 1}, 200, "application/json", b'{"a":1}'),
    "list": ([1, None], 200, "application/json", b"[1,null]"),
    "number": (1.5, 200, "application/json", b"1.5"),
    "false": (False, 200, "application/json", b"false"),
    "dataclass": (Point(1, 2.0), 200, "application/json", b'{"x":1,"y":2.0}'),
    "response": (Response("x", 418), 418, "text/plain; charset=utf-8", b"x"),
    "page": (HTMLResponse("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
    "json": (JSONResponse([1], 201), 201, "application/json", b"[1]"),
}


@both
@pytest.mark.parametrize("case", ANSWERS)
def test_what_an_answer_stands_for(case: str, interface: str) -> None:
    answer, status, kind, body = ANSWERS[case]
    app = Bare()

    @app.get("/plain")
    def plain() -> Any:
        return answer

    @app.get("/async")
    async def waiting() -> Any:
        return answer

    for path in ("/plain", "/async"):
        got = client(app, interface).get(path)
        assert (got.status, got.headers.get("content-type"), got.content) == (status, kind, body)


with contextlib.closing(sqlite3.connect(":memory:")) as _database:
    ROW = sqlite3.Row(_database.execute("select 1 as a"), (1,))

VALUES: dict[str, tuple[Any, bytes]] = {
    "dates": (
        [datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)],
        b'["2026-01-02","2026-01-02T03:04:00+00:00"]',
    ),
    "uuid": (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    "decimal": (decimal.Decimal("1.10"), b'"1.10"'),
    "row": (ROW, b'{"a":1}'),
    "surrogate": ("\ud800", b'"\\ud800"'),
}


@pytest.mark.parametrize("case", VALUES)
def test_json_of_the_standard_library(case: str) -> None:
    value, wanted = VALUES[case]
    assert dump_json(value) == wanted


def test_what_has_no_json() -> None:
    with pytest.raises(TypeError, match="type object has no JSON"):
        dump_json([object()])
    with pytest.raises(ValueError, match=r"[Oo]ut of range"):
        dump_json(float("nan"))
    with pytest.raises(TypeError, match="type type has no JSON"):
        dump_json(Point)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Response(5), "str or bytes, not int"),
        (lambda: Response("x", 99), "200 to 599, not 99"),
        (lambda: Response("x", "200"), "200 to 599"),
        (lambda: Response("x", content_type="text/html\r\nx: y"), "RFC 9110"),
        (lambda: StreamResponse("text"), "iterable of pieces, not str"),
        (lambda: StreamResponse(5), "iterable of pieces, not int"),
        (lambda: RedirectResponse("//evil.example"), "external=True"),
        (lambda: RedirectResponse("/\\evil.example"), "external=True"),
        (lambda: RedirectResponse("https://evil.example"), "external=True"),
        (lambda: RedirectResponse("/a\r\nx: y"), "external=True"),
        (lambda: RedirectResponse("javascript:alert(1)"), "external=True"),
        (lambda: RedirectResponse("\\\\evil", external=True), "external=True"),
    ],
)
def test_what_is_no_response(made: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        made()


def test_redirects() -> None:
    for given, location in {
        "/login?next=/a%20b&c=\u00e4": "/login?next=/a%20b&c=%C3%A4",
        "/a b": "/a%20b",
    }.items():
        assert dict(RedirectResponse(given).headers)["location"] == location
    away = RedirectResponse("https://a.example/x", 303, external=True)
    assert (away.status, dict(away.headers)["location"]) == (303, "https://a.example/x")


def test_fields_of_a_response() -> None:
    response = Response("x", headers=[("A", "1"), ("a", "2")], content_type="text/css")
    assert response.headers == [("content-type", "text/css"), ("a", "1"), ("a", "2")]
    response.set_header("A", "3").add_header("Content-Type", "text/html")
    assert response.headers == [("content-type", "text/html"), ("a", "3")]


# ------------------------------------------------------------------ streams


@both
def test_a_stream_is_sent_piece_by_piece(interface: str) -> None:
    app = Bare()

    @app.get("/plain")
    def plain() -> Any:
        yield "a"
        yield b"\xff"

    @app.get("/async")
    async def waiting() -> Any:
        yield "a"
        yield b"\xff"

    @app.get("/response")
    def response() -> Any:
        return StreamResponse(iter(["a", b"\xff"]), 201, {"x-a": "b"}, "text/csv")

    for path in ("/plain", "/async", "/response"):
        with client(app, interface).stream("GET", path) as answer:
            assert [piece for piece in answer.pieces() if piece] == [b"a", b"\xff"]
        head = client(app, interface).head(path)
        assert head.content == b""
    assert answer.status == 201
    assert (answer.headers["x-a"], answer.headers["content-type"]) == ("b", "text/csv")


@both
def test_a_stream_is_closed_when_the_client_leaves(interface: str) -> None:
    app = Bare()
    closed: list[str] = []

    @app.get("/plain")
    def plain() -> Any:
        try:
            while True:
                yield "x" * 1000
        finally:
            closed.append("plain")

    @app.get("/async")
    async def waiting() -> Any:
        import asyncio

        try:
            yield "a"
            await asyncio.sleep(1000)
        finally:
            closed.append("async")

    tester = client(app, interface)
    with tester:
        for path in ("/plain", "/async") if interface == "asgi" else ("/plain",):
            with tester.stream("GET", path) as answer:
                assert next(iter(answer.pieces()))
    assert closed == (["plain", "async"] if interface == "asgi" else ["plain"])


@both
def test_head_runs_the_handler_and_no_stream(interface: str) -> None:
    app = Bare()
    log: list[str] = []

    @app.get("/")
    def page(request: Request) -> Any:
        log.append(request.method)

        def pieces() -> Iterator[str]:
            log.append("piece")
            yield "x"

        return StreamResponse(pieces())

    assert client(app, interface).head("/").status == 200
    assert log == ["HEAD"]
