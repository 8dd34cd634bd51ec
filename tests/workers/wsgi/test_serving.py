"""WSGI on the wire: bodies in every framing, answers, files, and the validator's blessing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from bare_serve.http import Limits, Timeouts
from bare_serve.workers.wsgi.caller import SMALL_BODY
from bare_serve.workers.wsgi.spool import SPOOL_BYTES
from tests.support import eventually
from tests.workers.wsgi.threads import (
    GET,
    PLAIN,
    Environ,
    Serve,
    echo,
    get,
    hello,
    running,
    serve_on,
    serve_threaded,
)

__all__ = ["serve_on", "serve_threaded"]

CHUNKED = "Transfer-Encoding: chunked"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("size", [1, SMALL_BODY, SMALL_BODY + 1, 3 << 20])
def test_bodies_with_a_length(serve_on: Serve, size: int) -> None:
    body = os.urandom(size)
    with serve_on(echo) as worker, worker.client() as client:
        for _ in range(2):
            answer = client.request("POST", "/", body=body)
            assert answer.body == body
            assert answer.header("x-length") == str(size)


def test_an_application_need_not_read_the_end_of_a_body(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """One that goes by CONTENT_LENGTH stops before `read` gives b""."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        left = int(environ.get("CONTENT_LENGTH", 0))
        while left:
            left -= len(environ["wsgi.input"].read(min(left, 65536)))
        start_response("200 OK", [PLAIN])
        return [environ["REQUEST_METHOD"].encode()]

    with serve_on(app) as worker, worker.client() as client:
        for _ in range(5):
            assert client.request("POST", "/", body=bytes(SMALL_BODY << 4)).body == b"POST"
            assert client.request("GET", "/").body == b"GET"
    assert caplog.records == []


@pytest.mark.parametrize("size", [0, 5, SPOOL_BYTES + 1, 3 << 20])
def test_a_chunked_body_is_gathered_and_told_its_length(serve_on: Serve, size: int) -> None:
    body = os.urandom(size)
    sent = chunks(*(body[i : i + 50_000] for i in range(0, size, 50_000)))
    with serve_on(echo) as worker, worker.client() as client:
        for _ in range(2):
            client.send(get("/", CHUNKED, method="POST") + sent)
            answer = client.response()
            assert answer.body == body
            assert answer.header("x-length") == str(size)


def test_a_chunked_body_may_be_streamed(serve_on: Serve) -> None:
    seen: list[bytes] = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        assert "CONTENT_LENGTH" not in environ
        assert environ["wsgi.input_terminated"] is True
        start_response("200 OK", [PLAIN])
        for line in environ["wsgi.input"]:
            seen.append(line)
            yield line

    with serve_on(app, wsgi_buffer_chunked=False) as worker, worker.client() as client:
        client.send(get("/", CHUNKED, method="POST") + b"4\r\none\n\r\n")
        client.read_until(b"one\n")
        assert seen == [b"one\n"], "before the body is complete"
        client.send(b"3\r\ntwo\r\n0\r\n\r\n")
        client.read_until(b"two\r\n0\r\n\r\n")
        client.send(get("/", CHUNKED, method="POST") + chunks(b"again\n"))
        assert client.response().body == b"again\n"


def test_a_small_body_that_trickles_holds_no_thread(serve_on: Serve) -> None:
    with serve_on(echo) as worker, worker.client() as slow, worker.client() as other:
        slow.send(get("/", "Content-Length: 3", method="POST") + b"a")
        assert other.request("POST", "/", body=b"x").body == b"x"
        slow.send(b"b")
        assert other.request("POST", "/", body=b"y").body == b"y"
        assert worker.requests == 2, "the application was not called yet"
        slow.send(b"c")
        assert slow.response().body == b"abc"


@pytest.mark.parametrize("kind", ["small", "large", "chunked"])
def test_pipelined_behind_a_body(serve_on: Serve, kind: str) -> None:
    body = b"x" * (SMALL_BODY * 3 if kind == "large" else 10)
    if kind == "chunked":
        sent = get("/", CHUNKED, method="POST") + chunks(body)
    else:
        sent = get("/", f"Content-Length: {len(body)}", method="POST") + body
    with serve_on(echo) as worker, worker.client() as client:
        client.send(sent + sent + GET)
        assert [client.response().body for _ in range(3)] == [body, body, b""]


def ignore(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [b"not read"]


def test_an_unread_body_is_drained_or_the_connection_ends(serve_threaded: Serve) -> None:
    limits = Limits(drain=1 << 18)
    with serve_threaded(ignore, limits=limits) as worker:
        with worker.client() as client:
            for size in (10, SMALL_BODY + 1, 1 << 18):
                answer = client.request("POST", "/", body=b"x" * size)
                assert answer.body == b"not read"
                assert answer.header("connection") is None
        with worker.client() as client:
            client.send(get("/", "Content-Length: 100000000", method="POST") + b"x" * 100_000)
            assert client.response().header("connection") == "close"
            assert client.is_closed()


def test_a_body_read_after_the_answer_is_not_the_next_request(serve_on: Serve) -> None:
    late: list[bytes] = []

    class Result:
        def __init__(self, environ: Environ) -> None:
            self._input = environ["wsgi.input"]

        def __iter__(self) -> Iterator[bytes]:
            yield b"answer"

        def close(self) -> None:
            late.append(self._input.read())

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return Result(environ) if environ["REQUEST_METHOD"] == "POST" else [b"next"]

    size = SMALL_BODY + 10
    with serve_on(app) as worker, worker.client() as client:
        post = get("/", f"Content-Length: {size}", method="POST") + b"x" * size
        client.send(post + GET)
        assert [client.response().body for _ in range(2)] == [b"answer", b"next"]
        assert len(late) == 1
        assert b"GET" not in late[0]


@pytest.mark.parametrize("size", [5, SMALL_BODY + 5])
def test_expect_continue_is_answered_by_the_first_read(serve_on: Serve, size: int) -> None:
    with serve_on(echo) as worker, worker.client() as client:
        lines = ("Expect: 100-continue", f"Content-Length: {size}")
        client.send(get("/", *lines, method="POST"))
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"x" * size)
        assert client.response().body == b"x" * size
        assert client.request("POST", "/", body=b"next").body == b"next"


def test_expect_continue_is_not_answered_if_nobody_reads(serve_threaded: Serve) -> None:
    with serve_threaded(ignore) as worker, worker.client() as client:
        client.send(get("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        answer = client.response()
        assert (answer.status, answer.interim) == (200, ())
        assert answer.header("connection") == "close"
        assert client.is_closed()


def test_a_body_beyond_the_limit(serve_on: Serve) -> None:
    with serve_on(echo, limits=Limits(body=1000)) as worker:
        with worker.client() as client:
            client.send(get("/", "Content-Length: 1001", method="POST"))
            assert client.response().status == 413
        with worker.client() as client:
            client.send(get("/", CHUNKED, method="POST") + chunks(b"x" * 600, b"x" * 600))
            assert client.response().status == 413
        with worker.client() as client:
            assert client.request("POST", "/", body=b"x" * 1000).status == 200


BROKEN = {
    "a size that is none": (b"zz\r\n", 400),
    "behind good content": (b"5\r\nhello\r\nzz\r\n", 400),
    "a chunk without its end": (b"5\r\nhelloXX", 400),
    "an open quote": (b'5\r\nhello\r\n0;x="\r\n\r\n', 400),
    "a trailer that is none": (b"5\r\nhello\r\n0\r\nX y\r\n\r\n", 400),
    "too many chunks of a byte": (b"1\r\nx\r\n" * 15_000, 400),
    "more than the limit": (b"%x\r\n%s\r\n" % (90_000, b"x" * 90_000) * 2, 413),
    "a chunk beyond the limit": (b"5\r\nhello\r\nfffffff\r\n", 413),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_gathered_body_that_is_broken_is_refused_without_a_call(
    serve_on: Serve, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the application would not have looked at it: what was sent is no request."""
    body, status = BROKEN[broken]
    sent = get("/", CHUNKED, method="POST") + body
    with serve_on(ignore, limits=Limits(body=100_000)) as worker:
        for pieces in ([sent + GET], [sent[:80], sent[80:]], [GET + sent]):
            with worker.client() as client:
                for piece in pieces:
                    client.send(piece)
                if pieces[0].startswith(GET):
                    assert client.response().body == b"not read"
                answer = client.response()
                assert (answer.status, answer.header("connection")) == (status, "close")
                client.socket.shutdown(socket.SHUT_WR)
                assert client.is_closed(), "nothing behind it is looked at"
        assert worker.requests == 1, "that of the good request"
    assert caplog.records == []


def test_a_streamed_body_that_is_broken_is_the_applications_to_meet(serve_on: Serve) -> None:
    with serve_on(ignore, wsgi_buffer_chunked=False) as worker, worker.client() as client:
        client.send(get("/", CHUNKED, method="POST") + b"5\r\nhello\r\nzz\r\n" + GET)
        assert client.response().body == b"not read"
        client.socket.shutdown(socket.SHUT_WR)
        assert client.is_closed()


def test_a_body_that_does_not_come(serve_on: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve_on(echo, timeouts=Timeouts(body=0.1)) as worker:
        for size in (10, SMALL_BODY + 10):
            with worker.client() as client:
                client.send(get("/", f"Content-Length: {size}", method="POST") + b"x")
                assert client.response().status == 408
        eventually(lambda: not worker.shared.connections)
    assert caplog.records == []


@pytest.mark.parametrize("size", [10, SMALL_BODY + 10])
def test_a_client_that_leaves_in_its_body(
    serve_on: Serve, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_on(echo) as worker:
        with worker.client() as client:
            client.send(get("/", f"Content-Length: {size}", method="POST") + b"x")
        eventually(lambda: not worker.shared.connections)
        with worker.client() as client:
            assert client.request().status == 200
    assert caplog.records == []


def test_no_room_for_a_body(
    serve_on: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: object, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", write)
    with serve_on(echo) as worker, worker.client() as client:
        client.send(get("/", CHUNKED, method="POST") + chunks(b"x"))
        assert client.response().status == 507
        assert client.is_closed()
    assert "Cannot store a request body: No space left on device." in caplog.text


# ---------------------------------------------------------------- where it comes from


def ends(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    names = ("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT")
    return [" ".join(repr(environ[name]) for name in names).encode()]


def test_ends_of_ipv4(serve_on: Serve) -> None:
    with serve_on(ends) as worker, worker.client() as client:
        mine = client.socket.getsockname()[1]
        expected = f"'127.0.0.1' '{worker.address[1]}' '127.0.0.1' '{mine}'"
        assert client.request().body == expected.encode()


def test_ends_of_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with running(ends, where="::1") as worker, worker.client() as client:
        mine = client.socket.getsockname()[1]
        assert client.request().body == f"'::1' '{worker.address[1]}' '::1' '{mine}'".encode()


def test_ends_of_a_unix_socket(tmp_path: Path) -> None:
    with running(ends, where=tmp_path / "s") as worker, worker.client() as client:
        assert client.request().body == b"'localhost' '80' '' ''"


def test_the_root_path_and_what_the_worker_is() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        names = ("SCRIPT_NAME", "PATH_INFO", "wsgi.multithread", "wsgi.multiprocess")
        return [" ".join(str(environ[name]) for name in names).encode()]

    with running(app, root_path="/root", multiprocess=True) as worker, worker.client() as client:
        assert client.request("GET", "/root/a").body == b"/root /a True True"
        assert client.request("GET", "/b").body == b"/root /b True True"
    with running(app, threads=1) as worker, worker.client() as client:
        assert client.request("GET", "/b").body == b" /b False False"


# ---------------------------------------------------------------- answers


def test_extra_headers_are_on_every_answer(serve_on: Serve) -> None:
    with serve_on(hello, headers=(("X-Mine", "1"),)) as worker, worker.client() as client:
        assert client.request().header("x-mine") == "1"
        client.send(b"nonsense\r\n\r\n")
        assert client.response().header("x-mine") == "1"


def test_a_file(serve_on: Serve, tmp_path: Path) -> None:
    content = os.urandom(10 << 20)
    path = tmp_path / "file"
    path.write_bytes(content)

    def app(environ: Environ, start_response: Any) -> Any:
        file = path.open("rb")
        headers = [PLAIN]
        if environ["PATH_INFO"] == "/part":
            file.seek(1000)
            headers.append(("Content-Length", "5000"))
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file)

    with serve_on(app) as worker, worker.client() as client:
        answer = client.request()
        assert answer.header("content-length") == str(len(content))
        assert answer.body == content
        assert client.request("HEAD").header("content-length") == str(len(content))
        assert client.request("GET", "/part").body == content[1000:6000]
        client.send(get("/", minor=0))
        assert client.response().body == content


def test_a_file_that_becomes_shorter(
    serve_on: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (8 << 20))

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        wrapper = environ["wsgi.file_wrapper"](path.open("rb"))
        remaining = wrapper.remaining

        def cut() -> Any:
            found = remaining()
            os.truncate(path, 100)
            return found

        wrapper.remaining = cut
        return wrapper

    with serve_on(app) as worker, worker.client() as client:
        client.send(GET)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.response()
    assert "the file has become shorter while it was sent" in caplog.text


def test_a_file_system_without_sendfile(
    serve_on: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sendfile(*args: Any) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("os.sendfile", sendfile)
    path = tmp_path / "file"
    path.write_bytes(b"x" * (3 << 20))

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serve_on(app) as worker, worker.client() as client:
        for _ in range(2):
            assert client.request().body == b"x" * (3 << 20)


def test_early_hints(serve_on: Serve) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        return hello(environ, start_response)

    with serve_on(app) as worker, worker.client() as client:
        for _ in range(2):
            answer = client.request()
            assert answer.body == b"hello"
            assert [hint.status for hint in answer.interim] == [103]
            assert answer.interim[0].header("link") == "</a.css>; rel=preload"


# ---------------------------------------------------------------- wsgiref.validate


def correct(environ: Environ, start_response: Any) -> Any:
    """An application that does everything PEP 3333 has."""
    path = environ["PATH_INFO"]
    errors = environ["wsgi.errors"]
    errors.write("")
    errors.writelines([])
    errors.flush()
    if path == "/body":
        stream = environ["wsgi.input"]
        first, rest = stream.readline(), stream.read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [PLAIN])
        return [first, rest]
    if path == "/write":
        write = start_response("200 OK", [PLAIN])
        write(b"written ")
        return [b"and returned"]
    if path == "/nothing":
        start_response("204 No Content", [])
        return []
    if path == "/stream":
        start_response("200 OK", [PLAIN])
        return iter([b"a", b"b", b"c"])
    start_response("200 OK", [PLAIN, ("Content-Length", "5")])
    return [b"plain"]


def test_the_validator_is_content(serve_on: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve_on(validator(correct)) as worker, worker.client() as client:
        assert client.request("GET", "/plain?a=b", "Cookie: a=b").body == b"plain"
        assert client.request("HEAD", "/plain").header("content-length") == "5"
        assert client.request("GET", "/stream").body == b"abc"
        assert client.request("GET", "/write").body == b"written and returned"
        assert client.request("GET", "/nothing").status == 204
        for size in (10, SMALL_BODY + 10):
            body = b"line\n" + b"x" * size
            kind = "Content-Type: text/plain"
            assert client.request("POST", "/body", kind, body=body).body == body
            client.send(get("/body", kind, CHUNKED, method="POST") + chunks(body))
            assert client.response().body == body
        client.send(get("/plain", minor=0))
        assert client.response().body == b"plain"
    assert caplog.records == []


def test_who_answers_in_spite_of_a_body_that_did_not_come_is_the_last(serve_on: Serve) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        with contextlib.suppress(Exception):
            environ["wsgi.input"].read()
        return hello(environ, start_response)

    with serve_on(app, threads=2, timeouts=Timeouts(body=0.1)) as worker, worker.client() as client:
        client.send(get("/", "Content-Length: 100000", method="POST") + b"x")
        client.response()
        assert client.is_closed()
