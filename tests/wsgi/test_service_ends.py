"""Answers of the server itself, calls that are given up, and clients behind a proxy."""

from __future__ import annotations

import errno
import tempfile
import time
from typing import Any

import pytest

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import RequestHead
from bare_serve.http1 import NEED_DATA
from bare_serve.logs.on_answered import CLIENT_LEFT
from bare_serve.net.forwarded import parse_trust
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.service import Service
from tests.wsgi.fakes import PLAIN, request
from tests.wsgi.pairs import Pair, pair

LATE = RequestError(504, "The application did not answer in time.")


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [b"hello"]


def begun(both: Pair, raw: bytes) -> tuple[Connection, RequestHead]:
    both.client.sendall(raw)
    assert both.connection.read()
    head = both.connection.http.next_event()
    assert isinstance(head, RequestHead)
    return both.connection, head


def test_a_call_that_is_given_up() -> None:
    with pair() as both:
        connection, head = begun(both, request("GET", "/slow"))
        connection.started = time.perf_counter() - 2.5
        Service(hello, "", both.answers).give_up(connection, head, LATE, "it is late")
        assert both.client.recv(1000).startswith(b"HTTP/1.1 504 ")
        assert both.client.recv(1000) == b""
        assert connection.given_up
        assert isinstance(connection.failure, ClientGone)
        assert connection.failure.errno == errno.ETIME
        assert connection.failure.strerror == "it is late"
        [line] = both.answers.kept
        assert line[:5] == ("192.0.2.9", "GET", b"/slow", "1.1", 504)
        assert 2.5 <= line[6] < 60


def test_what_waits_to_be_sent_is_left_to_the_thread_of_the_call() -> None:
    with pair() as both:
        connection, head = begun(both, request())
        connection.http.start_response(200, [])
        connection.transmit(connection.http.send_body(b"x" * (8 << 20), True), True)
        assert (unsent := connection.unsent)
        Service(hello, "", both.answers).give_up(connection, head, LATE, "it is late")
        assert connection.unsent == unsent, "its thread may be in the middle of it"
        with pytest.raises(OSError):  # noqa: PT011
            connection.flush()
        connection.drop_output()


def test_what_a_given_up_call_does_later_is_nobodys_business(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pair() as both:
        connection, head = begun(both, request())
        service = Service(hello, "", both.answers)

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            service.give_up(connection, head, LATE, "it is late")
            raise LookupError("late")

        late = Service(app, "", both.answers)
        late.call(connection, head, late.environ(connection, head))
        assert len(both.answers.kept) == 1, "it was told of already"
        assert connection.unsent == 0
    assert "failed" not in caplog.text


@pytest.mark.parametrize("fault", ["X-Forwarded-For: no address", "X-A : no field"])
def test_a_refusal_names_no_client_that_asked_before(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients share the connection of their proxy."""
    caplog.set_level("INFO", "bare_serve")
    with pair() as both:
        connection = both.connection
        connection.trust = parse_trust(["192.0.2.9"])
        both.serve(hello, request("GET", "/", "X-Forwarded-For: 203.0.113.5"))
        connection.release()
        assert [line[0] for line in both.answers.kept] == ["203.0.113.5"]
        service = Service(hello, "", both.answers)

        def begin() -> None:
            head = connection.http.next_event()
            assert isinstance(head, RequestHead)
            service.environ(connection, head)

        connection.http.receive_data(request("GET", "/", fault))
        with pytest.raises(RequestError) as refused:
            begin()
        service.refuse(connection, refused.value)
    assert "192.0.2.9: refused: 400" in caplog.text
    assert "203.0.113.5" not in caplog.text


def test_a_head_that_is_late_is_not_told_as_the_one_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bare_serve")
    with pair() as both:
        connection = both.connection
        connection.trust = parse_trust(["192.0.2.9"])
        both.serve(hello, request("GET", "/first", "X-Forwarded-For: 203.0.113.5"))
        connection.release()
        connection.http.receive_data(b"GET /second HT")
        assert connection.http.next_event() is NEED_DATA
        Service(hello, "", both.answers).refuse(connection, RequestError(408, "It is late."))
    assert "192.0.2.9: refused: 408 It is late." in caplog.text
    assert "/first" not in caplog.text


@pytest.mark.parametrize(
    ("status", "told", "logged"), [(308, False, True), (399, False, True), (400, True, False)]
)
def test_a_refusal_is_told_and_a_redirection_logged(
    status: int, told: bool, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bare_serve")
    with pair() as both:
        connection, _ = begun(both, request("GET", "/here"))
        error = RequestError(status, "Elsewhere")
        Service(hello, "", both.answers).refuse(connection, error)
        assert both.finish().startswith(b"HTTP/1.1 %d " % status)
        assert ("192.0.2.9: refused: " in caplog.text) is told
        assert [(line[2], line[4]) for line in both.answers.kept] == [(b"/here", status)] * logged
        assert all(line[6] == 0.0 for line in both.answers.kept)


def test_a_refusal_without_a_log_or_a_request() -> None:
    with pair() as both:
        connection, _ = begun(both, request())
        Service(hello, "", None).refuse(connection, RequestError(308, "Elsewhere"))
        assert both.finish().startswith(b"HTTP/1.1 308 ")
    with pair() as both:
        Service(hello, "", both.answers).refuse(both.connection, RequestError(308, "Elsewhere"))
        assert both.finish().startswith(b"HTTP/1.1 308 ")
        assert both.answers.kept == []


def test_an_answer_of_the_server_to_a_failure() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise LookupError

    with pair() as both:
        both.serve(app, request())
        head, _, body = both.finish().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 500 ")
        assert b"Content-Type: text/plain; charset=utf-8" in head.split(b"\r\n")
        assert b"Connection: close" not in head, "the connection is not to blame"
        assert body == b"Internal Server Error\n"


def test_an_application_that_swallows_that_its_client_left() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError:
            pass
        start_response("200 OK", [PLAIN])
        return [b"as if nothing had happened"]

    with pair() as both:
        both.serve(app, request("POST", "/", "Content-Length: 5"), leaves="ends")
        assert both.connection.aborted
        assert both.answers.kept[0][4] in (CLIENT_LEFT, 200)
        assert not both.connection.http.keep_alive


def test_an_error_whose_causes_go_round_is_the_applications(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though its client has left: it is not because of that."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError:
            pass
        error, cause = LookupError("mine"), KeyError("mine, too")
        cause.__cause__ = error
        raise error from cause

    with pair() as both:
        both.serve(app, request("POST", "/", "Content-Length: 5"), leaves="ends")
    said = [record.getMessage() for record in caplog.records]
    assert said == ["POST /: the application raised LookupError."]


def test_the_log_has_the_seconds_of_the_call() -> None:
    inner: list[float] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inner.append(time.perf_counter())
        start_response("200 OK", [PLAIN])
        inner.append(time.perf_counter())
        return [b"hello"]

    with pair() as both:
        before = time.perf_counter()
        both.serve(app, request())
        elapsed = time.perf_counter() - before
        assert inner[1] - inner[0] <= both.answers.kept[0][6] <= elapsed


def test_the_log_has_the_line_of_a_file_once_the_client_has_taken_it() -> None:
    size = 10_000_000
    with tempfile.TemporaryFile() as file, pair() as both:
        file.truncate(size)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", [PLAIN])
            return environ["wsgi.file_wrapper"](file)

        before = time.perf_counter()
        both.serve(app, request("GET", "/film"))
        connection = both.connection
        called = time.perf_counter()
        assert both.answers.kept == []
        while connection.unsent:
            both.client.recv(1 << 20)
            connection.flush()
        elapsed = time.perf_counter() - before
        [line] = both.answers.kept
        assert line[:6] == ("192.0.2.9", "GET", b"/film", "1.1", 200, size)
        assert 0 < line[6] <= elapsed
        assert line[6] > elapsed - (called - before), "not only the call"


def test_a_client_behind_a_proxy() -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    with pair() as both:
        both.connection.trust = parse_trust(["192.0.2.9"])
        for number in (1, 2):
            both.serve(app, request("GET", "/", f"X-Forwarded-For: 203.0.113.{number}"))
            both.connection.release()
        both.serve(app, request("GET", "/"))
        assert [environ["REMOTE_ADDR"] for environ in seen] == [
            "203.0.113.1",
            "203.0.113.2",
            "192.0.2.9",
        ]
        assert [line[0] for line in both.answers.kept] == [
            "203.0.113.1",
            "203.0.113.2",
            "192.0.2.9",
        ]


@pytest.mark.parametrize("length", [None, "5", "5000"])
def test_a_file_comes_behind_its_head(length: str | None) -> None:
    content = bytes(range(250)) * 4

    with tempfile.TemporaryFile() as file, pair() as both:
        file.write(content)
        file.seek(3)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            headers = [PLAIN] + ([("Content-Length", length)] if length else [])
            start_response("200 OK", headers)
            return environ["wsgi.file_wrapper"](file)

        both.serve(app, request())
        head, _, body = both.finish().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        sent = content[3 : 3 + int(length or "1000")]
        assert body == sent
        assert f"Content-Length: {length or len(sent)}".encode() in head.split(b"\r\n")
        assert both.answers.kept[0][5] == len(sent)
