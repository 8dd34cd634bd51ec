"""Which cookies are kept, and where they are sent (RFC 6265)."""

from __future__ import annotations

import pytest

from bare_serve.testing.cookies import Cookie, CookieJar, parse

HOST = "shop.example.org"

PARSED = {
    "a=b": Cookie("a", "b", HOST, host_only=True, path="/in"),
    " a = b ; Secure; HttpOnly; SameSite=Lax": Cookie(
        "a", "b", HOST, True, "/in", secure=True, http_only=True, same_site="Lax"
    ),
    'a="b c"; path=/; domain=.Example.org': Cookie("a", "b c", "example.org", path="/"),
    "a=b=c; path=nowhere; max-age=soon; expires=then": Cookie("a", "b=c", HOST, True, "/in"),
    "a=; Max-Age=0": Cookie("a", "", HOST, True, "/in", expires=0.0),
    "a=b; Expires=Thu, 01 Jan 1970 00:00:10 GMT": Cookie("a", "b", HOST, True, "/in", expires=10.0),
    "=b": None,
    "no pair": None,
}


@pytest.mark.parametrize("field", PARSED)
def test_a_field_is_understood(field: str) -> None:
    assert parse(field, HOST, "/in/here") == PARSED[field]


# what is set by shop.example.org/in/here; where a request goes; whether it is sent along
SENT = [
    ("a=b", "http", HOST, "/in", True),
    ("a=b", "http", HOST, "/in/there", True),
    ("a=b", "http", HOST, "/inside", False),
    ("a=b", "http", HOST, "/", False),
    ("a=b", "http", "example.org", "/in", False),
    ("a=b", "http", "x." + HOST, "/in", False),
    ("a=b; path=/", "http", HOST, "/", True),
    ("a=b; domain=example.org; path=/", "http", "example.org", "/", True),
    ("a=b; domain=example.org; path=/", "http", "other.example.org", "/", True),
    ("a=b; domain=example.org; path=/", "http", "badexample.org", "/", False),
    ("a=b; domain=evil.org; path=/", "http", "evil.org", "/", False),
    ("a=b; domain=evil.org; path=/", "http", HOST, "/", False),
    ("a=b; secure; path=/", "http", HOST, "/", False),
    ("a=b; secure; path=/", "https", HOST, "/", True),
    ("a=b; path=/; max-age=100", "http", HOST, "/", True),
    ("a=b; path=/; max-age=0", "http", HOST, "/", False),
    ("a=b; path=/; max-age=-1; expires=Fri, 01 Jan 2999 00:00:00 GMT", "http", HOST, "/", False),
    ("a=b; path=/; expires=Fri, 01 Jan 2999 00:00:00 GMT", "http", HOST, "/", True),
]


@pytest.mark.parametrize(("field", "scheme", "host", "path", "sent"), SENT)
def test_where_a_cookie_goes(field: str, scheme: str, host: str, path: str, sent: bool) -> None:
    jar = CookieJar()
    jar.take([field], HOST, "/in/here")
    assert jar.header(scheme, host, path) == ("a=b" if sent else "")


def test_a_cookie_is_replaced_and_forgotten() -> None:
    jar = CookieJar({"a": "of the test"})
    jar.take(["b=1; path=/", "b=2; path=/", "c=3; path=/in"], HOST, "/in/here")
    assert dict(jar) == {"a": "of the test", "b": "2", "c": "3"}
    assert jar.header("http", HOST, "/in") == "c=3; a=of the test; b=2"  # the longest path first
    jar.take(["b=; path=/; max-age=0"], HOST, "/")
    assert list(jar) == ["a", "c"]
    assert len(jar) == 2
    del jar["a"]
    with pytest.raises(KeyError):
        del jar["a"]
    with pytest.raises(KeyError):
        jar["a"]
    jar["d"] = "4"
    assert jar.header("http", "elsewhere", "/") == "d=4"


def test_a_cookie_expires_while_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = CookieJar()
    monkeypatch.setattr("time.time", lambda: 1000.0)
    jar.take(["a=b; path=/; max-age=10"], HOST, "/")
    assert jar.header("http", HOST, "/") == "a=b"
    monkeypatch.setattr("time.time", lambda: 1010.0)
    assert jar.header("http", HOST, "/") == ""
    assert jar.cookies == []


def test_an_address_has_no_subdomains() -> None:
    jar = CookieJar()
    jar.take(["a=b; domain=0.0.1; path=/"], "127.0.0.1", "/")
    assert jar.cookies == []
