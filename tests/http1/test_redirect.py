"""The machine that sends clients on to https."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits
from bare_serve.http1 import NEED_DATA, select_parser
from bare_serve.http1.redirect import Redirecting


def ask(data: bytes, port: int = 443) -> RequestError:
    machine = Redirecting(select_parser("python").make(), Limits(), b"", port)
    assert machine.next_event() is NEED_DATA
    machine.receive_data(data)
    with pytest.raises(RequestError) as caught:
        machine.next_event()
    answer = machine.error_response(caught.value)
    assert answer.startswith(b"HTTP/1.1 %d " % caught.value.status)
    assert answer.partition(b"\r\n\r\n")[0].endswith(b"Connection: close")
    return caught.value


@pytest.mark.parametrize(
    ("target", "host", "port", "where"),
    [
        ("/", "example.org", 443, "https://example.org/"),
        ("/a?b", "example.org:80", 443, "https://example.org/a?b"),
        ("/a", "example.org", 8443, "https://example.org:8443/a"),
        ("/%0d%0a?x=%22", "10.0.0.1:8000", 443, "https://10.0.0.1/%0d%0a?x=%22"),
        ("/", "[::1]:80", 444, "https://[::1]:444/"),
        ("//evil.example/x", "example.org", 443, "https://example.org//evil.example/x"),
        ("http://example.org/x?y", "example.org", 443, "https://example.org/x?y"),
        ("*", "example.org", 443, "https://example.org/"),
    ],
)
def test_host_and_path_are_kept(target: str, host: str, port: int, where: str) -> None:
    method = "OPTIONS" if target == "*" else "POST"
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello"
    error = ask(head.encode(), port)
    assert error.status == 308
    assert error.headers == f"Location: {where}\r\n".encode()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: user@example.org\r\n\r\n",
    ],
)
def test_without_a_good_host_there_is_nowhere_to_go(data: bytes) -> None:
    error = ask(data)
    assert error.status == 400
    assert b"Location" not in error.headers
