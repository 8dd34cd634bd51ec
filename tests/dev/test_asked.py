"""Who may see an error page, and which form of it a client wants."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.dev.asked import Asked


def asked(client: str = "127.0.0.1", method: str = "GET", **fields: str) -> Asked:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return Asked(method, "/", "", client, {"host": "localhost:8000", **given})


@pytest.mark.parametrize(
    ("client", "fields", "sees"),
    [
        ("127.0.0.1", {}, True),
        ("127.9.9.9", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("::ffff:10.0.0.1", {}, False),
        ("10.0.0.1", {}, False),
        ("192.168.1.5", {}, False),
        ("", {}, False),
        ("localhost", {}, False),
        # the name in Host
        ("127.0.0.1", {"host": "localhost"}, True),
        ("127.0.0.1", {"host": "LOCALHOST.:80"}, True),
        ("127.0.0.1", {"host": "app.localhost:8000"}, True),
        ("127.0.0.1", {"host": "shop.test"}, True),
        ("127.0.0.1", {"host": "127.0.0.1:8000"}, True),
        ("127.0.0.1", {"host": "0.0.0.0:8000"}, True),
        ("127.0.0.1", {"host": "[::1]:8000"}, True),
        ("127.0.0.1", {"host": "[::]:8000"}, True),
        ("127.0.0.1", {"host": ""}, True),
        ("127.0.0.1", {"host": "evil.example"}, False),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, False),
        ("127.0.0.1", {"host": "localhost.evil.example:8000"}, False),
        ("127.0.0.1", {"host": "evillocalhost"}, False),
        ("127.0.0.1", {"host": "[2001:db8::1]:80"}, False),
        ("127.0.0.1", {"host": "x.ngrok-free.app"}, False),
        # proxies and tunnels
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, False),
        ("127.0.0.1", {"x-forwarded-proto": "https"}, False),
        ("127.0.0.1", {"x-forwarded-host": "localhost"}, False),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", {"via": "1.1 proxy"}, False),
        ("127.0.0.1", {"x-real-ip": "127.0.0.1"}, False),
        ("127.0.0.1", {"cf-connecting-ip": "127.0.0.1"}, False),
        ("127.0.0.1", {"true-client-ip": "127.0.0.1"}, False),
    ],
)
def test_who_may_see_errors(client: str, fields: dict[str, str], sees: bool) -> None:
    assert asked(client, **fields).is_local is sees


CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "text"),
        ("*/*", "text"),
        ("text/*", "text"),
        (CHROMIUM, "html"),
        ("text/html", "html"),
        ("TEXT/HTML;level=1", "html"),
        ("application/json", "json"),
        ("application/problem+json", "json"),
        ("application/json, text/plain, */*", "json"),
        ("text/plain, application/json", "text"),
        ("application/json;q=0.5, text/html;q=0.9", "html"),
        ("application/json, text/html;q=0.9", "json"),
        ("text/html;q=0", "text"),
        ("text/html;q=x", "text"),
        (",;,=,", "text"),
    ],
)
def test_which_form_is_wanted(accept: str, form: str) -> None:
    assert asked(accept=accept).form == form


@pytest.mark.parametrize(
    ("method", "fields", "live"),
    [
        ("GET", {}, True),
        ("GET", {"sec-fetch-dest": "document"}, True),
        ("GET", {"sec-fetch-dest": "iframe"}, True),
        ("GET", {"sec-fetch-dest": "empty"}, False),
        ("GET", {"sec-fetch-dest": "script"}, False),
        ("GET", {"hx-request": "true"}, False),
        ("GET", {"x-requested-with": "XMLHttpRequest"}, False),
        ("GET", {"range": "bytes=0-1"}, False),
        ("GET", {"accept": "*/*"}, False),
        ("HEAD", {}, False),
        ("POST", {}, False),
    ],
)
def test_which_requests_may_have_a_live_answer(
    method: str, fields: dict[str, str], live: bool
) -> None:
    assert asked(method=method, **{"accept": CHROMIUM, **fields}).may_be_live is live


def test_an_environ_is_read() -> None:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/base",
        "PATH_INFO": "/x",
        "REMOTE_ADDR": "::1",
        "HTTP_X_FORWARDED_FOR": "10.0.0.1",
        "wsgi.input": None,
    }
    found = Asked.of_environ(environ)
    assert found == Asked("GET", "/x", "/base", "::1", {"x-forwarded-for": "10.0.0.1"})


@pytest.mark.parametrize("client", [("::1", 5), None])
def test_a_scope_is_read(client: tuple[str, int] | None) -> None:
    scope: dict[str, Any] = {
        "method": "GET",
        "path": "/base/x",
        "root_path": "/base/",
        "client": client,
        "headers": [(b"accept", b"text/html"), (b"X-A", b"1"), (b"accept", b"*/*")],
    }
    found = Asked.of_scope(scope)
    fields = {"accept": "text/html, */*", "x-a": "1"}
    assert found == Asked("GET", "/x", "/base", "::1" if client else "", fields)
