"""The demo shows what it received, under both interfaces, and nothing can break out of it."""

from __future__ import annotations

import asyncio
import io
import sys
from html.parser import HTMLParser
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from bare_serve.app import demo, detect, load

Answer = tuple[int, dict[str, str], str]


def by_wsgi(
    method: str = "GET",
    path: str = "/",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    **extra: Any,
) -> Answer:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.input": io.BytesIO(body),
        **{f"HTTP_{k.upper().replace('-', '_')}": v for k, v in (headers or {}).items()},
        **extra,
    }
    setup_testing_defaults(environ)
    started: list[Any] = []
    result = validator(demo.wsgi)(environ, lambda *args: started.append(args) or (lambda b: None))
    page = b"".join(result)
    result.close()
    status, lines = started[0][:2]
    return int(status[:3]), dict(lines), page.decode()


def by_asgi(
    method: str = "GET",
    path: str = "/",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    **extra: Any,
) -> Answer:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": method,
        "path": path,
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        **extra,
    }
    half = len(body) // 2
    sent = run(
        scope,
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:]},
    )
    start, rest = sent
    lines = {k.decode(): v.decode() for k, v in start["headers"]}
    return start["status"], lines, rest["body"].decode()


def run(scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """One call of the ASGI side: the messages it gets, and those it sent."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(demo.asgi(scope, receive, send))
    assert waiting == []
    return sent


both = pytest.mark.parametrize("ask", [by_wsgi, by_asgi])


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "action")]
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@both
def test_shows_the_request(ask: Any) -> None:
    status, headers, page = ask("GET", "/a/ü", {"user-agent": "a browser", "x-two": "2"})
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-length"] == str(len(page.encode()))
    assert "<b>GET</b> /a/ü " in page
    assert "<tr><th scope=row>user-agent</th><td>a browser</td></tr>" in page
    assert "<tr><th scope=row>x-two</th><td>2</td></tr>" in page
    assert "This request had no body" in page


def test_says_which_interface() -> None:
    assert "WSGI 1.0" in by_wsgi()[2]
    assert "<code>environ</code>" in by_wsgi()[2]
    assert "wsgi.url_scheme" in by_wsgi()[2]
    assert "ASGI 3.0" in by_asgi()[2]
    assert "<code>scope</code>" in by_asgi()[2]
    assert "spec_version" in by_asgi()[2]


@both
def test_is_one_whole_page_without_assets(ask: Any) -> None:
    elements = Elements(ask()[2])
    assert elements.open == []
    assert elements.links == ["data:,"]
    assert not {"script", "img", "iframe"} & set(elements.tags)
    assert "{" not in ask()[2].partition("</style>")[2].replace("{&#x27;", "")


@both
def test_nothing_breaks_out(ask: Any) -> None:
    evil = "</pre></td><script>alert(1)</script>"
    _, headers, page = ask(
        "POST", f"/{evil}", {"x-evil": evil, "cookie": evil}, evil.encode(), evil=evil
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert Elements(page).open == []
    assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("ask", "query"), [(by_wsgi, {"QUERY_STRING": "x=<1>"}), (by_asgi, {"query_string": b"x=<1>"})]
)
def test_shows_the_query(ask: Any, query: dict[str, Any]) -> None:
    assert "<b>GET</b> /a?x=&lt;1&gt; " in ask(path="/a", **query)[2]


def test_a_name_is_escaped_too() -> None:
    assert "<i>&lt;b&gt;" not in by_asgi(headers={"<b>": "1"})[2]
    assert "<th scope=row>&lt;b&gt;</th>" in by_asgi(headers={"<b>": "1"})[2]


@both
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (1, "<b>1</b> byte of body"),
        (2048, "<b>2,048</b> bytes of body"),
        (300_000, "<b>300,000</b> bytes of body"),
    ],
)
def test_counts_the_body(ask: Any, size: int, words: str) -> None:
    _, _, page = ask("POST", body=b"x" * size)
    assert words in page
    assert f"<pre>{'x' * min(size, 2048)}</pre>" in page
    assert ("The first 2,048 bytes" in page) == (size > 2048)


@both
def test_a_body_that_is_no_text(ask: Any) -> None:
    assert "<b>4</b> bytes" in ask("POST", body=b"\xff\xfe\x00a")[2]


@both
def test_head_has_the_headers_alone(ask: Any) -> None:
    status, headers, page = ask("HEAD")
    assert (status, page) == (200, "")
    assert int(headers["content-length"]) > 1000


def test_content_headers_of_wsgi_are_headers() -> None:
    page = by_wsgi("POST", body=b"ab", CONTENT_TYPE="text/plain")[2]
    assert "<th scope=row>content-length</th><td>2</td>" in page
    assert "<th scope=row>content-type</th><td>text/plain</td>" in page
    assert "content-length</th>" not in by_wsgi()[2]


def test_a_lone_surrogate_does_not_fail_the_page() -> None:
    assert "\\udcff" in by_asgi(path="/\udcff")[2]


def test_client_gone_while_it_sends() -> None:
    scope = {"type": "http", "asgi": {"version": "3.0"}}
    assert run(scope, {"type": "http.disconnect"}) == []


def test_lifespan() -> None:
    sent = run({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [m["type"] for m in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_websocket_is_refused() -> None:
    sent = run({"type": "websocket"}, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1000}]


@pytest.mark.parametrize(
    ("interface", "taken", "known"),
    [
        ("auto", "bare_serve.app.demo:application", "asgi"),
        ("asgi", "bare_serve.app.demo:application", "asgi"),
        ("wsgi", "bare_serve.app.demo:wsgi", "wsgi"),
    ],
)
def test_flags_choose_its_interface(
    interface: str, taken: str, known: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    loaded = load("bare_serve.app.demo", app_dir=tmp_path, interface=interface)
    assert (loaded.target, loaded.interface) == (taken, known)
    assert detect(loaded.app).interface == known
