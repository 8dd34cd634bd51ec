"""What a proxy tells of its client leaves out what only the proxy itself has shown."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.net.forwarded import parse_trust
from bare_serve.wsgi.environ import connection_environ, server_environ
from bare_serve.wsgi.proxied import apply_forwarded
from bare_serve.wsgi.response import FileWrapper
from tests.wsgi.fakes import connection_for, request


def test_the_certificate_of_the_proxy_is_not_its_clients() -> None:
    trust = parse_trust(["192.0.2.9"])
    assert trust is not None
    base = server_environ(multithread=True, multiprocess=False, file_wrapper=FileWrapper)
    base = connection_environ(base, ("192.0.2.1", 443), ("192.0.2.9", 4711))
    base["wsgi.url_scheme"] = "https"
    session = {"SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=p"}
    base |= {"HTTPS": "on", **session}
    for fields, https in (
        (("X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.5"), "on"),
        (("X-Forwarded-Proto: http",), None),
    ):
        head = connection_for(request("GET", "/", *fields))[1]
        environ = apply_forwarded(base, head, "", trust)
        assert environ.get("HTTPS") == https
        assert not [name for name in environ if name.startswith("SSL_")]
    head = connection_for(request("GET", "/"))[1]
    told_nothing = apply_forwarded(base, head, "", trust)
    assert session.items() <= told_nothing.items(), "the proxy speaks for itself"


BASE = server_environ(multithread=True, multiprocess=False, file_wrapper=FileWrapper)
ENDS = {"SERVER_NAME": "192.0.2.1", "SERVER_PORT": "8000", "REMOTE_PORT": "4711"}
ENDS |= {"REMOTE_ADDR": "192.0.2.9", "wsgi.url_scheme": "http", "SCRIPT_NAME": "/app"}
ENDS |= {"HTTP_HOST": "test", "PATH_INFO": "/x"}


def told(*fields: str, peer: tuple[str, int] | None = ("192.0.2.9", 4711)) -> dict[str, Any]:
    """What differs from the environ of a request without a proxy's word."""
    trust = parse_trust(["192.0.2.9", "unix"], ["forwarded", "x-forwarded-prefix"])
    assert trust is not None
    base = connection_environ(BASE, ("192.0.2.1", 8000) if peer else None, peer)
    head = connection_for(request("GET", "/x", *fields))[1]
    environ = apply_forwarded(base, head, "/app", trust)
    return {name: environ[name] for name in ENDS if environ[name] != ENDS[name]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), {}),
        (("Forwarded: for=203.0.113.5",), {"REMOTE_ADDR": "203.0.113.5", "REMOTE_PORT": "0"}),
        (
            ('Forwarded: for="203.0.113.5:99"',),
            {"REMOTE_ADDR": "203.0.113.5", "REMOTE_PORT": "99"},
        ),
        (
            ("Forwarded: for=203.0.113.5;proto=https",),
            {"REMOTE_ADDR": "203.0.113.5", "REMOTE_PORT": "0", "wsgi.url_scheme": "https"},
        ),
        (
            ("Forwarded: for=203.0.113.5;host=shop.test",),
            {
                "REMOTE_ADDR": "203.0.113.5",
                "REMOTE_PORT": "0",
                "SERVER_NAME": "shop.test",
                "SERVER_PORT": "80",
                "HTTP_HOST": "shop.test",
            },
        ),
        (
            ('Forwarded: for=203.0.113.5;host="shop.test:8443";proto=https',),
            {
                "REMOTE_ADDR": "203.0.113.5",
                "REMOTE_PORT": "0",
                "SERVER_NAME": "shop.test",
                "SERVER_PORT": "8443",
                "HTTP_HOST": "shop.test:8443",
                "wsgi.url_scheme": "https",
            },
        ),
        (("Forwarded: for=unknown",), {"REMOTE_ADDR": "", "REMOTE_PORT": ""}),
        (("X-Forwarded-Prefix: /shop",), {"SCRIPT_NAME": "/shop"}),
    ],
)
def test_each_word_of_a_proxy(fields: tuple[str, ...], expected: dict[str, str]) -> None:
    assert told(*fields) == expected


def test_a_proxy_on_a_unix_socket() -> None:
    found = told("Forwarded: for=203.0.113.5", peer=None)
    assert found["REMOTE_ADDR"] == "203.0.113.5"
    nothing = told(peer=None)
    assert (nothing["REMOTE_ADDR"], nothing["REMOTE_PORT"]) == ("", "")
    assert (nothing["SERVER_NAME"], nothing["SERVER_PORT"]) == ("localhost", "80")
