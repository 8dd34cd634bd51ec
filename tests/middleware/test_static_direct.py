"""Files at hand: what a server is given without a call, and what goes the way of all requests."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bare_serve.http.direct import DirectAnswer
from bare_serve.middleware import static_files
from bare_serve.middleware.request_id import RequestId
from bare_serve.middleware.static import Static
from bare_serve.middleware.static_direct import direct_files
from bare_serve.testing import TestClient
from tests.middleware.test_static import write, wsgi
from tests.support.answers import request


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands a minute later: what was written just now has settled."""
    now = time.time_ns
    monkeypatch.setattr(static_files.time, "time_ns", lambda: now() + 60_000_000_000)


class Site:
    """Policies, asked as an application would be, or directly."""

    def __init__(self, *policies: Static) -> None:
        from bare_serve.middleware import wrap

        self._client = TestClient(wrap(wsgi, *policies))
        self._direct = direct_files(policies)

    def get(self, path: str) -> bytes:
        return self._client.get(path).content

    def direct(self, path: str, *headers: tuple[bytes, bytes]) -> DirectAnswer | None:
        assert self._direct is not None
        head = request(path.encode(), headers=[(b"host", b"x"), *headers])
        head.raw_path = path.encode().partition(b"?")[0]
        return self._direct(head)


def test_a_file_is_at_hand_once_it_was_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a.css", b"a {}")
    site = Site(Static("/assets", tmp_path))
    assert site.direct("/assets/a.css") is None
    assert site.get("/assets/a.css") == b"a {}"
    answer = site.direct("/assets/a.css?v=1")
    assert answer is not None
    assert answer.body == b"a {}"
    fields = dict(answer.fields)
    assert fields[b"content-length"] == b"4"
    assert fields[b"content-type"] == b"text/css; charset=utf-8"
    assert fields.keys() >= {b"etag", b"last-modified", b"cache-control", b"accept-ranges"}
    assert site.direct("/assets/a.css") is answer


@pytest.mark.parametrize(
    "name", ["range", "if-range", "if-match", "if-none-match", "if-modified-since"]
)
def test_a_condition_is_not_plain(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.css", b"a {}")
    site = Site(Static("/assets", tmp_path))
    site.get("/assets/a.css")
    assert site.direct("/assets/a.css") is not None
    assert site.direct("/assets/a.css", (name.encode(), b"x")) is None


def test_a_change_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.css", b"before")
    site = Site(Static("/", tmp_path))
    site.get("/a.css")
    assert site.direct("/a.css") is not None
    write(tmp_path / "new", b"behind").rename(path)
    assert site.direct("/a.css") is None
    assert site.get("/a.css") == b"behind"
    answer = site.direct("/a.css")
    assert answer is not None
    assert answer.body == b"behind"
    path.unlink()
    assert site.direct("/a.css") is None


def test_the_first_prefix_has_a_path(tmp_path: Path) -> None:
    write(tmp_path / "outer" / "sub" / "a.css", b"outer")
    write(tmp_path / "inner" / "a.css", b"inner")
    write(tmp_path / "inner" / "b.css", b"b")
    write(tmp_path / "one.css", b"one")
    one = Static("/sub/b.css", tmp_path / "one.css")
    outer, inner = Static("/", tmp_path / "outer"), Static("/sub", tmp_path / "inner")
    site = Site(outer, inner)
    assert site.get("/sub/a.css") == b"outer"
    assert site.get("/sub/b.css") == b"b"
    assert site.direct("/sub/b.css") is None, "it might be among those that are asked first"
    site = Site(one, inner)
    for _ in range(2):
        assert site.get("/sub/b.css") == b"one"
        answer = site.direct("/sub/b.css")
        assert answer is not None
        assert answer.body == b"one"
    assert site.get("/sub/b.css2") != b"one"
    assert site.direct("/sub/b.css2") is None
    assert site.direct("/elsewhere") is None


def test_names_are_what_they_are_decoded(tmp_path: Path) -> None:
    write(tmp_path / "a%20b", b"by its name")
    write(tmp_path / "a b", b"decoded")
    write(tmp_path / "grüße", b"utf-8")
    site = Site(Static("/", tmp_path))
    for path in ("/a%20b", "/a%2520b", "/gr%C3%BC%C3%9Fe"):
        site.get(path)
        assert site.direct(path) is None
    answer = site.direct("/grüße")
    assert answer is not None
    assert answer.body == b"utf-8"
    assert site._direct is not None
    head = request(b"/")
    head.raw_path = b"/\xff"
    assert site._direct(head) is None


def test_an_index_is_at_hand(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "index.html", b"<p>")
    site = Site(Static("/", tmp_path, index=True))
    assert site.get("/sub/") == b"<p>"
    assert site.direct("/sub/") is not None
    assert site.direct("/sub") is None
    assert site.direct("/") is None


def test_what_has_twins_is_chosen_by_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.css", b"a {}")
    site = Site(Static("/", tmp_path))
    site.get("/a.css")
    assert site.direct("/a.css") is not None
    write(tmp_path / "a.css.gz", b"gz", path.stat().st_mtime)
    now = time.monotonic
    monkeypatch.setattr(static_files.time, "monotonic", lambda: now() + 2)
    assert site.direct("/a.css") is None
    site.get("/a.css")
    assert site.direct("/a.css") is None


def test_large_files_and_young_ones_are_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "large", bytes(static_files.SMALL + 1))
    site = Site(Static("/", tmp_path))
    site.get("/large")
    assert site.direct("/large") is None
    monkeypatch.undo()
    (tmp_path / "young").write_bytes(b"x")
    site.get("/young")
    assert site.direct("/young") is None


def test_a_directory_that_is_gone_is_the_policys_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    write(top / "a", b"a")
    site = Site(Static("/", top))
    site.get("/a")
    top.rename(tmp_path / "moved")
    now = time.monotonic
    monkeypatch.setattr(static_files.time, "monotonic", lambda: now() + 2)
    assert site.direct("/a") is None


def test_with_other_middleware_nothing_is_direct(tmp_path: Path) -> None:
    assert direct_files([]) is None
    assert direct_files([RequestId(), Static("/", tmp_path)]) is None
    assert direct_files([Static("/", tmp_path), lambda app: app]) is None
