"""Addresses as users write them."""

from __future__ import annotations

import pytest

from bare_serve.errors import UsageError
from bare_serve.net.bind_address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address("tcp", "127.0.0.1", 8000)),
        ("localhost:0", Address("tcp", "localhost", 0)),
        ("example.com:65535", Address("tcp", "example.com", 65535)),
        (":8000", Address("tcp", "0.0.0.0", 8000)),
        ("[::1]:8000", Address("tcp", "::1", 8000)),
        ("[::]:80", Address("tcp", "::", 80)),
        ("[fe80::1%lo]:80", Address("tcp", "fe80::1%lo", 80)),
        ("unix:/run/app.sock", Address("unix", path="/run/app.sock")),
        ("unix:///run/app.sock", Address("unix", path="/run/app.sock")),
        ("unix:app.sock", Address("unix", path="app.sock")),
        ("unix:a:b", Address("unix", path="a:b")),
        ("unix:@a/b c", Address("unix", path="@a/b c")),
        ("tls:unix:@a", Address("unix", path="@a", role="tls")),
        ("unix:./@a", Address("unix", path="./@a")),
        ("fd://3", Address("fd", fd=3)),
    ],
)
def test_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "HOST:PORT"),
        ("localhost", "localhost:8000"),
        ("127.0.0.1", "127.0.0.1:8000"),
        ("[::1]", "[::1]:8000"),
        ("8000", ":8000"),
        ("unix:@", "unix:./@NAME"),
        ("@name", "did you mean unix:@name?"),
        ("::1", "brackets"),
        ("::1:8000", "brackets"),
        ("[localhost]:8000", "IPv6"),
        ("[]:8000", "IPv6"),
        ("http://localhost:8000", "scheme"),
        ("tcp://localhost:8000", "scheme"),
        ("/run/app.sock", "unix:/run/app.sock"),
        ("localhost:", "0 to 65535"),
        ("localhost:http", "0 to 65535"),
        ("localhost:65536", "0 to 65535"),
        ("localhost:-1", "0 to 65535"),
        ("localhost:80 ", "0 to 65535"),
        ("localhost:8_0", "0 to 65535"),
        ("localhost:\u0661", "0 to 65535"),
        ("local host:80", "HOST:PORT"),
        ("unix:", "path"),
        ("unix:/run/", "path"),
        ("unix:/run/a\0b", "path"),
        ("fd://", "descriptor"),
        ("fd://-1", "descriptor"),
        ("fd://three", "descriptor"),
    ],
)
def test_bad_address_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80", "unix:/a", "fd://3"])
def test_address_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_address(text)) == text
