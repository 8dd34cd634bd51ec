"""A request in a line of the error log cannot forge another line."""

from __future__ import annotations

import pytest

from bare_serve.http import RequestHead
from bare_serve.http.log_text import describe


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (b"/a?b=c", "GET /a?b=c"),
        (b"/\r\nERROR forged", r"GET /\r\nERROR forged"),
        (b"/\x1b[2J", r"GET /\x1b[2J"),
        (b"/\xe4\x85", r"GET /\xe4\x85"),
        (b"/'\\", r"GET /'\\"),
    ],
)
def test_a_target_is_written_in_printable_ascii(target: bytes, text: str) -> None:
    assert describe(RequestHead(b"GET", target, 1, [])) == text


def test_of_a_long_target_the_beginning_is_told_if_so_asked() -> None:
    head = RequestHead(b"GET", b"/" + 300 * b"\n", 1, [])
    assert describe(head, 3) == r"GET /\n\n"
    assert describe(head) == "GET /" + 300 * r"\n"
