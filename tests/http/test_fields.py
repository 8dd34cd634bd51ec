"""What an application may say in fields, whatever version of HTTP they are sent by."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.errors import ResponseError
from bare_serve.http.fields import HOP_BY_HOP, check_field, check_trailer, content_length


@pytest.mark.parametrize("check", [check_field, check_trailer])
@pytest.mark.parametrize(
    ("name", "value"),
    [(b"X-A", b""), (b"!#$%&'*+-.^_`|~09azAZ", b"a b"), (b"x", b"\t\x21\x7e\x80\xff")],
)
def test_tokens_and_visible_values_may_be_sent(check: Any, name: bytes, value: bytes) -> None:
    check(name, value)


@pytest.mark.parametrize("check", [check_field, check_trailer])
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("X-A", b"1", "must be bytes"),
        (b"X-A", "1", "must be bytes"),
        (bytearray(b"X-A"), b"1", "must be bytes"),
        (b"", b"1", "is not a token"),
        (b"X A", b"1", "is not a token"),
        (b"X-A:", b"1", "is not a token"),
        (b"X-A\r\nX-B: 1", b"1", "is not a token"),
        (b"X-\xe9", b"1", "is not a token"),
        *(
            (b"X-A", b"1" + bad + b"2", "control character")
            for bad in (b"\r", b"\n", b"\0", b"\x7f")
        ),
    ],
)
def test_what_could_split_a_response_may_not(check: Any, name: Any, value: Any, why: str) -> None:
    with pytest.raises(ResponseError, match=why):
        check(name, value)


@pytest.mark.parametrize("name", sorted({*HOP_BY_HOP, b"content-length", b"set-cookie", b"host"}))
def test_rfc9110_6_5_1_what_comes_too_late_in_a_trailer_section(name: bytes) -> None:
    for written in (name, name.title()):
        check_field(written, b"1")
        with pytest.raises(ResponseError, match="must not be sent as a trailer"):
            check_trailer(written, b"1")


def test_rfc9110_8_6_a_length_is_digits() -> None:
    assert content_length(b"0") == 0
    assert content_length(b"007") == 7
    assert content_length(b"9" * 19) == 10**19 - 1
    for value in (b"", b"-1", b"+1", b"1 ", b"1,1", b"0x1", b"1_0", b"\xb2", b"9" * 20):
        with pytest.raises(ResponseError, match="must be a number of bytes"):
            content_length(value)
