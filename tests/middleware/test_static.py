"""The policy through both adapters: what a request for a file gets, and when it is none."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bare_serve.middleware import Exchange, Head, Headers, Outcome, static_files, wrap
from bare_serve.middleware.static import Static, checked_prefix, compiled_pattern
from bare_serve.middleware.static_files import SMALL
from bare_serve.testing import Response, TestClient
from tests.support.descriptors import opened_below

LONG_AGO = 1_000_000_000
DATE = "Sun, 09 Sep 2001 01:46:40 GMT"
LARGE = os.urandom(SMALL + 1000)
Get = Callable[..., Response]


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Says that it was called."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Says that it was called."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    fields = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"the application"})


def write(path: Path, content: bytes, at: float = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands a minute later: what was written just now has settled."""
    now = time.time_ns
    monkeypatch.setattr(static_files.time, "time_ns", lambda: now() + 60_000_000_000)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    write(top / "a.css", b"body{}")
    write(top / "large.bin", LARGE)
    write(top / "empty.txt", b"")
    write(top / "app.3f2a1b9c.js", b"1")
    write(top / "docs" / "index.html", b"<p>docs")
    write(top / "docs" / "plain" / "b.txt", b"b")
    write(top / "größe 日本.txt", b"utf-8")
    write(top / ".env", b"secret")
    write(top / ".well-known" / "security.txt", b"mail us")
    return top


@pytest.fixture(params=[wsgi, asgi], ids=["wsgi", "asgi"])
def app(request: pytest.FixtureRequest) -> Any:
    return request.param


def client(app: Any, *policies: Static) -> TestClient:
    return TestClient(wrap(app, *policies))


def shown(response: Response) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in response.fields}


def test_a_file_is_sent_with_all_that_belongs_to_it(app: Any, top: Path) -> None:
    response = client(app, Static("/assets", top)).get("/assets/a.css")
    assert response.status == 200
    assert response.content == b"body{}"
    assert shown(response) == {
        "content-type": "text/css; charset=utf-8",
        "content-length": "6",
        "etag": '"de0b6b3a7640000-6"',
        "last-modified": DATE,
        "cache-control": "no-cache",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize("name", ["a.css", "large.bin", "empty.txt"])
def test_head_is_get_without_the_body(app: Any, top: Path, name: str) -> None:
    client_ = client(app, Static("/assets", top))
    got, head = client_.get(f"/assets/{name}"), client_.head(f"/assets/{name}")
    assert got.content == (top / name).read_bytes()
    assert (head.status, head.content) == (200, b"")
    assert shown(head) == shown(got)


def test_small_and_large_files_twice(app: Any, top: Path) -> None:
    """The first time, and as it is remembered."""
    client_ = client(app, Static("/assets", top))
    for name in ("a.css", "large.bin", "empty.txt", "docs/plain/b.txt"):
        first, again = (client_.get(f"/assets/{name}") for _ in range(2))
        assert first.content == again.content == (top / name).read_bytes()
        assert shown(first) == shown(again)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", "app"),
        ("/asset", "app"),
        ("/assetsx", "app"),
        ("/assets-secret/a.css", "app"),
        ("/assets", 404),
        ("/assets/", 404),
        ("/assets/none.css", 404),
        ("/assets/docs", 404),
        ("/assets/docs/", 404),
        ("/assets/a.css/", 404),
        ("/assets/a.css/b", 404),
        ("/assets//a.css", 404),
        ("/assets/A.CSS", 404),
        ("/assets/.env", 404),
        ("/assets/%2eenv", 404),
        ("/assets/a.css%00", 404),
        ("/assets/docs%5cindex.html", 404),
        ("/assets/%ff", 404),
        ("/assets/docs%2findex.html", 200),
        ("/assets/.well-known/security.txt", 200),
        ("/assets/gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC.txt", 200),
        ("/assets/a.css?v=1", 200),
        ("/a%73sets/a.css", 200),
    ],
)
def test_which_paths_are_files(app: Any, top: Path, path: str, status: int | str) -> None:
    response = client(app, Static("/assets", top)).get(path)
    if status == "app":
        assert response.text == "the application"
    else:
        assert (response.status, "the application" in response.text) == (status, False)
    if status == 404:
        assert shown(response)["cache-control"] == "no-store"


def test_what_is_not_there_falls_through_if_asked(app: Any, top: Path) -> None:
    client_ = client(app, Static("/assets", top, fallthrough=True))
    assert client_.get("/assets/none").text == "the application"
    assert client_.get("/assets/.env").text == "the application"
    assert client_.get("/assets/a.css").text == "body{}"


def test_under_the_root_it_falls_through_by_itself(app: Any, top: Path) -> None:
    client_ = client(app, Static("/", top, index=True))
    assert client_.get("/").text == "the application"
    assert client_.get("/none").text == "the application"
    assert client_.get("/a.css").text == "body{}"
    assert client_.get("/docs/").text == "<p>docs"
    assert client(app, Static("/", top, fallthrough=False)).get("/none").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods(app: Any, top: Path, method: str) -> None:
    client_ = client(app, Static("/assets", top))
    response = client_.request(method, "/assets/large.bin")
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    assert client_.request(method, "/assets/none").status == 404
    assert client_.request(method, "/x").text == "the application"


def test_an_index_if_asked(app: Any, top: Path) -> None:
    client_ = client(app, Static("/assets", top, index=True))
    assert client_.get("/assets/docs/").text == "<p>docs"
    for asked, place in (("docs", "./docs/"), ("docs?a=%2F&b", "./docs/?a=%2F&b")):
        response = client_.get(f"/assets/{asked}")
        assert (response.status, response.headers["location"]) == (307, place)
        assert client_.get(f"/assets/{asked}", follow_redirects=True).text == "<p>docs"
    assert client_.get("/assets/docs/plain").status == 404
    assert client_.get("/assets/docs/plain/").status == 404
    assert client_.get("/assets").status == 404
    assert client_.post("/assets/docs").status == 404
    write(top / "index.html", b"top")
    assert client_.get("/assets").headers["location"] == "./assets/"
    assert client_.get("/assets", follow_redirects=True).text == "top"


def test_a_redirect_leads_nowhere_else(app: Any, top: Path) -> None:
    write(top / "a:b" / "index.html", b"1")
    write(top / "x?y#z" / "index.html", b"2")
    write(top / "d" / "index.html" / "z", b"")
    client_ = client(app, Static("/", top, index=True))
    assert client_.get("/a:b").headers["location"] == "./a%3Ab/"
    assert client_.get("/x%3Fy%23z", follow_redirects=True).text == "2"
    for path in ("//docs", "//example.com/docs", "/%2Fexample.com", "/d/", "/d/index.html"):
        assert client_.get(path).text == "the application"


def test_under_a_root_path(app: Any, top: Path) -> None:
    client_ = TestClient(wrap(app, Static("/assets", top, index=True)), root_path="/shop")
    assert client_.get("/assets/a.css").text == "body{}"
    assert client_.get("/assets/docs").headers["location"] == "./docs/"


def test_conditions(app: Any, top: Path) -> None:
    client_ = client(app, Static("/assets", top))
    for name in ("a.css", "large.bin"):
        etag = client_.get(f"/assets/{name}").headers["etag"]
        for given in ({"if-none-match": etag}, {"if-modified-since": DATE}):
            response = client_.get(f"/assets/{name}", headers=given)
            assert (response.status, response.content) == (304, b"")
            assert shown(response) == {"etag": etag, "cache-control": "no-cache"}
        response = client_.get(f"/assets/{name}", headers={"if-match": '"other"'})
        assert response.status == 412
        assert client_.get(f"/assets/{name}", headers={"if-match": etag}).status == 200
        two = [("if-none-match", '"x"'), ("if-none-match", etag)]
        assert client_.get(f"/assets/{name}", headers=two).status == 304


@pytest.mark.parametrize("name", ["digits", "large.bin"])
def test_ranges(app: Any, top: Path, name: str) -> None:
    write(top / "digits", b"0123456789")
    content = (top / name).read_bytes()
    size = len(content)
    client_ = client(app, Static("/assets", top))
    etag = client_.get(f"/assets/{name}").headers["etag"]
    for text, first, end in (
        ("2-4", 2, 5),
        ("7-", 7, size),
        ("-3", size - 3, size),
        (f"0-{size}", 0, size),
        (f"{size - 1}-", size - 1, size),
    ):
        response = client_.get(f"/assets/{name}", headers={"range": f"bytes={text}"})
        assert (response.status, response.content) == (206, content[first:end])
        fields = shown(response)
        assert fields["content-range"] == f"bytes {first}-{end - 1}/{size}"
        assert fields["content-length"] == str(end - first)
        assert fields["etag"] == etag
    response = client_.get(f"/assets/{name}", headers={"range": f"bytes={size}-"})
    assert (response.status, response.headers["content-range"]) == (416, f"bytes */{size}")
    for more in (
        {"range": "bytes=0-1,3-4"},
        {"range": "bytes=2-4", "if-range": '"other"'},
        {"range": "lines=1-2"},
    ):
        response = client_.get(f"/assets/{name}", headers=more)
        assert (response.status, response.content) == (200, content)
    same = {"range": "bytes=2-4", "if-range": etag}
    assert client_.get(f"/assets/{name}", headers=same).status == 206
    assert client_.head(f"/assets/{name}", headers={"range": "bytes=2-4"}).status == 200
    assert client_.get("/assets/empty.txt", headers={"range": "bytes=0-"}).status == 416
    unchanged = {"range": "bytes=2-4", "if-none-match": etag}
    assert client_.get(f"/assets/{name}", headers=unchanged).status == 304


def test_compressed_twins(app: Any, top: Path) -> None:
    write(top / "t.js", b"plain")
    write(top / "t.js.gz", b"gzipped", LONG_AGO)
    write(top / "t.js.br", LARGE, LONG_AGO + 1)
    client_ = client(app, Static("/assets", top))
    etags = set()
    for accepted, coding, content in (
        ("gzip", "gzip", b"gzipped"),
        ("gzip, br", "br", LARGE),
        ("br;q=0.1, gzip", "gzip", b"gzipped"),
        ("gzip;q=0", None, b"plain"),
        ("", None, b"plain"),
    ):
        for _ in range(2):
            response = client_.get("/assets/t.js", headers={"accept-encoding": accepted})
            fields = shown(response)
            assert (response.status, response.content) == (200, content)
            assert fields.get("content-encoding") == coding
            assert fields["vary"] == "Accept-Encoding"
            assert fields["content-type"] == "text/javascript; charset=utf-8"
        etags.add((coding, fields["etag"]))
        again = {"accept-encoding": accepted, "if-none-match": fields["etag"]}
        response = client_.get("/assets/t.js", headers=again)
        assert (response.status, response.headers["vary"]) == (304, "Accept-Encoding")
    assert len({etag for _, etag in etags}) == 3
    part = {"accept-encoding": "gzip", "range": "bytes=1-2"}
    response = client_.get("/assets/t.js", headers=part)
    assert (response.status, response.content) == (206, b"zi")
    itself = client_.get("/assets/t.js.gz", headers={"accept-encoding": "gzip"})
    assert itself.content == b"gzipped"
    assert itself.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in shown(itself)
    write(top / "t.js", b"newer", LONG_AGO + 9)  # and the twins are of before
    response = client_.get("/assets/t.js", headers={"accept-encoding": "gzip, br"})
    assert (response.content, response.headers.get("content-encoding")) == (b"newer", None)


def test_a_twin_that_goes_is_not_missed(app: Any, top: Path) -> None:
    write(top / "t.js", b"plain")
    twin = write(top / "t.js.gz", b"gzipped")
    client_ = client(app, Static("/assets", top))
    given = {"accept-encoding": "gzip"}
    assert client_.get("/assets/t.js", headers=given).content == b"gzipped"
    twin.unlink()
    assert client_.get("/assets/t.js", headers=given).content == b"plain"


def test_how_long_browsers_keep_a_file(app: Any, top: Path) -> None:
    policy = Static("/assets", top, immutable=r"\.[0-9a-f]{8}\.", max_age=60)
    client_ = client(app, policy)
    cached = client_.get("/assets/a.css").headers["cache-control"]
    assert cached == "public, max-age=60"
    for given in ({}, {"if-none-match": "*"}):
        forever = client_.get("/assets/app.3f2a1b9c.js", headers=given)
        assert forever.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_young_file_has_a_weak_validator(
    app: Any, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another change within the same tick of the clock would leave its times as they are."""
    monkeypatch.undo()
    write(top / "young.txt", b"1", time.time())
    response = client(app, Static("/assets", top)).get("/assets/young.txt")
    assert response.headers["etag"].startswith('W/"')
    assert "last-modified" not in shown(response)


def test_one_file(app: Any, top: Path) -> None:
    write(top / "icons" / "x.ico", b"icon")
    (top / "link.ico").symlink_to("icons/x.ico")
    client_ = client(
        app,
        Static("/favicon.ico", top / "icons" / "x.ico"),
        Static("/deep/robots.txt", top / ".env"),
        Static("/link", top / "link.ico"),
    )
    assert client_.get("/favicon.ico").content == b"icon"
    assert client_.get("/favicon.ico").headers["content-type"] == "image/x-icon"
    assert client_.get("/link").content == b"icon"
    assert client_.get("/deep/robots.txt").content == b"secret"
    for path in ("/favicon.ico/", "/x.ico", "/favicon.icon", "/deep/", "/icons/x.ico"):
        assert client_.get(path).text == "the application"
    (top / "icons" / "x.ico").unlink()
    assert client_.get("/favicon.ico").status == 404


def test_several_directories(app: Any, top: Path) -> None:
    client_ = client(
        app, Static("/a", top, fallthrough=True), Static("/a", top / "docs"), Static("/b", top)
    )
    assert client_.get("/a/a.css").text == "body{}"
    assert client_.get("/a/plain/b.txt").text == "b"
    assert client_.get("/a/none").status == 404
    assert client_.get("/b/docs/plain/b.txt").text == "b"


class Marks(Exchange):
    """Changes the head of each answer, and the body if asked; counts answers."""

    def __init__(self, changes: bool) -> None:
        self.ended: list[int] = []
        if changes:
            self.body = lambda piece, last: piece.upper()

    def begin(self, request: Head) -> Exchange:
        return self

    def start(self, status: int, headers: Headers) -> None:
        headers.set("X-Mark", "yes")
        if self.body is not None:
            headers.remove("content-length")

    def end(self, outcome: Outcome) -> None:
        self.ended.append(outcome.status)


@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("name", ["a.css", "large.bin"])
def test_other_policies_see_and_change_the_answer(
    app: Any, top: Path, name: str, changes: bool
) -> None:
    marks = Marks(changes)
    marked = TestClient(wrap(app, marks, Static("/assets", top)))
    content = (top / name).read_bytes()
    for _ in range(2):
        response = marked.get(f"/assets/{name}")
        assert response.headers["x-mark"] == "yes"
        assert response.content == (content.upper() if changes else content)
        assert marked.head(f"/assets/{name}").content == b""
    part = marked.get(f"/assets/{name}", headers={"range": "bytes=1-3"})
    assert part.content == (content[1:4].upper() if changes else content[1:4])
    assert marks.ended == [200] * 4 + [206]
    plain = client(app, Static("/assets", top)).get(f"/assets/{name}")
    assert "x-mark" not in shown(plain)
    assert opened_below(top).count(str(top / name)) == 0


def test_websockets_are_the_applications(top: Path) -> None:
    with client(asgi, Static("/assets", top)).websocket("/assets/a.css"):
        pass


def test_hidden_names_if_asked(app: Any, top: Path) -> None:
    assert client(app, Static("/a", top, hidden=True)).get("/a/.env").text == "secret"
    assert client(app, Static("/a", top, hidden=True)).get("/a/docs/../.env").status == 404


@pytest.mark.parametrize(
    ("code", "status", "logged"),
    [
        (errno.EACCES, 404, True),
        (errno.EMFILE, 503, True),
        (errno.ENFILE, 503, True),
        (errno.EIO, 503, True),
        (errno.ENAMETOOLONG, 404, False),
        (errno.ELOOP, 404, False),
    ],
)
def test_what_the_system_refuses(
    app: Any,
    top: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    status: int,
    logged: bool,
) -> None:
    client_ = client(app, Static("/assets", top))
    opened = os.open

    def refuse(name: Any, *args: Any, **more: Any) -> int:
        if name == "a.css":
            raise OSError(code, os.strerror(code))
        return opened(name, *args, **more)

    monkeypatch.setattr(os, "open", refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            response = client_.get("/assets/a.css")
            assert response.status == status
    assert len(caplog.records) == (1 if logged else 0)
    if logged:
        assert "/assets/a.css" in caplog.text
    monkeypatch.undo()
    assert client_.get("/assets/a.css").text == "body{}"


def test_no_descriptor_is_left_open(app: Any, top: Path) -> None:
    write(top / "t.bin", LARGE)
    write(top / "t.bin.gz", LARGE)
    client_ = client(app, Static("/assets", top, index=True))
    requests: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "large.bin", {}),
        ("HEAD", "large.bin", {}),
        ("POST", "large.bin", {}),
        ("GET", "large.bin", {"if-none-match": "*"}),
        ("GET", "large.bin", {"if-match": '"x"'}),
        ("GET", "large.bin", {"range": "bytes=5-"}),
        ("GET", "large.bin", {"range": "bytes=999999-"}),
        ("GET", "t.bin", {"accept-encoding": "gzip"}),
        ("GET", "t.bin", {"accept-encoding": "gzip", "if-none-match": "*"}),
        ("GET", "t.bin", {}),
        ("GET", "docs", {}),
        ("GET", "none", {}),
    ]
    for method, name, given in requests:
        client_.request(method, f"/assets/{name}", headers=given)
        assert opened_below(top) == [str(top)], (method, name, given)


def test_a_stream_that_is_left_closes_its_file(app: Any, top: Path) -> None:
    client_ = client(app, Static("/assets", top))
    with client_.stream("GET", "/assets/large.bin") as response:
        assert response.status == 200
    assert opened_below(top) == [str(top)]


@pytest.mark.parametrize(
    "prefix",
    ["", "assets", "//", "/a//b", "/a?b", "/a#b", "/a%20b", "/a\\b", "/a/../b", "/.", "/a\nb"],
)
def test_prefixes_that_no_path_has_are_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"prefix|path|segment"):
        checked_prefix(prefix)


def test_prefixes() -> None:
    assert [checked_prefix(x) for x in ("/", "/a", "/a/", "/a b/ä")] == ["", "/a", "/a", "/a b/ä"]
    with pytest.raises(ValueError, match="regular expression"):
        compiled_pattern("(")


def test_what_is_not_there_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Static("/a", tmp_path / "none")
