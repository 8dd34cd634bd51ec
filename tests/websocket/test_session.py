"""The session between two calls: what it holds back, when wsproto is there, and what it lets go."""

from __future__ import annotations

import gc

import pytest
from wsproto.connection import Connection

from bare_serve.websocket import session as session_module
from bare_serve.websocket.options import HIGH_WATER, MAX_CONTROLS
from bare_serve.websocket.session import CLOSED, OPEN, Session
from tests.websocket.harness import (
    BINARY,
    CLOSE,
    CONTINUATION,
    ENGINES,
    PING,
    PONG,
    RSV1,
    TEXT,
    agreed,
    compression,
    deflated,
    fragments,
    frame,
    frames_of,
    play,
    session,
)

HELLO = frame(TEXT, b"Hello")
FAULT = frame(TEXT, b"\xff")
LARGE = frame(BINARY, bytes(HIGH_WATER))


def has_reader(on: Session) -> bool:
    """Whether wsproto is there."""
    return any(isinstance(thing, Connection) for thing in gc.get_referents(on))


# ------------------------------------------------------------------------------ held and faulty


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_held_for_its_size_is_no_fault(engine: str) -> None:
    on = session(engine)
    assert on.receive(LARGE + HELLO) == [bytes(HIGH_WATER)]
    assert (on.held, on.faulty, on.state) == (True, False, OPEN)
    assert on.receive(b"") == ["Hello"]
    assert (on.held, on.faulty) == (False, False)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_byte_below_the_mark_nothing_is_held(engine: str) -> None:
    on = session(engine)
    # A message costs something beside its bytes, and more where wsproto reads it.
    small = bytes(HIGH_WATER - 128 - 1 - (512 if engine == "wsproto" else 0))
    assert on.receive(frame(BINARY, small) + HELLO) == [small, "Hello"]
    assert not on.held


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fault_behind_a_message_is_held_until_that_is_taken(engine: str) -> None:
    on = session(engine)
    assert on.receive(HELLO + FAULT + HELLO) == ["Hello"]
    assert (on.held, on.faulty, on.failed, on.replies) == (True, True, False, [])
    assert on.receive(b"") == []
    assert (on.held, on.faulty, on.failed, on.state) == (False, False, True, CLOSED)
    assert frames_of(b"".join(on.replies))[0][1][:2] == (1007).to_bytes(2, "big")


def test_a_fault_behind_what_is_held_for_its_size_is_met_in_its_turn() -> None:
    on = session()
    assert on.receive(LARGE + HELLO + FAULT) == [bytes(HIGH_WATER)]
    assert (on.held, on.faulty) == (True, False)
    assert on.receive(b"") == ["Hello"]
    assert (on.held, on.faulty) == (True, True)
    on.receive(b"")
    assert on.failed


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fault_without_a_message_is_met_at_once(engine: str) -> None:
    on = session(engine)
    assert on.receive(FAULT) == []
    assert (on.held, on.faulty, on.failed) == (False, False, True)


# ------------------------------------------------------------------------------ wsproto's part


@pytest.mark.parametrize("compressed", [False, True])
def test_wsproto_is_there_only_in_the_middle_of_something(compressed: bool) -> None:
    on = session("auto", compression() if compressed else None)
    assert not has_reader(on), "nothing has come"
    on.receive(HELLO)
    assert not has_reader(on), "a whole message needs none"
    if compressed:
        on.receive(frame(TEXT | RSV1, deflated(b"Hello")))
        assert not has_reader(on), "nor does a compressed one"
    ping = frame(PING, b"12")
    on.receive(ping[:-1])
    assert has_reader(on), "a frame is half there"
    on.receive(ping[-1:])
    assert not has_reader(on), "the frame is complete"
    on.receive(fragments(TEXT, b"Hel", b"lo")[:9])
    assert has_reader(on), "a message has begun"
    on.receive(frame(PING) + frame(PONG))
    assert has_reader(on), "it has not ended with a ping"
    assert on.receive(frame(CONTINUATION, b"lo")) == ["Hello"]
    assert not has_reader(on), "the message is complete"
    assert on.receive(HELLO) == ["Hello"]
    assert not has_reader(on)


def test_wsproto_reads_all_if_it_is_asked_for() -> None:
    on = session("wsproto")
    for _ in range(2):
        assert on.receive(HELLO) == ["Hello"]
        assert has_reader(on)
    on.receive(frame(PING))
    assert has_reader(on)


def test_nothing_is_kept_of_a_message_that_never_ends() -> None:
    on = session()
    on.receive(frame(0x01, b"x" * 1000))
    on.receive_eof()
    assert not has_reader(on)
    assert not any(isinstance(thing, bytearray) for thing in gc.get_referents(on))
    assert on.expected == 0


# ------------------------------------------------------------------------------ lengths and bounds


@pytest.mark.parametrize("second", [0xFE, 0xFF])
@pytest.mark.parametrize("first", [PING, PONG, 0x88])
def test_5_5_a_long_control_frame_is_noticed_by_its_second_byte(first: int, second: int) -> None:
    for engine in ENGINES:
        assert play(session(engine), [bytes((first, second))]).told == 1002


@pytest.mark.parametrize("length", [126, 32_768, 40_000, 65_535])
def test_5_2_a_short_payload_in_eight_bytes_of_length(length: int) -> None:
    head = b"\x82\xff" + length.to_bytes(8, "big") + bytes(4)
    story = agreed(head + bytes(length))
    assert (story.messages, story.told) == ([], 1002)


@pytest.mark.parametrize("length", [0, 1, 124, 125])
def test_5_2_a_payload_in_two_bytes_of_length_that_fits_one(length: int) -> None:
    head = b"\x82\xfe" + length.to_bytes(2, "big") + bytes(4)
    story = agreed(head + bytes(length))
    assert (story.messages, story.told) == ([], 1002)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_frame_still_lacks(engine: str) -> None:
    on = session(engine)
    data = frame(BINARY, bytes(300))
    expected = []
    for byte in data:
        on.receive(bytes((byte,)))
        expected.append(on.expected)
    assert expected == [0] * 7 + [*range(300, -1, -1)], "its head has eight bytes"


@pytest.mark.parametrize("engine", ENGINES)
def test_5_5_3_a_pong_that_nobody_asked_for(engine: str) -> None:
    on = session(engine)
    assert not on.awaits_pong
    for number in (0, 1, 2):
        on.receive(frame(PONG, number.to_bytes(4, "big")))
        assert not on.awaits_pong
        assert not on.news
    ((_, first),) = frames_of(on.ping())
    assert on.awaits_pong
    on.receive(frame(PONG, b"other"))
    assert on.awaits_pong
    on.receive(frame(PONG, first))
    assert not on.awaits_pong
    assert on.news
    ((_, second),) = frames_of(on.ping())
    assert second != first
    on.receive(frame(PONG, first))
    assert on.awaits_pong, "the answer to the one before is late"


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_held_behind_the_end(engine: str) -> None:
    on = session(engine)
    on.receive(LARGE + HELLO)
    assert on.held
    on.receive_eof()
    assert (on.held, on.state) == (False, CLOSED)
    assert on.receive(HELLO) == []


@pytest.mark.parametrize("reason", ["", "bye"])
def test_the_reason_of_a_close(reason: str) -> None:
    on = session()
    sent = on.close(1001, reason) if reason else on.close(1001)
    assert frames_of(sent) == [(CLOSE, b"\x03\xe9" + reason.encode())]
    assert (on.close_code, on.close_reason) == (1001, reason)
    assert on.close(1000) == b"", "once is enough"
    assert (on.close_code, on.close_reason) == (1001, reason)


def test_a_session_before_anything_has_come() -> None:
    on = session()
    assert (on.state, on.failed, on.news, on.held) == (OPEN, False, False, False)
    assert (on.controls, on.messages_in, on.messages_out, on.bytes_in, on.bytes_out) == (0,) * 5
    assert (on.close_code, on.close_reason, on.replies) == (1006, "", [])


def test_7_1_5_a_client_that_is_gone_has_given_no_reason() -> None:
    on = session()
    on.receive_eof()
    assert (on.state, on.close_code, on.close_reason, on.replies) == (CLOSED, 1006, "", [])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("size", "told"), [(0, 1002), (50, 1002), (51, 1009)])
def test_a_fragment_of_nothing_is_held_to_the_size_of_a_message(
    size: int, told: int, engine: str
) -> None:
    """Which of its two faults is met: the limit, to the byte, before the rules of fragments."""
    story = play(session(engine, max_size=50), [frame(CONTINUATION, bytes(size))])
    assert (story.messages, story.told) == ([], told)


@pytest.mark.parametrize(("more", "held"), [(0, False), (1, True)])
def test_what_pings_and_a_message_cost_together(more: int, held: bool) -> None:
    """To the byte: 64 for a run of control frames and 10 for each byte of it; 128 for a message."""
    on = session()
    small = bytes(HIGH_WATER - (64 + 100 * 6 * 10) - 128 - 1 + more)
    last = [] if held else ["Hello"]
    assert on.receive(frame(PING) * 100 + frame(BINARY, small) + HELLO) == [small, *last]
    assert on.held is held
    assert len(on.replies) == 100


@pytest.mark.parametrize("engine", ENGINES)
def test_5_2_a_payload_of_125_bytes_is_never_taken_for_a_length(engine: str) -> None:
    first = b"\x00\x01\x00\x00".ljust(125, b"x")
    data = frame(BINARY, first, key=bytes(4)) + frame(BINARY, bytes(70_000))
    assert play(session(engine), [data]).messages == [first, bytes(70_000)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cut", [1, 6, 8])
@pytest.mark.parametrize("payload", [b"", b"12"])
def test_a_ping_is_news_since_it_has_an_answer(payload: bytes, cut: int, engine: str) -> None:
    on = session(engine)
    data = frame(PING, payload)
    on.receive(data[:cut])
    on.receive(data[cut:])
    assert on.news
    assert frames_of(b"".join(on.replies)) == [(PONG, payload)]


@pytest.mark.parametrize(
    ("fault", "controls"),
    [(b"\x81\x05", 0), (frame(BINARY, bytes(51)), 0), (frame(PING, b"12")[:-1], MAX_CONTROLS)],
)
def test_a_frame_that_is_refused_lacks_nothing(fault: bytes, controls: int) -> None:
    on = session(max_size=50)
    on.controls = controls
    assert on.receive(HELLO + fault) == ["Hello"]
    assert (on.held, on.faulty, on.expected) == (True, True, 0)


@pytest.mark.parametrize(("more", "kind"), [(-1, bytes), (0, tuple), (1, tuple)])
def test_a_large_message_is_written_beside_its_head(more: int, kind: type) -> None:
    data = bytes(session_module.LARGE + more)
    output = session().encode(data)
    assert isinstance(output, kind)
    assert frames_of(output if isinstance(output, bytes) else b"".join(output)) == [(BINARY, data)]


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (b"\x81\x05", 1002, "protocol"),
        (FAULT, 1007, "not what it says"),
        (frame(PING) * 2, 1008, "control frames"),
        (frame(BINARY, bytes(51)), 1009, "too large"),
    ],
)
def test_7_1_7_a_client_is_told_why_it_is_given_up(fault: bytes, code: int, reason: str) -> None:
    on = session(max_size=50)
    on.controls = MAX_CONTROLS
    on.receive(fault)
    assert on.close_code == code
    assert reason in on.close_reason
    *_, said = frames_of(b"".join(on.replies))
    assert said == (CLOSE, code.to_bytes(2, "big") + on.close_reason.encode())
