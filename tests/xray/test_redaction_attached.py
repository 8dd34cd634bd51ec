"""What an x-ray of a server in use hides: all but what is known to be harmless."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bare_serve.xray import redact, show
from tests.xray.driving import call_asgi, call_wsgi

MARK = "S3cr3tV4lue"
NAMES = st.sampled_from(["X-Own", "Referer", "Cookie", "X-Forwarded-For", "If-None-Match", "Link"])
PADDING = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)
VALUES = st.builds(lambda before, after: f"{before}{MARK}{after}", PADDING, PADDING)
FAULTS = st.sampled_from(["", "X Y: {}", "{}", " {}", "\x00{}: 1", "X-Note {}: 1", "Cookie: {}"])
WHERE = st.sampled_from(
    ["raise", "status", "header", "type", "body", "message", "key", "return", "subprotocol"]
)


@pytest.fixture(autouse=True)
def _only_harmless() -> Iterator[None]:
    logging.getLogger("bare_serve").setLevel(logging.CRITICAL)
    redact.show_only_harmless(True)
    yield
    redact.show_only_harmless(False)


def _request(name: str, value: str, fault: str) -> bytes:
    said = value.replace(":", ";") if fault == "{}" else value  # else it is a field of that name
    line = f"{fault.format(said)}\r\n" if fault else ""
    query = re.sub(r"[^!-~]|[#&]|=(?=.*[^=])", "", value)
    head = f"POST /p?a={query}&{query} HTTP/1.1\r\nHost: test\r\n{name}: {value}\r\n{line}"
    body = f"a={value}&{value}"
    return f"{head}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, VALUES, FAULTS, WHERE, st.booleans())
def test_nothing_that_may_be_secret_is_shown_of_wsgi(
    name: str, value: str, fault: str, where: str, full: bool
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read()
        if where == "raise":
            raise ValueError(value)
        status: Any = f"200 {value}" if where == "status" else "200 OK"
        headers: Any = [("Content-Type", "text/plain"), (name, value)]
        if where == "header":
            headers = [(f"{value}\n", value)]
        elif where == "type":
            headers = {"a": value}
        elif where == "message":
            status = {"status": value}
        start_response(status, headers)
        if where == "return":
            return [value]
        return [value.encode()]

    text = call_wsgi(app, _request(name, value, fault), full=full, bodies=False)
    assert "bytes in" in text
    assert MARK not in text


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, VALUES, FAULTS, WHERE, st.booleans())
def test_nothing_that_may_be_secret_is_shown_of_asgi(
    name: str, value: str, fault: str, where: str, full: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raw = value.encode()
        if where == "raise":
            raise ValueError(value)
        if where == "type":
            await send({"type": value})
        if where == "message":
            await send(value)
        headers: Any = [(b"content-type", b"text/plain"), (name.lower().encode(), raw)]
        if where == "header":
            headers = [(raw + b"\n", raw)]
        status: Any = value if where == "status" else 200
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send({**start, value: value} if where == "key" else start)
        body: Any = value if where == "return" else raw
        await send({"type": "http.response.body", "body": body})

    text = call_asgi(app, _request(name, value, fault), full=full, bodies=False)
    assert "bytes in" in text
    assert MARK not in text


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(VALUES, WHERE)
def test_nothing_that_may_be_secret_is_shown_of_a_websocket(value: str, where: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        chosen = value if where == "subprotocol" else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        if where == "raise":
            raise ValueError(value)
        if where == "type":
            await send({"type": value})
        await send({"type": "websocket.send", "text": value})
        code: Any = value if where == "status" else 1000
        await send({"type": "websocket.close", "code": code, "reason": value})

    offered = re.sub(r"[^\w]", "", value)
    raw = (
        "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {offered}\r\n\r\n"
    )
    text = call_asgi(app, raw.encode(), bodies=False)
    assert "websocket.accept" in text
    assert MARK not in text


def test_what_is_harmless_is_shown() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"x"]

    raw = b"GET /a/b?page=2 HTTP/1.1\r\nHost: test\r\nAccept: */*\r\n\r\n"
    text = call_wsgi(app, raw, bodies=False)
    for shown in ("GET /a/b?page=<1 character hidden>", "Accept: */*", "'404 Not Found'"):
        assert shown in text
    assert "PATH_INFO '/a/b'" in text


def test_the_list_of_harmless_fields_is_the_one_of_the_documentation(root: Path) -> None:
    text = (root / "docs" / "xray.md").read_text("utf-8")
    listed = text.partition("<!-- harmless -->")[2].partition("<!-- /harmless -->")[0]
    assert sorted(re.split(r",\s+", listed.strip())) == sorted(redact.HARMLESS_FIELDS)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("the header b'X_A' is bad", "the header <3 characters hidden> is bad"),
        ("'http.response.start' has no 'status'", "'http.response.start' has no 'status'"),
        ("it is 'never ended", "it is <11 characters hidden>"),
        ("x" * 5000, "<5000 characters hidden>"),
    ],
)
def test_what_is_quoted_in_a_sentence(sentence: str, shown: str) -> None:
    assert redact.said(sentence) == shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("http://S3cr3t@h/a", "http://<6 characters hidden>@h/a"),
        ("http://me:S3cr3t@h/a", "http://<9 characters hidden>@h/a"),
        ("http://me@you:S3cr3t@h", "http://<13 characters hidden>@h"),
        ("//me:S3cr3t@h/a", "//<9 characters hidden>@h/a"),
        ("CONNECT me:S3cr3t@h:443", "CONNECT <9 characters hidden>@h:443"),
        ("/a%3Fb=S3cr3t", "/a?b=<6 characters hidden>"),
        ("/https%3A%2F%2Fme%3AS3cr3t%40h/", "/https://<9 characters hidden>@h/"),
        ("/@me/a%20b/c@d", "/@me/a%20b/c@d"),
    ],
)
def test_who_asks_is_no_part_of_an_address(target: str, shown: str) -> None:
    assert redact.target(target) == shown


def test_a_line_end_within_a_value_hides_what_is_behind_it() -> None:
    for end in ("\r", "\n", "\0", "\x0b"):
        raw = f"GET / HTTP/1.1\r\nUser-Agent: x{end}Cookie: {MARK}\r\nAccept: */*\r\n\r\n"
        shown = show.refused(raw.encode())
        assert MARK not in shown
        assert "Accept: */*" in shown


_SIZE = 16_000
_HARD = [
    "content-disposition:" + "name=" * (_SIZE // 5),
    "content-disposition:name=" * (_SIZE // 25),
    "content-disposition:name=key\n" + "a\n" * (_SIZE // 2),
    "@x://" + ":" * _SIZE,
    '"' * _SIZE,
    '"a\\' * (_SIZE // 3),
    '"key":[' * (_SIZE // 7),
    "a" * _SIZE + "=",
    '="' * (_SIZE // 2),
    "<input " + "name " * (_SIZE // 5),
    "<input name=key value=" + "value=" * (_SIZE // 6),
    "Bearer " * (_SIZE // 7),
    "//a" * (_SIZE // 3) + "@",
    "/" * _SIZE + "@",
    "@" * _SIZE,
    "a " * (_SIZE // 2) + "@",
    "%40//" * (_SIZE // 5),
]


@pytest.mark.parametrize("number", range(len(_HARD)))
def test_no_client_can_make_it_slow(number: int) -> None:
    """Each of them took minutes, or hours, where alternatives could match the same text."""
    began = time.process_time()
    for strictly in (False, True):
        redact.show_only_harmless(strictly)
        redact.target(_HARD[number])
        redact.query(_HARD[number])
        redact.said(_HARD[number][:3000])
        show.refused(_HARD[number].encode("latin-1"), _SIZE)
    assert time.process_time() - began < 5.0
