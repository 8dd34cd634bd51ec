"""A file as a response: whole, in part, or not at all; and its descriptor is closed in any case."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from bare_serve.bare import Bare, FileResponse, NotFound
from bare_serve.middleware.static import Static
from tests.bare.versions import both, client


@pytest.fixture
def app(tmp_path: Path) -> Bare:
    (tmp_path / "a.txt").write_bytes(b"0123456789" * 20_000)
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    app = Bare()

    @app.get("/plain/{name}")
    def plain(name: str, save: str | None = None) -> Any:
        return FileResponse(tmp_path / name, download=save)

    @app.get("/async/{name}")
    async def waiting(name: str) -> Any:
        return FileResponse(tmp_path / name)

    app.mount("/static", Static("/", tmp_path))
    return app


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@both
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_file(app: Bare, interface: str, kind: str) -> None:
    with client(app, interface) as tester:
        tester.get(f"/{kind}/empty")
        before = descriptors()
        whole = tester.get(f"/{kind}/a.txt")
        assert whole.content == b"0123456789" * 20_000
        assert whole.headers["content-type"] == "text/plain; charset=utf-8"
        assert whole.headers["content-length"] == "200000"
        assert whole.headers["x-content-type-options"] == "nosniff"
        etag = whole.headers["etag"]
        same = tester.get(f"/{kind}/a.txt", headers={"if-none-match": etag})
        assert (same.status, same.content, same.headers["etag"]) == (304, b"", etag)
        part = tester.get(f"/{kind}/a.txt", headers={"range": "bytes=5-9"})
        assert (part.status, part.content) == (206, b"56789")
        assert part.headers["content-range"] == "bytes 5-9/200000"
        beyond = tester.get(f"/{kind}/a.txt", headers={"range": "bytes=900000-"})
        assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */200000")
        other = {"range": "bytes=5-9", "if-range": '"other"'}
        assert tester.get(f"/{kind}/a.txt", headers=other).status == 200
        assert tester.get(f"/{kind}/a.txt", headers={"if-match": '"other"'}).status == 412
        head = tester.head(f"/{kind}/a.txt")
        assert (head.content, head.headers["content-length"]) == (b"", "200000")
        assert tester.get(f"/{kind}/empty").content == b""
        for nothing in ("none", "pipe", ".", "..%2F.."):
            assert tester.get(f"/{kind}/{nothing}").status == 404
        with tester.stream("GET", f"/{kind}/a.txt") as left:
            next(left.pieces())
        assert descriptors() <= before


@both
def test_a_download(app: Bare, interface: str) -> None:
    answer = client(app, interface).get("/plain/a.txt?save=%C3%A4%22%0D%0Ax.csv")
    told = answer.headers["content-disposition"]
    assert told == "attachment; filename*=UTF-8''%C3%A4%22%0D%0Ax.csv"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


def test_a_response_that_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    before = descriptors()
    FileResponse(tmp_path / "a")
    with pytest.raises(NotFound):
        FileResponse(tmp_path)
    assert descriptors() == before


@both
def test_a_folder_below_a_prefix(app: Bare, interface: str) -> None:
    tester = client(app, interface)
    assert tester.get("/static/a.txt").status == 200
    missing = tester.get("/static/none")
    assert (missing.status, missing.json()) == (404, {"error": "Not Found"})
    for path in (
        "/static/../a.txt",
        "/static/%2e%2e/x",
        "/static/..%2f..%2fetc/passwd",
        "/staticx",
    ):
        assert tester.get(path).status == 404


@both
def test_a_server_sends_the_file(app: Bare, interface: str) -> None:
    """Where it can: by `wsgi.file_wrapper`, or by the extension of ASGI."""
    told: list[Any] = []

    class Wrapper:
        def __init__(self, file: Any, size: int) -> None:
            self.file, self.close = file, file.close

        def __iter__(self) -> Any:
            return iter(lambda: self.file.read(8192), b"")

    if interface == "wsgi":
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/plain/a.txt", "QUERY_STRING": ""}
        environ |= {"HTTP_RANGE": "bytes=5-", "wsgi.file_wrapper": Wrapper}
        result = app.wsgi(environ, lambda *given: told.append(given))
        assert isinstance(result, Wrapper)
        assert len(b"".join(result)) == 199_995
        result.close()
        assert told[0][0] == "206 Partial Content"
        return
    scope = {"type": "http", "method": "GET", "path": "/plain/a.txt", "headers": []}
    scope |= {"extensions": {"http.response.zerocopysend": {}}}

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(event: Any) -> None:
        told.append({**event, "open": "file" in event and os.fstat(event["file"]).st_size})

    asyncio.run(app(scope, receive, send))
    assert [event["type"] for event in told] == [
        "http.response.start",
        "http.response.zerocopysend",
    ]
    assert (told[1]["offset"], told[1]["count"], told[1]["open"]) == (0, 200_000, 200_000)


@both
@pytest.mark.parametrize("name", ["%00", "a%00b"])
def test_a_path_that_no_file_can_have(interface: str, name: str) -> None:
    app = Bare()

    @app.get("/")
    def page(q: str) -> FileResponse:
        return FileResponse(q)

    assert client(app, interface).get(f"/?q={name}").status == 404
