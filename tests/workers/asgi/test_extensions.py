"""The extensions of ASGI over real sockets, on each loop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bare_serve.asgi import sendfile
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.http import Timeouts
from tests.support import eventually
from tests.workers.asgi.threads import GET, Scope, Serve, body, echo, serve_on, start

__all__ = ["serve_on"]

LARGE = bytes(range(256)) * 40_000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


def pathsend(path: Path | str) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


def zerocopy(file: Any, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": file, **more}


def answering(*messages: dict[str, Any], seen: list[Any] | None = None) -> Any:
    """An application that sends these, and keeps what is raised."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        try:
            for message in messages:
                await send(message)
        except Exception as error:
            if seen is not None:
                seen.append(error)
            raise

    return app


# ------------------------------------------------------------------------------------ pathsend


@pytest.mark.parametrize("size", [0, 10, 1 << 16, (1 << 16) + 1, len(LARGE)])
@pytest.mark.parametrize("declared", [True, False])
def test_a_file_by_its_path(serve_on: Serve, tmp_path: Path, size: int, declared: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE[:size])
    headers = [(b"content-length", b"%d" % size)] if declared else []
    with serve_on(answering(start(*headers), pathsend(path))) as worker, worker.client() as client:
        for _ in range(2):
            answer = client.request()
            assert answer.header("content-length") == str(size)
            assert answer.body == LARGE[:size]
        if size or declared:
            assert client.request("HEAD").header("content-length") == str(size)
        assert client.request().body == LARGE[:size]


def test_a_pipeline_of_files(serve_on: Serve, large: Path) -> None:
    with serve_on(answering(start(), pathsend(large))) as worker, worker.client() as client:
        client.send(GET * 3)
        for _ in range(3):
            assert client.response().body == LARGE


def test_a_file_to_an_old_client(serve_on: Serve, large: Path) -> None:
    with serve_on(answering(start(), pathsend(large))) as worker, worker.client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_to_eof().endswith(b"\r\n\r\n" + LARGE)


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe"])
def test_what_cannot_be_sent(serve_on: Serve, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    seen: list[Any] = []
    app = answering(start((b"content-length", b"5")), pathsend(path), seen=seen)
    with serve_on(app) as worker, worker.client() as client:
        assert client.request().status == 500
    # Not an OSError: that would mean that the client has left.
    assert [type(error) for error in seen] == [ResponseError]


def test_a_file_that_is_shorter_than_declared(serve_on: Serve, large: Path) -> None:
    app = answering(start((b"content-length", b"%d" % (len(LARGE) + 1))), pathsend(large))
    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        assert client.read_to_eof().endswith(LARGE)


def test_a_file_that_is_cut_while_it_is_sent(serve_on: Serve, large: Path) -> None:
    seen: list[Any] = []
    with serve_on(answering(start(), pathsend(large), seen=seen)) as worker:
        with worker.client() as client:
            client.send(GET)
            client.read_until(b"\r\n\r\n")
            os.truncate(large, 0)
            assert len(client.read_to_eof()) < len(LARGE)
        eventually(lambda: seen)
    assert isinstance(seen[0], ResponseError)


def test_a_client_that_leaves_in_the_middle(serve_on: Serve, large: Path) -> None:
    seen: list[Any] = []
    descriptors = len(os.listdir("/dev/fd"))
    with serve_on(answering(start(), pathsend(large), seen=seen)) as worker:
        with worker.client() as client:
            client.send(GET)
            client.read_until(b"\r\n\r\n")
        eventually(lambda: seen)
    assert isinstance(seen[0], ClientGone)
    eventually(lambda: len(os.listdir("/dev/fd")) <= descriptors)


def test_a_client_that_takes_nothing(serve_on: Serve, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 28)
    seen: list[Any] = []
    app = answering(start(), pathsend(path), seen=seen)
    with serve_on(app, timeouts=Timeouts(write=0.5)) as worker, worker.client() as client:
        client.send(GET)
        eventually(lambda: seen)
    assert isinstance(seen[0], ClientGone)


def test_a_cancelled_file_breaks_the_answer_off(serve_on: Serve, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 28)
    later: list[Any] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        try:
            async with asyncio.timeout(0.1):
                await send(pathsend(path))
        except TimeoutError:
            try:
                await send(body(b"and now something else"))
            except OSError as error:
                later.append(error)

    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        eventually(lambda: later)
        assert len(client.read_to_eof()) < 1 << 28


def test_nothing_else_is_sent_meanwhile(serve_on: Serve, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 26)
    refused: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        sending = asyncio.create_task(send(pathsend(path)))
        await asyncio.sleep(0.05)
        try:
            await send(body(b"between"))
        except ResponseError as error:
            refused.append(str(error).partition("\n")[0])  # and its clause
        await sending

    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        eventually(lambda: refused)
        assert client.response().body == bytes(1 << 26)
    assert refused == [
        "expected nothing, while a file is being sent, "
        "but the application sent 'http.response.body'"
    ]


def test_files_do_not_pass_through_memory(serve_on: Serve, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 26)
    with serve_on(answering(start(), pathsend(path))) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"\r\n\r\n")
        tracemalloc.start()
        left = (1 << 26) - len(client.buffer)  # what came with the head is here already
        buffer = bytearray(1 << 16)
        while left:
            received = client.socket.recv_into(buffer)
            assert received, f"the server closed with {left} bytes to come"
            left -= received
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1 << 20


def test_where_there_is_no_sendfile(
    serve_on: Serve, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sendfile.os, "sendfile")
    with serve_on(answering(start(), pathsend(large))) as worker, worker.client() as client:
        for _ in range(2):
            assert client.request().body == LARGE


def test_others_are_served_while_a_file_is_sent(serve_on: Serve, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 28)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        await send(pathsend(path) if scope["path"] == "/file" else body(b"small"))

    with serve_on(app) as worker, worker.client() as slow, worker.client() as quick:
        slow.send(b"GET /file HTTP/1.1\r\nHost: test\r\n\r\n")
        slow.read_until(b"\r\n\r\n")
        for _ in range(20):
            assert quick.request().body == b"small"


# -------------------------------------------------------------------------------- zerocopysend


@pytest.mark.parametrize("declared", [True, False])
def test_pieces_of_open_files_between_pieces_of_body(
    serve_on: Serve, large: Path, declared: bool
) -> None:
    wanted = b"<" + LARGE[100:300_100] + LARGE[5:15] + b"|" + LARGE[300_000:] + b">"
    headers = [(b"content-length", b"%d" % len(wanted))] if declared else []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start(*headers))
        with large.open("rb") as file:
            await send(body(b"<", True))
            await send(zerocopy(file, offset=100, count=300_000, more_body=True))
            await send(zerocopy(file.fileno(), offset=5, count=10, more_body=True))
            await send(body(b"|", True))
            file.seek(300_000)
            await send(zerocopy(file, more_body=True))
            assert file.tell() == len(LARGE)
            await send(body(b">"))

    with serve_on(app) as worker, worker.client() as client:
        for _ in range(2):
            assert client.request().body == wanted


def test_an_open_file_as_the_whole_body(serve_on: Serve, large: Path) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(start())
        with large.open("rb") as file:
            await send(zerocopy(file))

    with serve_on(app) as worker, worker.client() as client:
        answer = client.request()
        assert answer.header("content-length") == str(len(LARGE))
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(LARGE).digest()
        assert client.request("HEAD").body == b""
        assert client.request().status == 200


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"file": None}, "'file' must be an open file"),
        ({"file": 0, "offset": -1}, "'offset' must be a number"),
        ({"file": 0, "count": "all"}, "'count' must be a number"),
        ({"file": 0, "offset": 0, "more_body": 1}, "'more_body' must be"),
    ],
)
def test_wrong_pieces(serve_on: Serve, large: Path, message: dict[str, Any], words: str) -> None:
    seen: list[Any] = []
    with large.open("rb") as file:
        if message["file"] == 0:
            message = {**message, "file": file}
        app = answering(start(), {"type": "http.response.zerocopysend", **message}, seen=seen)
        with serve_on(app) as worker, worker.client() as client:
            assert client.request().status == 500
    assert words in str(seen[0])


# ------------------------------------------------------------------------------------ trailers

ASKING = b"GET / HTTP/1.1\r\nHost: test\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n"


def trailers(*headers: tuple[bytes, bytes], more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.trailers", "headers": list(headers), "more_trailers": more}


def with_trailers(offers: list[bool], *headers: tuple[bytes, bytes]) -> Any:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        offers.append("http.response.trailers" in scope["extensions"])
        await send({**start(*headers), "trailers": True})
        await send(body(b"one", True))
        await send(body(b"two"))
        await send(trailers((b"x-sum", b"1"), more=True))
        await send(trailers((b"x-more", b"2")))

    return app


def test_trailers(serve_on: Serve) -> None:
    offers: list[bool] = []
    with serve_on(with_trailers(offers)) as worker, worker.client() as client:
        for _ in range(2):
            client.send(ASKING)
            answer = client.read_until(b"\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n")
            assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n")
    assert offers == [True, True]


def test_trailers_nobody_asked_for_are_not_sent(serve_on: Serve) -> None:
    offers: list[bool] = []
    with serve_on(with_trailers(offers)) as worker, worker.client() as client:
        for _ in range(2):
            assert client.request().body == b"onetwo"
    assert offers == [False, False]


@pytest.mark.parametrize("request_line", [b"HEAD / HTTP/1.1", b"GET / HTTP/1.0"])
def test_trailers_where_there_are_no_chunks(serve_on: Serve, request_line: bytes) -> None:
    with serve_on(with_trailers([])) as worker, worker.client() as client:
        client.send(request_line + b"\r\nHost: t\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n")
        answer = client.read_to_eof()
        assert answer.endswith(b"\r\n\r\n" if request_line[:4] == b"HEAD" else b"\r\n\r\nonetwo")


def test_trailers_of_an_answer_with_a_length(serve_on: Serve) -> None:
    app = with_trailers([], (b"content-length", b"6"))
    with serve_on(app) as worker, worker.client() as client:
        for _ in range(2):
            client.send(ASKING)
            assert client.response().body == b"onetwo"


def test_what_must_not_be_a_trailer(serve_on: Serve) -> None:
    seen: list[Any] = []
    messages = [{**start(), "trailers": True}, body(b"x"), trailers((b"Content-Length", b"5"))]
    with serve_on(answering(*messages, seen=seen)) as worker, worker.client() as client:
        client.send(ASKING)
        assert client.read_to_eof().endswith(b"1\r\nx\r\n"), "broken off: no last chunk"
    assert "must not be sent as a trailer" in str(seen[0])


def test_a_file_before_trailers(serve_on: Serve, large: Path) -> None:
    app = answering({**start(), "trailers": True}, pathsend(large), trailers((b"a", b"b")))
    with serve_on(app) as worker, worker.client() as client:
        client.send(ASKING)
        assert client.read_until(b"\r\n0\r\na: b\r\n\r\n").count(LARGE) == 1


# ------------------------------------------------------------------------- early hints and debug


def hint(*links: Any) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": links}


def test_early_hints(serve_on: Serve) -> None:
    link = b"</style.css>; rel=preload; as=style"
    app = answering(hint(link), hint(link, b"<//cdn>; rel=preconnect"), start(), body(b"page"))
    with serve_on(app) as worker, worker.client() as client:
        for _ in range(2):
            client.send(GET)
            for count in (1, 2):
                early = client.read_until(b"\r\n\r\n")
                assert early.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: " + link + b"\r\n")
                assert early.count(b"link: ") == count
            assert client.response().body == b"page"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.response().status == 200


def test_early_hints_of_another_request_write_nothing(serve_on: Serve) -> None:
    kept: list[Any] = []
    raised: list[BaseException] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            kept.append(send)
            try:
                await kept[0](hint(b"<%d>" % len(kept)))
            except ResponseError as error:
                raised.append(error)
        await echo(scope, receive, send)

    with serve_on(app) as worker, worker.client() as client:
        interim = [len(client.request().interim) for _ in range(3)]
    assert interim == [1, 0, 0]
    assert len(raised) == 2


@pytest.mark.parametrize("links", ["</a>", [("a", "b")], [b"a\r\nb: c"], 5])
def test_wrong_hints(serve_on: Serve, links: Any) -> None:
    seen: list[Any] = []
    message = {"type": "http.response.early_hint", "links": links}
    with serve_on(answering(message, seen=seen)) as worker, worker.client() as client:
        assert client.request().status == 500
    assert isinstance(seen[0], ResponseError)


def test_debug_information_is_logged_where_debug_is(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    offers: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            offers.append("http.response.debug" in scope["extensions"])
            if offers[-1]:
                await send({"type": "http.response.debug", "info": {"template": "a.html"}})
        await echo(scope, receive, send)

    with serve_on(app) as worker:
        with worker.client() as client:
            assert client.request().status == 200
        caplog.set_level(logging.DEBUG, "bare_serve.app")
        with worker.client() as client:
            assert client.request().status == 200
    assert offers == [False, True]
    assert "{'template': 'a.html'}" in caplog.text


def test_what_an_application_writes_into_extensions_is_its_own(serve_on: Serve) -> None:
    seen: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append("mine" in scope["extensions"])
            scope["extensions"]["mine"] = {}
        await echo(scope, receive, send)

    with serve_on(app) as worker, worker.client() as client:
        for _ in range(2):
            client.request()
    assert seen == [False, False]
