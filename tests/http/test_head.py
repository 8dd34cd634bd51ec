"""Targets and hosts, whatever version of HTTP they come by.

The same through the parsers of HTTP/1.1 is in tests/http1/test_rfc9112.py.
"""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.http.head import check_target, is_host


def head_of(target: bytes, method: bytes = b"GET", version: str = "2") -> RequestHead:
    return RequestHead(method, target, version, [])


@pytest.mark.parametrize(("version", "old"), [("1.0", True), ("1.1", False), ("2", False)])
def test_what_http10_cannot_have(version: str, old: bool) -> None:
    head = head_of(b"/", version=version)
    assert head.version == version
    assert head.is_http10 is old
    assert head.keep_alive is not old
    assert repr(head) == f"<RequestHead GET b'/' HTTP/{version}>"


@pytest.mark.parametrize(
    ("method", "target", "path", "query"),
    [
        (b"GET", b"/", b"/", b""),
        (b"GET", b"/a%20b?c?d", b"/a%20b", b"c?d"),
        (b"OPTIONS", b"*", b"*", b""),
        (b"GET", b"http://host", b"/", b""),
        (b"GET", b"HTTPS://HOST:443/a?b", b"/a", b"b"),
    ],
)
def test_a_target_is_taken_apart(method: bytes, target: bytes, path: bytes, query: bytes) -> None:
    head = head_of(target, method)
    check_target(head, b"host")
    assert (head.raw_path, head.query) == (path, query)
    assert head.headers == []


def test_the_host_of_the_target_stands_in_for_one_that_is_not_said() -> None:
    head = head_of(b"http://host:80/a")
    check_target(head, None)
    assert head.headers == [(b"host", b"host:80")]


@pytest.mark.parametrize(
    ("method", "target", "host", "status", "why"),
    [
        (b"GET", b"/", b"a b", 400, "Host header is malformed"),
        (b"CONNECT", b"host:443", b"host", 501, "not a proxy"),
        (b"CONNECT", b"host:443", b"a b", 400, "Host header is malformed"),
        (b"GET", b"*", b"host", 400, "target is malformed"),
        (b"GET", b"a", b"host", 400, "target is malformed"),
        (b"GET", b"ftp://host/", b"host", 400, "target is malformed"),
        (b"GET", b"http://u@host/", b"host", 400, "target is malformed"),
        (b"GET", b"http:///a", b"host", 400, "target is malformed"),
        (b"GET", b"http://other/", b"host", 400, "name different hosts"),
        (b"GET", b"https://host:80/", b"host", 400, "name different hosts"),
    ],
)
def test_what_is_refused(method: bytes, target: bytes, host: bytes, status: int, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        check_target(head_of(target, method), host)
    assert caught.value.status == status


def test_hosts() -> None:
    for good in (b"", b"a", b"a:", b"a:65535", b"[::1]:1", b"[v1.a:b]", b"%41", b"10.0.0.1"):
        assert is_host(good), good
    for bad in (b"a:65536", b"a:b", b"u@a", b"[::1", b"::1", b"a/b", b"%4", b"a b", b"\xe9"):
        assert not is_host(bad), bad
