"""Pages get the script, and nothing else changes: streams, lengths, other answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest

from bare_serve.dev import live
from bare_serve.dev.asked import Asked

ASKED = Asked("GET", "/", "/base", "127.0.0.1", {})
TAG = live.tag("/base", "7.0").encode()
HTML = ("Content-Type", "text/html; charset=utf-8")

PAGES: dict[str, tuple[int, list[tuple[str, str]], bool]] = {
    "a page": (200, [HTML], True),
    "with a length": (200, [HTML, ("Content-Length", "2")], True),
    "no page yet": (404, [HTML], True),
    "an error page": (500, [("content-type", "TEXT/HTML")], True),
    "other text": (200, [("Content-Type", "text/plain")], False),
    "xhtml": (200, [("Content-Type", "application/xhtml+xml")], False),
    "no type": (200, [], False),
    "wide characters": (200, [("Content-Type", "text/html; charset=UTF-16")], False),
    "compressed": (200, [HTML, ("Content-Encoding", "gzip")], False),
    "a part": (206, [HTML], False),
    "a part, by its field": (200, [HTML, ("Content-Range", "bytes 0-1/2")], False),
    "nothing": (204, [HTML], False),
    "not modified": (304, [HTML], False),
    "elsewhere": (302, [HTML], False),
    "with a digest": (200, [HTML, ("Repr-Digest", "sha-256=:x:")], False),
    "with trailers": (200, [HTML, ("Trailer", "x")], False),
}


def call_wsgi(app: Any, environ: dict[str, Any] | None = None) -> tuple[Any, list[Any], bytes]:
    heads: list[Any] = []
    written: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        heads.append((status, headers))
        return written.append

    result = live.wsgi(app, ASKED, "7.0")(environ or {}, start)
    body = b"".join([*written, *result])
    return result, heads[-1][1], body


def call_asgi(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(live.asgi(app, ASKED, "7.0")({"type": "http"}, None, send))
    return sent


@pytest.mark.parametrize("case", PAGES)
def test_which_answers_of_wsgi_get_the_script(case: str) -> None:
    status, headers, is_page = PAGES[case]

    def app(environ: Any, start: Any) -> list[bytes]:
        start(f"{status} X", list(headers))
        return [b"hi"]

    _, fields, body = call_wsgi(app)
    assert body == (b"hi" + TAG if is_page else b"hi")
    if is_page and "length" in case:
        assert ("Content-Length", str(2 + len(TAG))) in fields
    else:
        assert fields == headers


@pytest.mark.parametrize("case", PAGES)
def test_which_answers_of_asgi_get_the_script(case: str) -> None:
    status, headers, is_page = PAGES[case]
    fields = [(name.encode(), value.encode()) for name, value in headers]
    start = {"type": "http.response.start", "status": status, "headers": fields}
    sent = call_asgi(start, {"type": "http.response.body", "body": b"hi"})
    assert sent[1]["body"] == (b"hi" + TAG if is_page else b"hi")
    if is_page and "length" in case:
        assert (b"Content-Length", b"%d" % (2 + len(TAG))) in sent[0]["headers"]
    else:
        assert sent[0]["headers"] == fields


def test_validators_are_taken_off_since_they_are_of_other_bytes() -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [HTML, ("ETag", '"1"'), ("Last-Modified", "x"), ("X-A", "1")])
        return [b"hi"]

    assert call_wsgi(app)[1] == [HTML, ("X-A", "1")]


def test_a_stream_of_wsgi_stays_a_stream_and_is_closed() -> None:
    told: list[str] = []

    class Stream:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(3):
                told.append(f"made {number}")
                yield b"%d" % number

        def close(self) -> None:
            told.append("closed")

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [HTML])
        return Stream()

    result = live.wsgi(app, ASKED, "7.0")({}, lambda *given: None)
    pieces = iter(result)
    assert next(pieces) == b"0"
    assert told == ["made 0"]
    assert [*pieces] == [b"1", b"2", TAG]
    result.close()
    assert told[-1] == "closed"


def test_a_generator_that_starts_the_answer_itself() -> None:
    def app(environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [HTML])
        yield b"hi"

    assert call_wsgi(app)[2] == b"hi" + TAG


def test_write_comes_before_the_script() -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [HTML])(b"written ")
        return [b"returned"]

    assert call_wsgi(app)[2] == b"written returned" + TAG


def test_a_head_that_is_replaced_decides() -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [HTML])
        start("500 Oh", [("Content-Type", "text/plain")], (ValueError, ValueError(), None))
        return [b"hi"]

    assert call_wsgi(app)[2] == b"hi"


class Wrapper:
    def __init__(self, file: Any) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.file)


@pytest.mark.parametrize("kind", ["text/html", "image/png"])
def test_a_file_is_left_to_the_server_unless_it_is_a_page(kind: str) -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", kind)])
        return environ["wsgi.file_wrapper"](BytesIO(b"hi"))

    result, _, body = call_wsgi(app, {"wsgi.file_wrapper": Wrapper})
    assert isinstance(result, Wrapper) is (kind == "image/png")
    assert body == (b"hi" if kind == "image/png" else b"hi" + TAG)


@pytest.mark.parametrize("headers", [None, "x", [1], [("a",)], [(1, 2)]])
def test_what_is_no_head_is_left_for_the_server_to_judge(headers: Any) -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", headers)
        return [b"hi"]

    assert call_wsgi(app)[1:] == (headers, b"hi")
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    assert call_asgi(start)[0] is start


def test_a_stream_of_asgi_stays_a_stream() -> None:
    head = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/html")],
    }
    pieces = [{"type": "http.response.body", "body": b"1", "more_body": True}] * 2
    last = {"type": "http.response.body"}
    sent = call_asgi(head, *pieces, last)
    assert sent[1:3] == pieces
    assert sent[3] == {"type": "http.response.body", "body": TAG}


def test_pages_of_asgi_with_trailers_are_left_alone() -> None:
    head = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/html")],
        "trailers": True,
    }
    assert call_asgi(head, {"type": "http.response.body", "body": b""})[0] is head


def test_an_application_is_not_offered_to_send_files_behind_which_nothing_can_stand() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    offers = {"http.response.pathsend": {}, "http.response.early_hint": {}}
    scope = {"type": "http", "extensions": offers}
    asyncio.run(live.asgi(app, ASKED, "7.0")(scope, None, None))
    assert seen == [{"type": "http", "extensions": {"http.response.early_hint": {}}}]
    assert "http.response.pathsend" in scope["extensions"]


def test_the_tag_is_escaped() -> None:
    made = live.tag('/"><b>', "1.2")
    assert made == (
        '<script src="/&quot;&gt;&lt;b&gt;/__bare_serve__/live.js" data-state="1.2"></script>'
    )
    assert "data-resend" in live.tag("", "1.2", resend=True)


def test_the_script_asks_only_this_server() -> None:
    assert not re.search(r"https?:", live.SCRIPT)
    assert live.SCRIPT.isascii()
