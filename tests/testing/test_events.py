"""Lines and server-sent events, whatever pieces they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bare_serve.testing.events import Event, EventParser, LineSplitter

STREAMS = {
    "data: a\n\n": [Event("a")],
    "data: a\r\n\r\ndata: b\r\rdata: c\n\n": [Event("a"), Event("b"), Event("c")],
    "data: a\ndata: b\n\n": [Event("a\nb")],
    "data:a\ndata:  b\n\n": [Event("a\n b")],
    "event: tick\nid: 7\nretry: 1500\ndata: a\n\ndata: b\n\n": [
        Event("a", "tick", "7", 1500),
        Event("b", "message", "7", 1500),
    ],
    ": a comment\n\nevent: nothing\n\ndata\n\n": [Event("")],
    "\ufeffdata: a\n\nretry: soon\nid: a\0b\ndata: caf\u00e9\n\n": [Event("a"), Event("caf\u00e9")],
    "data: never ended": [],
    "": [],
}


def events(pieces: list[bytes]) -> list[Event]:
    splitter, parser = LineSplitter(), EventParser()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [event for line in [*lines, *splitter.end()] if (event := parser.feed(line))]


@pytest.mark.parametrize("text", STREAMS)
def test_events_of_a_stream(text: str) -> None:
    data = text.encode()
    assert events([data]) == STREAMS[text]
    assert events([data[at : at + 1] for at in range(len(data))]) == STREAMS[text]


@given(st.lists(st.sampled_from(["a", "\u00e9", "\r", "\n", "\r\n", "b c"])), st.data())
def test_lines_do_not_depend_on_the_pieces(parts: list[str], data: st.DataObject) -> None:
    whole = "".join(parts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    splitter, other = LineSplitter(), LineSplitter()
    found = [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()
    assert found == other.feed(whole) + other.end()
    expected = whole.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert found == (expected if expected[-1] else expected[:-1])


def test_bytes_that_are_no_utf8_are_shown_as_such() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"a\xff\xc3") + splitter.end() == ["a\ufffd\ufffd"]
