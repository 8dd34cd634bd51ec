"""What a test reads of an answer."""

from __future__ import annotations

import pytest

from bare_serve.testing.headers import Headers
from bare_serve.testing.request import Defaults, build
from bare_serve.testing.response import Response

REQUEST = build(Defaults("http", "h", ("c", 1), "", None), "GET", "/")


def answer(content: bytes, content_type: bytes = b"text/plain") -> Response:
    return Response(REQUEST, 200, "OK", [(b"Content-Type", content_type)], content)


def test_headers_know_no_case_and_lose_nothing() -> None:
    headers = Headers([(b"X-A", b"1"), (b"x-a", b"2"), (b"B", b"\xe9")])
    assert headers["x-A"] == "1, 2"
    assert headers.all("X-A") == ["1", "2"]
    assert headers.all("none") == []
    assert headers.pairs == [("x-a", "1"), ("x-a", "2"), ("b", "\u00e9")]
    assert dict(headers) == {"x-a": "1, 2", "b": "\u00e9"} == headers
    assert "x-a" in headers
    assert "none" not in headers
    assert headers.get("none") is None
    assert len(headers) == 2
    with pytest.raises(KeyError):
        headers["none"]


def test_text_by_its_charset() -> None:
    assert answer(b"\xe9", b"text/plain; charset=latin-1").text == "\u00e9"
    assert answer(b"\xe9", b'text/plain; charset="ISO-8859-1"; x').text == "\u00e9"
    assert answer("\u00e9".encode()).text == "\u00e9"
    assert answer(b"\xff", b"text/plain; charset=no-such").text == "\ufffd"


def test_json_and_what_is_none() -> None:
    assert answer(b'{"a": 1}').json() == {"a": 1}
    with pytest.raises(ValueError, match=r"<Response 200 to GET http://h/, text/plain> is no JSON"):
        answer(b"<html>").json()


def test_cookies_of_one_answer() -> None:
    fields = [(b"Set-Cookie", b"a=1; Domain=elsewhere"), (b"set-cookie", b"b=2; Path=/x")]
    assert Response(REQUEST, 200, "", fields, b"").cookies == {"a": "1", "b": "2"}


def test_lines_and_events_of_a_whole_answer() -> None:
    whole = answer(b"event: tick\ndata: 1\n\ndata: 2\n\n", b"text/event-stream")
    assert [(event.event, event.data) for event in whole.events()] == [
        ("tick", "1"),
        ("message", "2"),
    ]
    assert list(answer(b"a\nb").lines()) == ["a", "b"]
