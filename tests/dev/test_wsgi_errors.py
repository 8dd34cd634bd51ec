"""Exceptions of a WSGI application become pages as long as no byte of its answer has left."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.errors import ClientGone, RequestError, ResponseError
from tests.dev.calls import Browser

HTML = [("Content-Type", "text/html")]


def raises(environ: Any, start: Any) -> Any:
    return [b"%d" % (1 // 0)]


def raises_after_the_head(environ: Any, start: Any) -> Any:
    start("200 OK", HTML)
    return [b"%d" % (1 // 0)]


def is_a_generator(environ: Any, start: Any) -> Iterator[bytes]:
    start("200 OK", HTML)
    yield b""
    yield b"%d" % (1 // 0)


def raises_a_group(environ: Any, start: Any) -> Any:
    raise ExceptionGroup("ZeroDivisionError inside", [ZeroDivisionError("1 // 0")])


@pytest.mark.parametrize("app", [raises, raises_after_the_head, is_a_generator, raises_a_group])
def test_an_exception_becomes_a_page(app: Any) -> None:
    browser = Browser(app, "wsgi")
    answer = browser.get()
    assert answer.status == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "ZeroDivisionError" in answer.text
    assert "test_wsgi_errors.py" in answer.text
    assert "REQUEST_METHOD" in answer.text


@pytest.mark.parametrize("app", [raises, is_a_generator])
def test_the_exception_is_raised_behind_the_page_for_the_log(app: Any) -> None:
    assert type(Browser(app, "wsgi").get().raised) is ZeroDivisionError


def test_programs_get_json_or_text() -> None:
    browser = Browser(raises, "wsgi")
    assert browser.json()["type"] == "ZeroDivisionError"
    text = browser.get(accept="*/*").text
    assert text.endswith("ZeroDivisionError: integer division or modulo by zero\n")


@pytest.mark.parametrize("fields", [{"host": "evil.example"}, {"x_forwarded_for": "127.0.0.1"}])
def test_others_get_what_they_always_get(fields: dict[str, str]) -> None:
    answer = Browser(raises, "wsgi").get(**fields)
    assert "ZeroDivisionError" not in answer.text


def test_without_error_pages_nothing_is_shown() -> None:
    assert "ZeroDivisionError" not in Browser(raises, "wsgi", page=False).get().text


def test_a_form_is_not_sent_again_without_a_click() -> None:
    browser = Browser(raises, "wsgi")
    assert "data-resend" in browser.get(method="POST").text
    assert "data-resend" not in browser.get().text


def test_no_page_behind_bytes_that_have_left() -> None:
    def app(environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", HTML)
        yield b"begun"
        raise ZeroDivisionError

    answer = Browser(app, "wsgi").get()
    assert (answer.status, answer.content) == (200, b"begun")
    assert type(answer.raised) is ZeroDivisionError


def test_no_page_behind_what_was_written() -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", HTML)(b"begun")
        raise ZeroDivisionError

    answer = Browser(app, "wsgi").get()
    assert (answer.status, answer.content) == (200, b"begun")
    assert type(answer.raised) is ZeroDivisionError


@pytest.mark.parametrize("error", [ClientGone(32, "gone"), RequestError(413, "Too large")])
def test_what_is_the_clients_doing_is_left_to_the_server(error: Exception) -> None:
    def app(environ: Any, start: Any) -> Any:
        raise OSError("in a framework") from error

    answer = Browser(app, "wsgi").get()
    assert answer.content == b""
    assert type(answer.raised) is OSError


@pytest.mark.parametrize(
    ("result", "said"),
    [(None, "an iterable of bytes"), ("text", "an iterable of bytes"), (["text"], "not str")],
)
def test_a_result_that_is_no_body_is_shown(result: Any, said: str) -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", HTML)
        return result

    assert said in Browser(app, "wsgi").get(accept="*/*").text


def test_an_answer_without_a_head_is_shown() -> None:
    found = Browser(lambda environ, start: [b"hi"], "wsgi").json()
    assert found["type"] == f"{ResponseError.__module__}.ResponseError"
    assert "start_response" in found["message"]


def test_close_is_called_of_what_was_returned() -> None:
    told: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            raise ZeroDivisionError
            yield b""

        def close(self) -> None:
            told.append("closed")

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", HTML)
        return Body()

    assert "ZeroDivisionError" in Browser(app, "wsgi").get().text
    assert told == ["closed"]


def makes_500(show: bytes = b"Internal Server Error", log: bool = True, pieces: int = 1) -> Any:
    def app(environ: Any, start: Any) -> Any:
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError:
            if log:
                logging.getLogger("framework").exception("oh")
        if not log:
            try:
                1 // 0  # noqa: B018
            except ZeroDivisionError:
                start("500 Internal Server Error", HTML)
        else:
            start("500 Internal Server Error", HTML)
        return [show] if pieces == 1 else iter([show] * pieces)

    return app


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("log", [True, False])
def test_a_500_made_of_an_exception_becomes_its_page(log: bool, pieces: int) -> None:
    browser = Browser(makes_500(log=log, pieces=pieces), "wsgi")
    assert "ZeroDivisionError" in browser.get().text


def test_a_500_whose_exception_is_given_as_exc_info_becomes_its_page() -> None:
    def app(environ: Any, start: Any) -> Any:
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError:
            given = sys.exc_info()
        start("500 Internal Server Error", HTML, given)
        return [b"oh"]

    assert "ZeroDivisionError" in Browser(app, "wsgi").get().text


def test_a_500_for_a_program_stays_what_it_is() -> None:
    browser = Browser(makes_500(), "wsgi")
    assert browser.get(accept="application/json").text == "Internal Server Error"
    assert browser.get(sec_fetch_dest="empty").text == "Internal Server Error"


def test_a_500_that_shows_the_exception_itself_stays() -> None:
    shown = b"<h1>ZeroDivisionError</h1> Traceback ..."
    assert Browser(makes_500(shown), "wsgi").get().text == shown.decode()


def test_a_500_of_no_exception_stays() -> None:
    def app(environ: Any, start: Any) -> Any:
        logging.getLogger("app").error("no traceback")
        start("500 Mine", HTML)
        return [b"mine"]

    assert Browser(app, "wsgi").get().text == "mine"


def test_a_long_500_passes_through() -> None:
    piece = b"x" * 100_000
    answer = Browser(makes_500(piece, pieces=5), "wsgi").get()
    assert answer.content == piece * 5


def test_an_exception_of_the_request_before_is_forgotten() -> None:
    calls: list[int] = []

    def app(environ: Any, start: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            return makes_500()(environ, start)
        start("500 Mine", HTML)
        return [b"mine"]

    browser = Browser(app, "wsgi")
    assert "ZeroDivisionError" in browser.get().text
    assert browser.get().text == "mine"
