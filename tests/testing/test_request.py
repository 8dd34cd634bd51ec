"""What is sent: targets, fields and bodies; and what cannot be."""

from __future__ import annotations

import io
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest

from bare_serve.testing.request import Defaults, build, redirected

PLAIN = Defaults("http", "testserver", ("127.0.0.1", 1), "", None)


def made(url: str = "/", method: str = "POST", **given: Any) -> Any:
    return build(PLAIN, method, url, **given)


URLS = {
    "/": ("http", "testserver", b"/", b""),
    "/a?b=c#d": ("http", "testserver", b"/a", b"b=c"),
    "/caf\u00e9 \u2615?q=\u00e9&r=%41": (
        *("http", "testserver", b"/caf%C3%A9%20%E2%98%95"),
        b"q=%C3%A9&r=%41",
    ),
    '/"<>\\^`{|}': ("http", "testserver", b"/%22%3C%3E%5C%5E%60%7B%7C%7D", b""),
    "https://example.org": ("https", "example.org", b"/", b""),
    "wss://user:word@example.org:8443/a?b": ("https", "example.org:8443", b"/a", b"b"),
    "*": ("http", "testserver", b"*", b""),
}


@pytest.mark.parametrize("url", URLS)
def test_where_a_request_goes(url: str) -> None:
    request = made(url, "GET")
    head = request.head
    assert (request.scheme, request.host, head.raw_path, head.query) == URLS[url]
    assert dict(head.headers)[b"host"].decode() == request.host


def test_parameters_are_added_to_the_query() -> None:
    request = made("/a?b=1", params={"c": [2, 3], "d": True, "e": None, "f": "\u00e9 &"})
    assert request.head.query == b"b=1&c=2&c=3&d=true&e=&f=%C3%A9+%26"
    assert made("/a", params=[("c", 2), ("c", 3)]).head.query == b"c=2&c=3"
    assert made("/a", params={}).head.target == b"/a"
    assert made("/a", params=[]).url == "http://testserver/a"


BODIES: list[tuple[dict[str, Any], bytes, bytes | None]] = [
    ({}, b"", None),
    ({"content": "caf\u00e9"}, "caf\u00e9".encode(), b"text/plain; charset=utf-8"),
    ({"content": bytearray(b"ab")}, b"ab", None),
    ({"json": {"a": [1, None, "\u00e9"]}}, '{"a":[1,null,"\u00e9"]}'.encode(), b"application/json"),
    ({"json": 0}, b"0", b"application/json"),
    (
        {"data": {"a": ["x", "y&"], "b": True}},
        b"a=x&a=y%26&b=true",
        b"application/x-www-form-urlencoded",
    ),
    (
        {"json": 1, "headers": {"Content-Type": "application/problem+json"}},
        b"1",
        b"application/problem+json",
    ),
]


@pytest.mark.parametrize(("given", "body", "content_type"), BODIES)
def test_bodies(given: dict[str, Any], body: bytes, content_type: bytes | None) -> None:
    request = made(**given)
    fields = dict(request.head.headers)
    assert request.body == body
    assert fields.get(b"content-type") == content_type
    assert fields[b"content-length"] == b"%d" % len(body)


def test_a_request_without_a_body_has_no_length() -> None:
    assert b"content-length" not in dict(made(method="GET").head.headers)


def test_a_body_in_pieces_is_chunked() -> None:
    request = made(content=iter([b"a", b"b"]))
    assert dict(request.head.headers)[b"transfer-encoding"] == b"chunked"


def test_a_form_with_files() -> None:
    file = io.BytesIO(b"\x89PNG\r\n")
    file.name = "/home/somebody/a picture.png"
    given = {
        "raw": b"123",
        "text": ('no "quotes"\r\n.txt', "caf\u00e9"),
        "typed": ("a.bin", b"", "application/x-own"),
        "picture": file,
        "several": [("1.txt", "one"), ("2.txt", "two")],
    }
    request = made(data={"a": ["x", "y"]}, files=given)
    head = b"Content-Type: " + dict(request.head.headers)[b"content-type"] + b"\r\n\r\n"
    parts = list(BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts())
    found = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in parts
    ]
    assert found == [
        ("a", None, "text/plain", b"x"),
        ("a", None, "text/plain", b"y"),
        ("raw", "raw", "application/octet-stream", b"123"),
        ("text", "no %22quotes%22%0D%0A.txt", "text/plain", "caf\u00e9".encode()),
        ("typed", "a.bin", "application/x-own", b""),
        ("picture", "a picture.png", "image/png", b"\x89PNG\r\n"),
        ("several", "1.txt", "text/plain", b"one"),
        ("several", "2.txt", "text/plain", b"two"),
    ]


def test_headers_replace_and_repeat() -> None:
    fields = made(headers=[("X", "1"), ("x", "2"), ("User-Agent", "mine")]).head.headers
    assert [value for name, value in fields if name == b"x"] == [b"1", b"2"]
    assert [value for name, value in fields if name == b"user-agent"] == [b"mine"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "a"}, "a path begins with '/', and a URL with 'http://', not 'a'"),
    ({"url": "ftp://a/b"}, "not 'ftp://a/b'"),
    ({"json": 1, "content": "2"}, "one body, but content and json were given"),
    ({"content": 1}, "content= takes str, bytes or an iterable of bytes, not 1"),
    ({"data": "a=b"}, "content= takes str and bytes"),
    ({"json": float("nan")}, "not JSON compliant"),
    ({"headers": {"a b": "c"}}, "the header name b'a b' is not a token"),
    ({"headers": {"a": "b\r\nc: d"}}, "holds a control character"),
    ({"headers": {"a": 1}}, "names and values of headers are str, not 1"),
    ({"headers": {"Content-Length": "7"}}, "the client sets content-length by the body"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_what_cannot_be_sent_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message.replace("(", r"\(")):
        made(**given)


@pytest.mark.parametrize(
    ("options", "message"),
    [(("ftp", ""), "scheme must be"), (("http", "api"), "root_path"), (("http", "/a/"), "root")],
)
def test_defaults_that_cannot_be(options: tuple[str, str], message: str) -> None:
    scheme, root_path = options
    with pytest.raises(ValueError, match=message):
        Defaults(scheme, "h", ("c", 1), root_path, None)


# method, status -> method, and whether the body is sent again (RFC 9110, 15.4)
REDIRECTS = {
    ("POST", 301): ("GET", False),
    ("POST", 302): ("GET", False),
    ("PUT", 302): ("PUT", True),
    ("PUT", 303): ("GET", False),
    ("HEAD", 303): ("HEAD", False),
    ("POST", 307): ("POST", True),
    ("POST", 308): ("POST", True),
    ("GET", 301): ("GET", False),
}


@pytest.mark.parametrize(("method", "status"), REDIRECTS)
def test_what_follows_a_redirect(method: str, status: int) -> None:
    body = {"json": 1} if method in ("POST", "PUT") else {}
    following = redirected(made("/a/b?c", method, **body), status, "../d?e#f")
    expected, again = REDIRECTS[method, status]
    assert (following.method, following.url) == (expected, "http://testserver/d?e")
    fields = dict(following.head.headers)
    assert (following.body == b"1") is again
    assert (b"content-type" in fields) is again


def test_a_secret_stays_with_its_host() -> None:
    first = made(method="GET", headers={"Authorization": "secret", "x": "1"})
    assert (b"authorization", b"secret") in redirected(first, 302, "/b").head.headers
    for away in ("http://other/b", "https://testserver/b"):
        fields = dict(redirected(first, 302, away).head.headers)
        assert b"authorization" not in fields
        assert fields[b"x"] == b"1"
    assert dict(redirected(first, 302, "//other/b").head.headers)[b"host"] == b"other"


@pytest.mark.parametrize(
    ("given", "location", "message"),
    [
        ({}, "mailto:a@b", "which is not HTTP"),
        ({"content": iter([b"a"])}, "/b", "its body was an iterator"),
    ],
)
def test_a_redirect_that_cannot_be_followed(given: Any, location: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        redirected(made(**given), 307, location)
