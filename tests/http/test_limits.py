"""A refusal by a limit names its option for the log, and what was asked for as far as it is known;
the client is told neither."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits
from bare_serve.http.log_text import describe, refusal
from tests.http1.harness import PARSERS, connect

SMALL = Limits(request_line=64, headers=3, header_size=1024, body=1 << 20)
HOST = b"Host: x\r\n"
CASES = {
    "a long target": (
        b"GET /" + b"x" * 80 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        "414 The request line is too long. (--limit-request-line 64)",
        "GET /" + "x" * 80 + "...",
    ),
    "a long target in which no end is": (
        b"GET /" + b"x" * 300,
        "414 The request line is too long. (--limit-request-line 64)",
        "GET /" + "x" * 195 + "...",
    ),
    "many fields": (
        b"GET /many?q=1 HTTP/1.1\r\n" + HOST + b"a: 1\r\nb: 2\r\nc: 3\r\n\r\n",
        "431 There are too many headers. (--limit-headers 3)",
        "GET /many?q=1",
    ),
    "large fields": (
        b"GET /large HTTP/1.1\r\n" + HOST + b"a: " + b"y" * 2000 + b"\r\n\r\n",
        "431 The headers are too large. (--limit-header-size 1KiB)",
        "GET /large",
    ),
    "large fields in which no end is": (
        b"GET /large HTTP/1.1\r\n" + HOST + b"a: " + b"y" * 2000,
        "431 The headers are too large. (--limit-header-size 1KiB)",
        "GET /large",
    ),
    "a large body": (
        b"POST /up HTTP/1.1\r\n" + HOST + b"Content-Length: 1048577\r\n\r\n",
        "413 The request body is too large. (--limit-body 1MiB)",
        "POST /up",
    ),
    "no request line at all": (
        b"*" * 300 + b"\r\n\r\n",
        "414 The request line is too long. (--limit-request-line 64)",
        None,
    ),
    "TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(40)),
        "400 This address speaks plain HTTP, and the client TLS: "
        "use http:// in the place of https://.",
        None,
    ),
    "a target beyond ASCII": (
        "GET /grün HTTP/1.1\r\n".encode() + HOST + b"\r\n",
        "400 The request line has bytes beyond ASCII: %-encode these.",
        None,
    ),
}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_told_of_a_refusal(case: str, parser: str) -> None:
    raw, told, asked = CASES[case]
    connection = connect(parser, SMALL)
    connection.receive_data(raw)
    with pytest.raises(RequestError) as caught:
        connection.next_event()
    error = caught.value
    assert str(error) == told
    assert (None if error.asked is None else describe(error.asked)) == asked
    answer = connection.error_response(error)
    assert error.reason.encode() in answer
    assert b"--limit" not in answer
    assert connection.status == error.status


def test_a_body_in_chunks_that_grows_too_large() -> None:
    connection = connect(limits=SMALL)
    connection.receive_data(
        b"POST /up HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffff\r\n"
    )
    connection.next_event()
    with pytest.raises(RequestError, match=r"\(--limit-body 1MiB\)"):
        connection.next_event()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1 << 30, "1GiB"), (3 << 20, "3MiB"), (65536, "64KiB"), (8190, "8190"), (0, "0")],
)
def test_a_size_is_shown_as_it_may_be_written(value: int, shown: str) -> None:
    assert Limits(body=value).exceeded("body").limit == f"--limit-body {shown}"


def test_a_line_of_the_log() -> None:
    error = Limits().exceeded("body")
    assert refusal("", None, error).startswith("-: refused: 413 ")
    connection = connect()
    connection.receive_data(b'GET /%0a"<> HTTP/1.1\r\n' + HOST + b"\r\n")
    connection.next_event()
    line = refusal("192.0.2.1", connection.head, error)
    assert line.startswith("192.0.2.1: refused: 413 The request body is too large. (--limit-body")
    assert line.endswith(': GET /%0a"<>')
