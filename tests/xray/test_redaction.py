"""Secrets never come into what is shown, wherever they stand in a request or an answer."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bare_serve.xray import redact, show
from tests.xray.driving import call_asgi, call_wsgi

MARK = "S3cr3tV4lue"
NAMES = st.sampled_from(
    (
        *("password", "token", "api_key", "client_secret", "sessionid", "csrfmiddlewaretoken"),
        *("Authorization", "X-Api-Key", "access_token", "passwd", "XSRF-TOKEN", "session"),
    )
)
FIELDS = st.sampled_from(["Cookie", "Authorization", "Proxy-Authorization", "X-Auth-Token"])
PADDING = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
SECRETS = st.builds(lambda before, after: f"{before}{MARK * 3}{after}", PADDING, PADDING)
TOKENS = st.builds(lambda before: f"{before}{MARK * 3}", st.text("abcXYZ019-._~+/", max_size=20))


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    logging.getLogger("bare_serve").setLevel(logging.CRITICAL)


def _body(kind: str, name: str, secret: str, extra: str) -> tuple[str, bytes]:
    if kind == "json":
        made = json.dumps({"a": extra, "in": {name: secret, "list": [1, {name: [secret]}]}})
        return "application/json", made.encode()
    if kind == "nested":
        return "text/plain", json.dumps({name: {"x": [secret, {"y": secret}]}, "z": 1}).encode()
    if kind == "form":
        made = f"a={quote_plus(extra)}&{quote_plus(name)}={quote_plus(secret)}&b=1"
        return "application/x-www-form-urlencoded", made.encode()
    if kind == "multipart":
        part = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{secret}\r\n--b--\r\n'
        return "multipart/form-data; boundary=b", part.encode()
    made = f'<form><input type="hidden" name="{name}" value="{quote_plus(secret)}"></form>'
    return "text/html", made.encode()


KINDS = st.sampled_from(["json", "nested", "form", "multipart", "html"])


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, FIELDS, SECRETS, TOKENS, KINDS, PADDING, st.booleans(), st.integers(0, 60))
def test_no_secret_is_shown_of_wsgi(
    name: str, field: str, secret: str, token: str, kind: str, extra: str, full: bool, cut: int
) -> None:
    text = call_wsgi(_echo_wsgi(cut), _request(name, field, secret, token, kind, extra), full=full)
    assert "start_response" in text
    assert MARK not in text


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, FIELDS, SECRETS, TOKENS, KINDS, PADDING, st.booleans(), st.integers(0, 60))
def test_no_secret_is_shown_of_asgi(
    name: str, field: str, secret: str, token: str, kind: str, extra: str, full: bool, cut: int
) -> None:
    text = call_asgi(_echo_asgi(cut), _request(name, field, secret, token, kind, extra), full=full)
    assert "http.response.start" in text
    assert MARK not in text


@settings(max_examples=200, deadline=None)
@given(FIELDS, SECRETS, st.sampled_from(["X Y: 1", "\x00: 1", " folded", "no colon"]))
def test_no_secret_is_shown_of_a_request_that_is_refused(
    field: str, secret: str, fault: str
) -> None:
    raw = f"GET /?token={quote_plus(secret)} HTTP/1.1\r\n{field}: {secret}\r\n{fault}\r\n\r\n"
    text = call_wsgi(_echo_wsgi(0), raw.encode("latin-1"))
    assert "refused" in text
    assert MARK not in text


def _request(name: str, field: str, secret: str, token: str, kind: str, extra: str) -> bytes:
    content_type, body = _body(kind, name, secret, extra)
    query = f"a=1&{quote_plus(name)}={quote_plus(secret)}"
    head = [
        f"POST /p?{query} HTTP/1.1",
        "Host: test",
        f"{field}: {secret}",
        f"Referer: http://test/x?{query}",
        f"X-Note: Bearer {token}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def _echo_wsgi(cut: int) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read()
        secret = environ["QUERY_STRING"].partition("&")[2]
        fields = [
            ("Content-Type", environ.get("CONTENT_TYPE", "text/plain")),
            ("Set-Cookie", f"{secret}; Path=/"),
            ("Location", f"/next?{secret}"),
        ]
        start_response("200 OK", fields)
        return iter([body[:cut], body[cut:]])

    return app


def _echo_asgi(cut: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        secret = scope["query_string"].partition(b"&")[2]
        kind = next(value for name, value in scope["headers"] if name == b"content-type")
        fields = [(b"content-type", kind), (b"set-cookie", secret), (b"location", b"/?" + secret)]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body[:cut], "more_body": True})
        await send({"type": "http.response.body", "body": body[cut:]})

    return app


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a=1&token=abc&b=2", "a=1&token=<3 characters hidden>&b=2"),
        ("%74oken=abc", "%74oken=<3 characters hidden>"),
        ('{"password": "a\\"b", "x": 1}', '{"password": <4 characters hidden>, "x": 1}'),
        ('{"keys": [1, {"a": "]"}], "x": 1}', '{"keys": <15 characters hidden>, "x": 1}'),
        ('{"pass\\u0077ord": "abc"}', '{"pass\\u0077ord": <3 characters hidden>}'),
        ('{"password": "never ends', '{"password": <10 characters hidden>'),
        ('{"secret": 12345, "x": 1}', '{"secret": <5 characters hidden>, "x": 1}'),
        ("Bearer abcdef", "Bearer <6 characters hidden>"),
        ("https://me:pw@host/", "https://<5 characters hidden>@host/"),
        ("author=Ann&q=tea", "author=Ann&q=tea"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_what_is_hidden_of_a_text(value: str, shown: str) -> None:
    assert redact.text(value) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Cookie", "a=b", "<3 characters hidden>"),
        ("X-CSRF-Token", "abc", "<3 characters hidden>"),
        ("Sec-WebSocket-Key", "abc", "abc"),
        ("Accept", "*/*", "*/*"),
        ("Sec-WebSocket-Protocol", "chat, v2", "chat, v2"),
        ("Sec-WebSocket-Protocol", "token, eyJ", "<5 characters hidden>, <3 characters hidden>"),
    ],
)
def test_what_is_hidden_of_a_field(name: str, value: str, shown: str) -> None:
    assert redact.field_value(name, value) == shown


def test_a_piece_that_may_go_on_with_a_secret_is_not_shown() -> None:
    body = show.Body("application/json", "", full=True, wanted=True)
    assert body.piece(b'{"password": "ab') == "b'{\"password\": <2 characters hidden>'"
    assert "cd" not in body.piece(b'cd"}')
    lines = show.Body("text/plain", "", full=False, wanted=True)
    assert [lines.piece(b"tick\n"), lines.piece(b"tock\n")] == ["b'tick\\n'", "b'tock\\n'"]
    assert lines.piece(b"token=a") == "b'token=<1 character hidden>'"
    assert "bc" not in lines.piece(b"bc")


@pytest.mark.parametrize(("data", "shown"), [(b"a\0b", "binary"), (b"", "")])
def test_what_is_no_text_is_not_shown(data: bytes, shown: str) -> None:
    assert show.Body("", "", full=True, wanted=True).piece(data) == shown
    assert show.Body("", "gzip", full=True, wanted=True).piece(b"x") == "compressed"
    assert show.Body("", "", full=True, wanted=False).piece(b"x") == ""
