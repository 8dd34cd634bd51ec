"""What becomes of failures: whose they are, what is answered, what is logged."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bare_serve.errors import ResponseError
from bare_serve.logs.on_answered import CLIENT_LEFT
from bare_serve.wsgi.connection import Connection
from tests.wsgi.fakes import PLAIN, Closing, request
from tests.wsgi.pairs import pair

POST = request("POST", "/", "Content-Length: 10")
BAD_CHUNK = request("POST", "/", "Transfer-Encoding: chunked") + b"zz\r\n"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [b"hello"]


def status(received: bytes) -> int:
    return int(received.split(b" ")[1])


def test_an_answer_and_its_line_in_the_log() -> None:
    with pair() as both:
        both.serve(hello, request("GET", "/a?b"))
        assert both.finish().endswith(b"\r\n\r\nhello")
    line = both.answers.kept[0]
    assert line[:6] == ("192.0.2.9", "GET", b"/a?b", "1.1", 200, 5)
    assert line[6] >= 0


@pytest.mark.parametrize("error", [KeyError("trouble"), SystemExit(1), KeyboardInterrupt()])
def test_an_exception_before_the_answer(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        raise error

    with pair() as both:
        both.serve(app, request("GET", "/x%7fy"))
        received = both.finish()
    assert status(received) == 500
    assert b"trouble" not in received, "a traceback is not for clients"
    assert f"GET /x%7fy: the application raised {type(error).__name__}." in caplog.text
    assert type(error).__name__ in caplog.text
    assert "in app" in caplog.text, "the application's own traceback"
    assert "bare_serve/wsgi" not in caplog.text, "and nothing of ours before it"
    assert both.answers.kept[0][4] == 500


def test_an_exception_before_the_first_piece() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b""
        raise KeyError

    with pair() as both:
        both.serve(app, request())
        assert status(both.finish()) == 500


@pytest.mark.parametrize("result", [None, ["text"], "text"])
def test_a_wrong_result_is_told_without_our_frames(
    result: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return result

    with pair() as both:
        both.serve(app, request())
        assert status(both.finish()) == 500
    assert "bytes" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_callables_of_one_request_are_dead_in_the_next() -> None:
    old: list[Any] = []
    failures: list[Exception] = []

    def app(environ: Any, start_response: Any) -> Any:
        if not old:
            old.append(start_response)
            old.append(start_response("200 OK", [PLAIN]))
            return [b"first"]
        for stale in (lambda: old[0]("200 OK", [("X-Stale", "1")]), lambda: old[1](b"stale")):
            try:
                stale()
            except ValueError as error:
                failures.append(error)
        start_response("200 OK", [PLAIN])
        return [b"second"]

    with pair() as both:
        both.serve(app, request())
        both.serve(app, request())
        received = both.finish()
    assert len(failures) == 2
    assert b"stale" not in received.lower()
    assert received.endswith(b"second")


@pytest.mark.parametrize("minor", [0, 1])
def test_an_exception_in_the_middle_breaks_off(
    minor: int, caplog: pytest.LogCaptureFixture
) -> None:
    result = Closing([b"first", KeyError("trouble")])

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return result

    with pair() as both:
        both.serve(app, request(minor=minor))
        # Without chunks the client can only tell by the reset that something is missing.
        assert both.connection.aborted == (minor == 0)
        received = both.finish()
    assert received.count(b"HTTP/1.1") == 1
    assert not received.endswith(b"0\r\n\r\n")
    assert "trouble" in caplog.text
    assert result.closed == 1


@pytest.mark.parametrize(
    ("raw", "length", "body"),
    [
        (request(), "5", b"first"),
        (request("HEAD"), "5", b""),
        (request("HEAD", minor=0), "", b""),
    ],
)
def test_an_exception_behind_all_that_is_sent_does_not_harm_the_answer(
    raw: bytes, length: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        lengths = [("Content-Length", length)] if length else []
        start_response("200 OK", [PLAIN, *lengths])(b"first")
        raise KeyError("trouble")

    with pair() as both:
        both.serve(app, raw)
        assert not both.connection.aborted
        assert not both.connection.http.keep_alive
        received = both.finish()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.partition(b"\r\n\r\n")[2] == body
    assert "trouble" in caplog.text


def test_a_failing_close_does_not_harm_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Result(Closing):
        def close(self) -> None:
            raise KeyError("in close")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", "3")])
        return Result([b"one"])

    with pair() as both:
        both.serve(app, request())
        assert not both.connection.aborted
        assert both.connection.http.keep_alive
        assert both.finish().endswith(b"\r\n\r\none")
    assert "in close" in caplog.text


def read_all(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    raise AssertionError("unreachable")


def read_and_wrap(environ: Any, start_response: Any) -> list[bytes]:
    try:
        environ["wsgi.input"].read()
    except Exception as error:
        raise ValueError("unreadable") from error
    raise AssertionError("unreachable")


def read_and_replace(environ: Any, start_response: Any) -> list[bytes]:
    try:
        environ["wsgi.input"].read()
    except Exception:
        raise ValueError("unreadable")  # noqa: B904 (as applications do)
    raise AssertionError("unreachable")


READERS = [read_all, read_and_wrap, read_and_replace]


@pytest.mark.parametrize("app", READERS)
def test_a_malformed_body_is_answered_as_such(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pair() as both:
        both.serve(app, BAD_CHUNK)
        assert status(both.finish()) == 400
        assert both.connection.http.linger
    assert caplog.records == [], "not the application's fault"


@pytest.mark.parametrize("app", READERS)
def test_a_client_that_leaves_in_its_body(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pair() as both:
        both.serve(app, POST + b"abc", leaves="ends")
        assert both.connection.aborted
        assert both.finish() == b""
    assert caplog.records == []
    assert both.answers.kept[0][4] == CLIENT_LEFT


def test_an_unrelated_exception_after_a_bad_body_is_the_applications(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        try:
            environ["wsgi.input"].read()
        except Exception:
            pass
        raise KeyError("a bug")

    with pair() as both:
        both.serve(app, BAD_CHUNK)
        assert status(both.finish()) == 500
    assert "a bug" in caplog.text


def test_an_application_may_answer_a_bad_body_itself() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        for _ in range(2):  # the failure stays
            with pytest.raises(Exception, match="malformed"):
                environ["wsgi.input"].read()
        start_response("422 Mine", [PLAIN])
        return [b"mine"]

    with pair() as both:
        both.serve(app, BAD_CHUNK)
        received = both.finish()
    assert status(received) == 422
    assert b"Connection: close" in received, "nobody knows where the next request begins"


def test_a_bad_body_after_the_answer_began_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"first"
        environ["wsgi.input"].read()

    with pair() as both:
        both.serve(app, BAD_CHUNK)
        received = both.finish()
    assert received.count(b"HTTP/1.1") == 1
    assert not received.endswith(b"0\r\n\r\n")
    assert caplog.records == []


class Wide(Closing):
    """More than any socket takes."""

    def __init__(self) -> None:
        super().__init__([b"x" * (1 << 20)] * 50)


def swallow(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", [PLAIN])
    for _ in range(50):
        try:
            write(b"x" * (1 << 20))
        except OSError:
            pass
    return []


def replace(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", [PLAIN])
    try:
        for _ in range(50):
            write(b"x" * (1 << 20))
    except OSError:
        raise ValueError("cannot write")  # noqa: B904 (as applications do)


@pytest.mark.parametrize("app", [swallow, replace])
def test_a_client_that_leaves_in_its_answer(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pair() as both:
        both.serve(app, request(), leaves="closes")
        assert both.connection.aborted
    assert caplog.records == []


def test_close_is_called_when_the_client_left() -> None:
    result = Wide()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return result

    with pair() as both:
        both.serve(app, request(), leaves="closes")
    assert result.closed == 1
    assert result.given < 50


@pytest.mark.parametrize(("length", "message"), [("1", "more than"), ("9", "less than")])
def test_a_wrong_length_is_told(
    length: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "bare_serve")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", length)])
        return [b"abc"]

    with pair() as both:
        both.serve(app, request("GET", "/where"))
    assert f"The application sent {message} its Content-Length: GET /where" in caplog.text


def test_a_repeated_head_has_an_environ_of_its_own() -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: Any, start_response: Any) -> Any:
        assert "mine" not in environ
        environ["mine"] = environ["PATH_INFO"] = "changed"
        seen.append(environ)
        return hello(environ, start_response)

    with pair() as both:
        for _ in range(3):
            both.serve(app, request("GET", "/same"))
        connection: Connection = both.connection
        assert connection.last_environ["PATH_INFO"] == "/same"
    assert len({id(environ) for environ in seen}) == 3


def test_early_hints() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        environ["wsgi.early_hints"]([("Link", "</b.js>; rel=preload")])
        return hello(environ, start_response)

    with pair() as both:
        both.serve(app, request())
        received = both.finish()
    assert received.startswith(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </b.js>; rel=preload\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n"
    )


def test_early_hints_of_another_request_write_nothing() -> None:
    kept: list[Any] = []
    raised: list[BaseException] = []

    def app(environ: Any, start_response: Any) -> Any:
        kept.append(environ["wsgi.early_hints"])
        try:
            kept[0]([("Link", f"<{len(kept)}>")])
        except ResponseError as error:
            raised.append(error)
        return hello(environ, start_response)

    with pair() as both:
        for _ in range(3):
            both.serve(app, request())
        received = both.finish()
    assert received.count(b"103 Early Hints") == 1
    assert received.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: <1>\r\n\r\nHTTP/1.1 200 OK")
    assert [str(error).splitlines()[0] for error in raised] == [
        "the answer is over, and another request has begun"
    ] * 2


def test_early_hints_are_not_for_http_1_0_nor_after_the_answer_began(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.early_hints"]([("Link", "x")])
        return hello(environ, start_response)

    with pair() as both:
        both.serve(app, request(minor=0))
        assert both.finish().startswith(b"HTTP/1.1 200 OK\r\n")

    def late(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])(b"x")
        environ["wsgi.early_hints"]([("Link", "x")])
        return []

    with pair() as both:
        both.serve(late, request())
    assert "must come before the final one" in caplog.text
