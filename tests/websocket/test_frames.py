"""Frames as a server sends them: their heads, and what a close frame may carry."""

from __future__ import annotations

import pytest

from bare_serve.websocket.frames import CLOSE, close_frame, frame_head, may_be_sent
from tests.websocket.harness import frames_of

# RFC 6455, 7.4.1 and 7.4.2, and the registry that it founds.
SENT = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]


def test_7_4_the_codes_that_may_be_sent() -> None:
    assert [code for code in range(-1, 70_000) if may_be_sent(code)] == SENT


@pytest.mark.parametrize("first", [0x81, 0x82, 0xC1, 0xC2])
@pytest.mark.parametrize("length", [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 1 << 20])
def test_5_2_the_shortest_form_of_each_length(first: int, length: int) -> None:
    assert frames_of(frame_head(first, length) + bytes(length)) == [(first, bytes(length))]


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("", b""),
        ("bye", b"bye"),
        ("x" * 123, b"x" * 123),
        ("x" * 124, b"x" * 123),
        ("x" * 500, b"x" * 123),
        ("\u00e9" * 61, "\u00e9".encode() * 61),
        ("\u00e9" * 62, "\u00e9".encode() * 61),
        ("\U0001f600" * 40, "\U0001f600".encode() * 30),
        ("a\ud800b", b"a?b"),
    ],
)
def test_5_5_1_a_reason_is_cut_between_two_characters(reason: str, sent: bytes) -> None:
    assert frames_of(close_frame(4000, reason)) == [(CLOSE, b"\x0f\xa0" + sent)]


def test_7_1_5_no_code_is_an_empty_frame() -> None:
    assert close_frame(1005) == close_frame(1005, "unsaid") == bytes((CLOSE, 0))
    assert close_frame(1001) == bytes((CLOSE, 2)) + b"\x03\xe9", "nor is no reason one"
