"""Fields of an answer: the same methods over `str` and over `bytes`."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.middleware.headers import BytesHeaders, Headers

PAIRS = [("Content-Type", "a/b"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X", "\xe9")]


def of(kind: str) -> Any:
    if kind == "str":
        return Headers(PAIRS)
    return BytesHeaders((name.encode(), value.encode("latin-1")) for name, value in PAIRS)


@pytest.mark.parametrize("kind", ["str", "bytes"])
def test_names_have_no_case(kind: str) -> None:
    headers = of(kind)
    assert headers.get("content-TYPE") == "a/b"
    assert headers.get_all("SET-cookie") == ["a=1", "b=2"]
    assert headers.get("x") == "\xe9"
    assert headers.get("y") is None
    assert "X" in headers
    headers.set("Set-Cookie", "c=3")
    assert headers.get_all("set-cookie") == ["c=3"]
    headers.add("set-cookie", "d=4")
    assert headers.get_all("Set-Cookie") == ["c=3", "d=4"]
    headers.add_missing([("content-type", "no"), ("Y", "yes")])
    assert (headers.get("Content-Type"), headers.get("y")) == ("a/b", "yes")
    headers.remove("SET-COOKIE")
    assert headers.get_all("set-cookie") == []
    assert [value for _, value in headers] == ["a/b", "\xe9", "yes"]


@pytest.mark.parametrize("kind", ["str", "bytes"])
def test_vary(kind: str) -> None:
    headers = of(kind)
    headers.vary("Origin")
    headers.vary("origin")
    assert headers.get_all("vary") == ["Origin"]
    headers.add("Vary", "cookie")
    headers.vary("Accept-Encoding")
    assert headers.get_all("vary") == ["Origin, cookie, Accept-Encoding"]
    headers.set("Vary", "*")
    headers.vary("Origin")
    assert headers.get("vary") == "*"


@pytest.mark.parametrize("kind", ["str", "bytes"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nInjected: 1"),
        ("X", "a\n"),
        ("X", "\0"),
        ("X Y", "a"),
        ("", "a"),
        ("X", "\u0100"),
    ],
)
def test_no_answer_is_split(kind: str, name: str, value: str) -> None:
    headers = of(kind)
    for change in (headers.set, headers.add):
        with pytest.raises(ValueError, match=r"name of a header|cannot be sent"):
            change(name, value)
    assert len([*headers]) == 4


def test_bytes_are_in_lower_case() -> None:
    headers = BytesHeaders([(b"X-A", b"1")])
    headers.add("X-B", "2")
    assert headers.pairs == [(b"X-A", b"1"), (b"x-b", b"2")]
