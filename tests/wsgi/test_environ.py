"""The environ of a request: complete, decoded, and not to be forged by a client."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from typing import Any
from wsgiref.validate import check_environ

import pytest

from bare_serve.http import RequestHead
from bare_serve.net.forwarded import Trust, parse_trust
from bare_serve.wsgi import environ as module
from bare_serve.wsgi.environ import connection_environ, request_environ, server_environ
from bare_serve.wsgi.input import NO_INPUT
from bare_serve.wsgi.response import FileWrapper
from bare_serve.wsgi.service import Service
from tests.wsgi.fakes import connection_for, request
from tests.wsgi.pairs import pair

MOST = 4096
LOCAL, PEER = ("192.0.2.1", 8000), ("192.0.2.9", 4711)


def environ_of(raw: bytes, root_path: str = "", **ends: Any) -> dict[str, Any]:
    base = server_environ(multithread=True, multiprocess=False, file_wrapper=FileWrapper)
    whole = connection_environ(base, ends.get("local", LOCAL), ends.get("peer", PEER))
    return request_environ(whole, connection_for(raw)[1], root_path)


def test_the_whole_of_a_small_request() -> None:
    environ = environ_of(request("GET", "/a%20b?c=d%20e", "X-Y: z"))
    errors = environ.pop("wsgi.errors")
    assert environ == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_HOST": "test",
        "HTTP_X_Y": "z",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=d%20e",
        "RAW_URI": "/a%20b?c=d%20e",
        "REMOTE_ADDR": "192.0.2.9",
        "REMOTE_PORT": "4711",
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a%20b?c=d%20e",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "bare-serve",
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input": None,
        "wsgi.input_terminated": True,
        "wsgi.multiprocess": False,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
    }
    stream = io.StringIO()
    with redirect_stderr(stream):
        assert errors.write("one\n") == 4
        errors.writelines(["two\n", "three\n"])
        errors.flush()
    assert stream.getvalue() == "one\ntwo\nthree\n"
    assert sys.stderr is not stream


def test_what_is_reported_is_out_once_it_is_flushed() -> None:
    raw = io.BytesIO()
    with redirect_stderr(io.TextIOWrapper(raw, "utf-8")):
        errors = environ_of(request())["wsgi.errors"]
        errors.write("one")
        errors.flush()
        assert raw.getvalue() == b"one"


@pytest.mark.parametrize(
    "raw",
    [
        request(),
        request("POST", "/x?y", "Content-Length: 3", "Content-Type: text/plain"),
        request("GET", "/", "Cookie: a=b", "Cookie: c=d", minor=0),
        request("OPTIONS", "http://other.example/path?q=1").replace(
            b"Host: test", b"Host: other.example"
        ),
    ],
)
def test_the_validator_finds_nothing(raw: bytes) -> None:
    environ = environ_of(raw)
    environ["wsgi.input"] = NO_INPUT
    check_environ(environ)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/?", "/", ""),
        ("/a//b/../c", "/a//b/../c", ""),
        ("/%C3%A4", "/\xc3\xa4", ""),
        ("/%e4%2Fb", "/\xe4/b", ""),
        ("/100%", "/100%", ""),
        ("/a%3Fb?c?d", "/a?b", "c?d"),
        ("/a+b?c+d%26", "/a+b", "c+d%26"),
        ("/a;b=c", "/a;b=c", ""),
    ],
)
def test_paths(target: str, path: str, query: str) -> None:
    environ = environ_of(request("GET", target))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["RAW_URI"] == target


def test_absolute_form_and_asterisk() -> None:
    raw = b"GET http://test/p?q HTTP/1.1\r\nHost: test\r\n\r\n"
    environ = environ_of(raw)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/p", "q")
    assert environ["REQUEST_URI"] == "http://test/p?q"
    assert environ_of(request("OPTIONS", "*"))["PATH_INFO"] == ""


@pytest.mark.parametrize(
    ("root", "target", "script", "path"),
    [
        ("", "/a", "", "/a"),
        ("/", "/a", "", "/a"),
        ("/root", "/a", "/root", "/a"),
        ("/root", "/root/a", "/root", "/a"),
        ("/root/", "/root/a", "/root", "/a"),
        ("/root", "/root", "/root", ""),
        ("/root", "/rooted", "/root", "/rooted"),
        ("/r\xe4", "/r%C3%A4/a", "/r\xc3\xa4", "/a"),
    ],
)
def test_root_path(root: str, target: str, script: str, path: str) -> None:
    environ = environ_of(request("GET", target), root)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script, path)


def test_ends_of_the_connection() -> None:
    environ = environ_of(request(), local=("::1", 80), peer=("2001:db8::1", 9))
    assert [environ[name] for name in ("SERVER_NAME", "SERVER_PORT")] == ["::1", "80"]
    assert [environ[name] for name in ("REMOTE_ADDR", "REMOTE_PORT")] == ["2001:db8::1", "9"]
    environ = environ_of(request(), local=None, peer=None)
    assert [environ[name] for name in ("SERVER_NAME", "SERVER_PORT")] == ["localhost", "80"]
    assert [environ[name] for name in ("REMOTE_ADDR", "REMOTE_PORT")] == ["", ""]
    check_environ({**environ, "wsgi.input": NO_INPUT})


def test_headers_become_variables() -> None:
    lines = [
        "Accept: a",
        "accept: b",
        "Cookie: c=1",
        "Cookie: d=2",
        "X-Latin: \xe4",
        "X-Empty:",
        "Authorization: Basic eA==",
        "Content-Type: text/plain",
        "Content-Length: 2",
    ]
    environ = environ_of(request("POST", "/", *lines))
    assert environ["HTTP_ACCEPT"] == "a,b"
    assert environ["HTTP_COOKIE"] == "c=1; d=2"
    assert environ["HTTP_X_LATIN"] == "\xe4"
    assert environ["HTTP_X_EMPTY"] == ""
    assert environ["HTTP_AUTHORIZATION"] == "Basic eA=="
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "2")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_what_a_client_cannot_say() -> None:
    lines = [
        "X_Forwarded_For: 1.2.3.4",
        "Remote_User: admin",
        "Proxy: http://evil.example",
        "Transfer-Encoding: chunked",
        "Script-Name: /evil",
        "wsgi.url_scheme: https",
    ]
    environ = environ_of(request("POST", "/", *lines))
    for key in ("HTTP_X_FORWARDED_FOR", "HTTP_REMOTE_USER", "REMOTE_USER", "HTTP_PROXY", ""):
        assert key not in environ
    assert not {"HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH"} & environ.keys()
    assert (environ["SCRIPT_NAME"], environ["wsgi.url_scheme"]) == ("", "http")


def test_what_is_remembered_changes_nothing() -> None:
    raw = request("GET", "/", "X-A: 1", "X-A: 2", "Proxy: p", "X_B: 1", "Cookie: secret=1")
    module._variables.clear()
    fresh = environ_of(raw)
    again = environ_of(raw)
    for environ in (fresh, again):
        environ.pop("wsgi.errors")
    assert fresh == again
    assert not any(b"secret" in value for _, value in module._variables), "secrets are not kept"


def test_the_memory_is_bounded() -> None:
    module._variables.clear()
    for number in range(MOST + 10):
        environ_of(request("GET", "/", f"X-N: {number}"))
    assert len(module._variables) <= MOST
    environ_of(request("GET", "/", "X-Long: " + "x" * 256))
    assert all(len(value) < 256 for _, value in module._variables)


def test_what_is_remembered_is_remembered_once_and_makes_room_when_it_is_full() -> None:
    module._variables.clear()
    for number in range(MOST + 10):
        assert environ_of(request("GET", "/", f"X-N: {number}"))["HTTP_X_N"] == str(number)
        if number < 20:
            assert len(module._variables) == number + 2, "and Host"
        assert len(module._variables) <= MOST
    assert 0 < len(module._variables) < 20, "what is full begins anew"
    name = "x-long"
    for length, kept in ((255, True), (256, False)):
        module._variables.clear()
        environ_of(request("GET", "/", f"{name}: " + "y" * (length - len(name))))
        assert (len(module._variables) == 2) is kept
    module._variables.clear()


def test_what_a_server_says_of_itself() -> None:
    environ = environ_of(request("OPTIONS", "*", minor=0))
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert environ["SERVER_SOFTWARE"] == "bare-serve"
    assert environ["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert environ["REQUEST_METHOD"] == "OPTIONS"
    assert (environ["PATH_INFO"], environ["RAW_URI"], environ["REQUEST_URI"]) == ("", "*", "*")
    assert environ["QUERY_STRING"] == environ["SCRIPT_NAME"] == ""
    assert "" not in environ


def test_headers_with_an_underscore_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "bare_serve")
    module._reported = False
    module._keys.clear()
    for number in range(3):
        environ = environ_of(request("GET", "/", f"X_Mine{number}: 1", f"X-Mine: {number}"))
        assert environ["HTTP_X_MINE"] == str(number)
        assert not [
            name for name in environ if name.startswith("HTTP_X_MINE") and name[-4:] != "MINE"
        ]
    assert caplog.text.count("are not passed on") == 1


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "Proxy-Authorization"])
def test_secrets_are_not_kept(name: str) -> None:
    module._variables.clear()
    environ = environ_of(request("GET", "/", f"{name}: secret"))
    if name != "Proxy-Authorization":
        assert environ["HTTP_" + name.upper()] == "secret"
    assert not [field for field in module._variables if b"secret" in field]


TARGETS = ["/a", "/app/b%20c?d", "/app", "/app/?q=%C3%A9", "/a?b?c", "/appendix", "//x"]
FORWARDED = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Prefix: /app"]


VARIED = [
    *(("a=1", "203.0.113.7", "x"), ("a=2", "203.0.113.7", "x"), ("a=3; b", "203.0.113.8", "\xe9")),
    *(("a=3; b", "203.0.113.9, 10.0.0.1", ""), ("", "203.0.113.9", "x"), ("a=1", "[::1]:5", "y")),
]


@pytest.mark.parametrize("trust", [None, parse_trust(["*"])])
@pytest.mark.parametrize("more", [[], ["X-Forwarded-Host: other"]])
def test_an_environ_of_fields_that_differ_equals_a_new_one(
    trust: Trust | None, more: list[str]
) -> None:
    derived = 0
    with pair() as both:
        both.connection.trust = trust
        http, service = both.connection.http, Service(lambda *_: [], "", None)
        for cookie, client, other in VARIED:
            fields = ["Cookie: " + cookie, "X-Forwarded-For: " + client, "X_Y: " + other, *more]
            raw = request("GET", "/" + cookie[:3], *fields, "Proxy: " + other)
            http.receive_data(raw)
            head = http.next_event()
            assert isinstance(head, RequestHead)
            derived += head.changes is not None
            environ = service.environ(both.connection, head)
            with pair() as alone:
                alone.connection.trust = trust
                alone.connection.environ = both.connection.environ
                fresh = service.environ(alone.connection, connection_for(raw)[1])
                assert both.connection.client == alone.connection.client
            assert environ == fresh
            environ.clear()
            http.start_response(200, [])
            http.send_body(b"", False)
            http.next_event()
    assert derived >= 2


@pytest.mark.parametrize("root_path", ["", "/app", "/app/", "/"])
@pytest.mark.parametrize("trust", [None, parse_trust(["*"])])
def test_an_environ_that_is_only_retargeted_equals_a_new_one(
    root_path: str, trust: Trust | None
) -> None:
    """And what an application writes into its own is not seen by the next request."""
    with pair() as both:
        both.connection.trust = trust
        http, service = both.connection.http, Service(lambda *_: [], root_path, None)
        shared = []
        for target in TARGETS:
            raw = request("GET" if len(target) % 2 else "PUT", target, "Cookie: a=b", *FORWARDED)
            http.receive_data(raw)
            head = http.next_event()
            assert isinstance(head, RequestHead)
            shared.append(head.headers)
            environ = service.environ(both.connection, head)
            with pair() as alone:
                alone.connection.trust = trust
                alone.connection.environ = both.connection.environ
                fresh = service.environ(alone.connection, connection_for(raw)[1])
            assert environ == fresh
            environ.clear()
            http.start_response(200, [])
            http.send_body(b"", False)
            http.next_event()
        assert all(headers is shared[0] for headers in shared)
