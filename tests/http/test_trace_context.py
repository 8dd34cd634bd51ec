"""Which traceparent is sound: W3C Trace Context, section 3.2."""

from __future__ import annotations

import pytest

from bare_serve.http.trace_context import trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

SOUND = [
    f"00-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-ff",
    f"cc-{TRACE}-{SPAN}-01",
    f"cc-{TRACE}-{SPAN}-01-what-the-future-brings",
]
UNSOUND = [
    "",
    "00",
    f"00-{TRACE}-{SPAN}",
    f"00-{TRACE}-{SPAN}-01-more",
    f"00-{TRACE}-{SPAN}-01-",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-0g",
    f"0-{TRACE}-{SPAN}-01",
    f" 00-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01\n",
    f"cc-{TRACE}-{SPAN}-01more",
    f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
]


@pytest.mark.parametrize("text", SOUND)
def test_sound(text: str) -> None:
    assert trace_id(text.encode()) == TRACE


@pytest.mark.parametrize("text", UNSOUND)
def test_unsound(text: str) -> None:
    assert trace_id(text.encode()) is None
