"""Files through a real server, both interfaces: no way out, and what happens meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support import eventually
from tests.support.processes import Server, serve
from tests.support.raw_client import RawClient, Response

SECRET = b"not for anybody"
APP = """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the application"})
"""
LONG_AGO = 1_000_000_000
LARGE = 24 << 20
SPARSE = 5 << 30

# After the prefix. "KEY" lies beside the directory, ".key" in it, and links lead out of it.
WAYS_OUT = [
    # dots
    *("../KEY", "../../KEY", "../../../../../../etc/passwd", "sub/../../KEY", "sub/../.key"),
    *("./../KEY", ".../KEY", "..../KEY", "..//KEY", ".//../KEY", "sub/../../top/.key"),
    *("a.txt/../../KEY", "a.txt/../.key", "none/../../KEY", "..;/KEY", "..;a=b/KEY", "/../KEY"),
    # encoded
    *("%2e%2e/KEY", "%2E%2E/KEY", ".%2e/KEY", "%2e./KEY", "%2e%2e%2fKEY", "..%2fKEY", "..%2FKEY"),
    *("%2e%2e%2f%2e%2e%2fetc%2fpasswd", "sub%2f..%2f..%2fKEY", "%2e/%2e%2e/KEY", "%2ekey"),
    # encoded twice, and what is no UTF-8
    *("%252e%252e/KEY", "%252e%252e%252fKEY", "..%252fKEY", "%25%32%65%25%32%65/KEY"),
    *("%c0%ae%c0%ae/KEY", "..%c0%afKEY", "%e0%80%ae%e0%80%ae/KEY", "%uff0e%uff0e/KEY"),
    *("%ef%bc%8e%ef%bc%8e/KEY", "..%e2%88%95KEY", "%f8%80%80%80%ae/KEY", "%2%65/KEY", "%%32e/KEY"),
    # backslashes, NUL and others
    *("..\\KEY", "..%5cKEY", "..%5CKEY", "%5c..%5cKEY", "sub\\..\\..\\KEY", "..%255cKEY", "%5cKEY"),
    *("../KEY%00.txt", "a.txt%00/../../KEY", "..%00/KEY", "%00/../KEY", ".key%00.txt", "..%0a/KEY"),
    *("..%0d%0a/KEY", "%0a../KEY", "..%09/KEY", "..%20/KEY", ".. /KEY", "..%7f/KEY"),
    # absolute and empty
    *("/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "%2f%2fetc/passwd", "file:///etc/passwd"),
    *("/proc/self/environ", "%2fproc%2fself%2fenviron", "C:/KEY", "C:%5cKEY", "sub//../../KEY"),
    # links and hidden names
    *("out/KEY", "out%2fKEY", "link-to-key", "absolute", "hop/KEY", "out/top/a.txt", "to-hidden"),
    *(".key", "sub/.key", ".key/", ".git/config", "sub/%2ekey", ".well-known/../.key", "pipe"),
    *("?/../../KEY", "a.txt?/../../KEY", "#/../KEY", "sub/?../KEY"),
]  # fmt: skip
# Beside the prefix: what a comparison of texts would let pass.
BESIDE = [
    *("/assets-secret/KEY", "/assets../KEY", "/assets%2f../KEY", "/assets/../KEY"),
    "/ASSETS/../KEY",
]


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("static")
    top = place / "top"
    (top / "sub").mkdir(parents=True)
    (top / ".git").mkdir()
    (place / "assets-secret").mkdir()
    for secret in ("KEY", "assets-secret/KEY", "top/.key", "top/sub/.key", "top/.git/config"):
        (place / secret).write_bytes(SECRET)
    (top / "out").symlink_to("..")
    (top / "hop").symlink_to("out")
    (top / "link-to-key").symlink_to("../KEY")
    (top / "absolute").symlink_to(place / "KEY")
    (top / "to-hidden").symlink_to(".key")
    os.mkfifo(top / "pipe")
    for name, content in (("a.txt", b"a file\n"), ("empty", b""), ("grüße.txt", b"utf-8")):
        (top / name).write_bytes(content)
        os.utime(top / name, (LONG_AGO, LONG_AGO))
    Path(os.fsdecode(os.fsencode(top) + b"/\xff.txt")).write_bytes(SECRET)
    with (top / "sparse").open("wb") as file:
        file.truncate(SPARSE)
        file.seek(SPARSE - 4)
        file.write(b"last")
    return top


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest, top: Path) -> Iterator[Server]:
    with serve(f"app:{request.param}", "--static", f"/assets={top}", source=APP) as server:
        yield server


def test_the_spellings_lead_out_where_paths_are_joined(top: Path) -> None:
    """The table has teeth: this is how a server does it that thinks of none of them."""
    found = 0
    for way in WAYS_OUT:
        with contextlib.suppress(OSError, ValueError):
            path = Path(f"{top}/{unquote(way.partition('?')[0])}")
            found += path.is_file() and path.read_bytes() in (
                SECRET,
                Path("/etc/passwd").read_bytes(),
            )
    assert found >= 25


def test_no_spelling_leads_out(server: Server) -> None:
    assert len(WAYS_OUT) > 60
    targets = [f"/assets/{way}" for way in WAYS_OUT] + BESIDE
    served = []
    client = RawClient(server.address)
    try:
        assert client.request(target="/assets/a.txt").body == b"a file\n"
        for target in targets:
            response = client.request(target=target)
            known = response.body in (b"a file\n", b"the application")
            if SECRET in response.body or (response.status == 200 and not known):
                served.append((target, response))
            if response.status == 400:  # the server itself has refused it
                client.close()
                client = RawClient(server.address)
    finally:
        client.close()
    assert served == []


def _without_date(response: Response) -> list[tuple[str, str]]:
    return sorted(field for field in response.headers if field[0] != "date")


def test_a_file_on_the_wire(server: Server) -> None:
    with RawClient(server.address) as client:

        def is_settled() -> bool:
            response = client.request(target="/assets/a.txt")
            return not (response.header("etag") or "W/").startswith("W/")

        eventually(is_settled)
        for _ in range(2):
            response = client.request(target="/assets/a.txt")
            assert (response.status, response.body) == (200, b"a file\n")
            assert response.header("content-length") == "7"
            etag = response.header("etag")
            head = client.request("HEAD", "/assets/a.txt")
            assert _without_date(head) == _without_date(response)
        unchanged = client.request("GET", "/assets/a.txt", f"If-None-Match: {etag}")
        assert (unchanged.status, unchanged.header("content-length")) == (304, None)
        part = client.request("GET", "/assets/a.txt", "Range: bytes=2-3")
        assert (part.status, part.body) == (206, b"fi")
        empty = client.request(target="/assets/empty")
        assert (empty.status, empty.header("content-length"), empty.body) == (200, "0", b"")
        assert client.request(target="/assets/gr%C3%BC%C3%9Fe.txt").body == b"utf-8"
        assert client.request(target="/assets/%FF.txt").status == 404
        assert client.request("POST", "/assets/a.txt", body=b"x" * 100).status == 405
        assert client.request(target="/x").body == b"the application"


def test_parts_of_a_file_beyond_four_gigabytes(server: Server) -> None:
    with RawClient(server.address) as client:
        response = client.request("GET", "/assets/sparse", f"Range: bytes={SPARSE - 4}-")
        assert (response.status, response.body) == (206, b"last")
        assert response.header("content-range") == f"bytes {SPARSE - 4}-{SPARSE - 1}/{SPARSE}"
        middle = (1 << 32) - 50_000
        text = f"Range: bytes={middle}-{middle + 99_999}"
        response = client.request("GET", "/assets/sparse", text)
        assert (response.status, response.body) == (206, bytes(100_000))
        assert client.request("HEAD", "/assets/sparse").header("content-length") == str(SPARSE)
        assert client.request("GET", "/assets/sparse", "Range: bytes=-1").body == b"t"


def _large(top: Path, name: str) -> Path:
    path = top / name
    with path.open("wb") as file:
        file.write(b"before" * (LARGE // 6))
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(
    server: Server, top: Path
) -> None:
    path = _large(top, f"shrinks-{server.pid}")
    size = path.stat().st_size
    with RawClient(server.address) as client:
        client.send(f"GET /assets/{path.name} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        head = client.read_until(b"\r\n\r\n")
        assert f"content-length: {size}\r\n".encode() in head.lower()
        client.read(6)
        os.truncate(path, 10)
        count = 0
        try:
            while data := client.socket.recv(1 << 20):
                count += len(data)
        except ConnectionResetError:
            pass
        assert count < size
    with RawClient(server.address) as client:
        assert client.request(target=f"/assets/{path.name}").body == b"beforebefo"
    path.unlink()


@pytest.mark.parametrize("change", ["grows", "replaced", "removed"])
def test_what_else_an_editor_does_meanwhile(server: Server, top: Path, change: str) -> None:
    path = _large(top, f"{change}-{server.pid}")
    content = path.read_bytes()
    with RawClient(server.address) as client:
        client.send(f"GET /assets/{path.name} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        client.read_until(b"\r\n\r\n")
        beginning = client.read(6)
        if change == "grows":
            with path.open("ab") as file:
                file.write(b"after")
        elif change == "replaced":
            (top / "new").write_bytes(b"after")
            (top / "new").rename(path)
        else:
            path.unlink()
        assert beginning + client.read(len(content) - 6) == content
        response = client.request(target=f"/assets/{path.name}")
        expected = {"grows": content + b"after", "replaced": b"after"}
        if change == "removed":
            assert response.status == 404
        else:
            assert response.body == expected[change]
            path.unlink()


def test_a_client_that_leaves_in_the_middle(server: Server, top: Path) -> None:
    path = _large(top, f"left-{server.pid}")
    for _ in range(5):
        with RawClient(server.address) as client:
            client.send(f"GET /assets/{path.name} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            client.read_until(b"\r\n\r\n")
    with RawClient(server.address) as client:
        assert client.request(target="/assets/a.txt").status == 200
    path.unlink()


COUNTED = """
from bare_serve.middleware.static import Static

asked, begin = [], Static.begin

def counted(self, request):
    asked.append(request.path)
    return begin(self, request)

Static.begin = counted

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(asked.count("/assets/a.css")).encode()]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = str(asked.count("/assets/a.css")).encode()
    await send({"type": "http.response.body", "body": body})
"""
PROXY = ("--forwarded-allow-ips", "127.0.0.1")


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("options", "is_direct"),
    [
        ((), True),
        (("--threads", "1", "--limit-concurrency", "5"), True),
        (PROXY, True),
        (("--root-path", "/site"), False),
        (("--middleware", "timing"), False),
    ],
)
def test_a_small_file_needs_no_call(
    tmp_path: Path, kind: str, options: tuple[str, ...], is_direct: bool
) -> None:
    """It is the same answer, and the log has the same client."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "a.css").write_bytes(b"a {}")
    os.utime(top / "a.css", (LONG_AGO, LONG_AGO))
    line = (f"app:{kind}", "--static", "/assets=top", "--access-log-format", "%(h)s %(r)s %(s)s")
    if kind == "wsgi":
        options = tuple(each for each in options if each not in ("--limit-concurrency", "5"))
    with (
        serve(*line, *options, source=COUNTED, cwd=tmp_path) as server,
        RawClient(server.address) as client,
    ):

        def get(*fields: str) -> tuple[int, dict[str, str], bytes]:
            response = client.request("GET", "/assets/a.css", *fields)
            headers = {name: value for name, value in response.headers if name != "date"}
            headers.pop("server-timing", None)
            return response.status, headers, response.body

        # Until it was two seconds old, a change might not show.
        eventually(lambda: not get()[1]["etag"].startswith("W/"))
        before = int(client.request(target="/count").body)
        forwarded = "X-Forwarded-For: 192.0.2.7" if options == PROXY else "X-Other: 1"
        first = get("Range: bytes=x", forwarded)
        assert (first[0], first[2]) == (200, b"a {}")
        for _ in range(3):
            assert get(forwarded) == first
        called = int(client.request(target="/count").body) - before
        assert called == (1 if is_direct else 4)
        told = "192.0.2.7" if options == PROXY else "127.0.0.1"
        server.wait_for_output(f"{told} GET /assets/a.css HTTP/1.1 200")
        # The fields of a conditional request, and a change, are seen.
        assert (
            client.request("GET", "/assets/a.css", f"If-None-Match: {first[1]['etag']}").status
            == 304
        )
        (top / "new").write_bytes(b"b {}")
        (top / "new").rename(top / "a.css")
        assert get()[2] == b"b {}"
