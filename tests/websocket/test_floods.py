"""Frames that are cheap to send and dear to take: some at a time, and not without end."""

from __future__ import annotations

import pytest

from bare_serve.websocket.options import (
    FEW_FRAGMENTS,
    HIGH_WATER,
    LEAST_FRAGMENT,
    MAX_CONTROLS,
)
from bare_serve.websocket.session import CLOSING, Session
from tests.websocket.harness import (
    BINARY,
    CLOSE,
    CONTINUATION,
    ENGINES,
    PING,
    PONG,
    TEXT,
    agreed,
    fragments,
    frame,
    play,
    session,
)

FLOODS = {
    "pings": frame(PING) * 5000,
    "long pings": frame(PING, b"x" * 125) * 5000,
    "pongs": frame(PONG) * 5000,
    "empty fragments": fragments(TEXT, *[b""] * 4000),
    "one-byte fragments": fragments(BINARY, *[b"x"] * 4000),
    "empty messages": frame(TEXT) * 5000,
    "one-byte messages": frame(BINARY, b"x") * 5000,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", FLOODS)
def test_a_call_takes_a_part_and_leaves_nothing_out(engine: str, kind: str) -> None:
    on = session(engine)
    calls, replies, messages = 1, 0, on.receive(FLOODS[kind])
    while on.held:
        assert len(on.replies) <= 1100
        replies += len(on.replies)
        on.replies.clear()
        more = on.receive(b"")
        assert len(more) <= 600
        messages += more
        calls += 1
    assert calls >= (30 if engine == "wsproto" or "fragments" in kind else 5)
    assert replies + len(on.replies) == (5000 if "pings" in kind else 0)
    assert len(messages) == {"ments": 1, "sages": 5000}.get(kind[-5:], 0)
    assert not on.failed


def test_what_is_to_be_ignored_is_taken_in_parts_as_well() -> None:
    on = session()
    on.close(1000)
    assert on.receive(frame(TEXT, b"x") * 5000) == []
    assert (on.held, on.state) == (True, CLOSING)


def test_how_many_tiny_frames_a_call_takes() -> None:
    """Each costs something beside its bytes; wsproto, which costs more, reads none of these."""
    assert len(session().receive(frame(TEXT) * 600)) == HIGH_WATER // 128
    assert len(session().receive(frame(BINARY, b"x") * 600)) == HIGH_WATER // 129 + 1
    for first, count in ((PING, HIGH_WATER // 60 + 1), (PONG, 0)):
        on = session()
        on.receive(frame(first) * 1200)
        assert len(on.replies) == count
        assert on.controls == HIGH_WATER // 60 + 1
        assert on.held


@pytest.mark.parametrize("room", [1, 59, 60, 61, 119, 120, 600])
def test_how_many_pings_a_call_takes_behind_a_message(room: int) -> None:
    """As long as the ones before have left some room; each takes ten times its six bytes."""
    on = session()
    small = bytes(HIGH_WATER - 128 - room)
    assert on.receive(frame(BINARY, small) + frame(PING) * 20) == [small]
    assert len(on.replies) == room // 60 + 1
    assert on.held


def test_how_many_long_pings_a_call_takes() -> None:
    on = session()
    on.receive(frame(PING, b"x" * 125) * 200)
    assert len(on.replies) == HIGH_WATER // (131 * 10) + 1


def controls(on: Session, count: int) -> Session:
    play(on, [frame(PING if number % 2 else PONG, b"abc") for number in range(count)])
    return on


@pytest.mark.parametrize("engine", ENGINES)
def test_control_frames_without_end(engine: str) -> None:
    on = controls(session(engine), MAX_CONTROLS)
    assert not on.failed
    on.controls = 0  # a second later
    assert not controls(on, MAX_CONTROLS).failed
    assert play(on, [frame(PING)]).told == 1008
    assert play(session(engine), [frame(PING) * (MAX_CONTROLS + 2000)]).told == 1008


@pytest.mark.parametrize("engine", ENGINES)
def test_tiny_fragments_without_end(engine: str) -> None:
    on = session(engine)
    assert play(on, [fragments(TEXT, *[b""] * FEW_FRAGMENTS)]).messages == [""]
    assert play(on, [fragments(TEXT, *[b""] * (FEW_FRAGMENTS + 1))]).told == 1008
    most = FEW_FRAGMENTS * LEAST_FRAGMENT // (LEAST_FRAGMENT - 1)  # where each has one byte
    for count, told in ((most, None), (most + 1, 1008)):
        assert play(session(engine), [fragments(BINARY, *[b"x"] * count)]).told == told
    small = fragments(BINARY, *[bytes(LEAST_FRAGMENT)] * 3 * FEW_FRAGMENTS)
    assert len(play(session(engine), [small]).messages[0]) == LEAST_FRAGMENT * 3 * FEW_FRAGMENTS


def test_control_frames_between_fragments_and_in_pieces() -> None:
    data = frame(0x01, b"one ") + frame(PING, b"a") * 3 + frame(PONG) + frame(0x00, b"two ")
    data += frame(PING) + frame(CONTINUATION, b"three") + frame(PING, b"b") + frame(TEXT, b"four")
    story = agreed(data)
    assert story.messages == ["one two three", "four"]
    assert [payload for _, payload in story.replies] == [b"a"] * 3 + [b"", b"b"]


@pytest.mark.parametrize(
    "data", [b"\x89\x00", b"\x89\x7f", b"\x89\xfe", b"\x8a\x05hello", b"\x89\xff"]
)
def test_control_frames_behind_good_ones_are_held_against_the_rules(data: bytes) -> None:
    for engine in ENGINES:
        story = play(session(engine), [frame(PING) * 3 + data + b"\0" * 20])
        assert story.told == 1002
        assert [first for first, _ in story.replies] == [PONG, PONG, PONG, CLOSE]
