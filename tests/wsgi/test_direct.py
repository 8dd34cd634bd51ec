"""Answers at hand leave without a call, and everything else is what it was."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.http import RequestHead
from bare_serve.http.direct import DirectAnswer
from bare_serve.wsgi.direct import DirectService
from tests.wsgi import pairs
from tests.wsgi.fakes import PLAIN, request
from tests.wsgi.pairs import pair

READY = DirectAnswer([(b"content-type", b"text/css"), (b"content-length", b"4")], b"a {}")


def direct(head: RequestHead) -> DirectAnswer | None:
    return READY if head.raw_path == b"/a.css" else None


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [b"the application"]


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "Service", lambda *given: DirectService(direct, *given))


def test_an_answer_without_a_call() -> None:
    with pair() as both:
        both.serve(app, request("GET", "/a.css"))
        received = both.finish()
    assert received.endswith(b"\r\n\r\na {}")
    assert b"content-type: text/css\r\n" in received
    line = both.answers.kept[0]
    assert line[:6] == ("192.0.2.9", "GET", b"/a.css", "1.1", 200, 4)
    assert line.seconds > 0


@pytest.mark.parametrize(
    "asked",
    [
        request("GET", "/b.css"),
        request("HEAD", "/a.css"),
        request("GET", "/a.css", "Content-Length: 1") + b"x",
    ],
)
def test_what_is_not_plain_is_a_call(asked: bytes) -> None:
    with pair() as both:
        both.serve(app, asked)
        received = both.finish()
    assert b"text/plain" in received


def test_a_client_that_has_left_is_no_failure() -> None:
    with pair() as both:
        both.serve(app, request("GET", "/a.css"), leaves="closes")
    assert both.answers.kept[0].status == 200
