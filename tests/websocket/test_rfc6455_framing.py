"""RFC 6455, sections 5 to 8, in its order: what a server makes of each kind of frame."""

from __future__ import annotations

import pytest

from bare_serve.websocket.session import OPEN
from tests.websocket.harness import (
    BINARY,
    CLOSE,
    CONTINUATION,
    ENGINES,
    FIN,
    PING,
    PONG,
    TEXT,
    Story,
    agreed,
    close,
    fragments,
    frame,
    frames_of,
    masked,
    pieces_of,
    play,
    session,
)

HELLO = frame(TEXT, b"Hello")
NEXT = frame(TEXT, b"next")


def fails(data: bytes, code: int, before: list[str | bytes] | None = None) -> Story:
    """All of it up to the fault is delivered, and nothing behind it is looked at."""
    story = agreed(data + NEXT)
    assert story.failed
    assert story.messages == (before or [])
    assert story.told == story.code == code
    return story


def test_5_2_the_example_of_a_masked_text() -> None:
    # RFC 6455, 5.7
    data = bytes((0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58))
    assert data == HELLO
    assert agreed(data) == Story(["Hello"])


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 699, 700, 701, 4096])
def test_5_2_every_size_of_payload(kind: int, size: int) -> None:
    payload = bytes(i % 95 + 32 for i in range(size))
    expected = payload.decode() if kind == TEXT else payload
    assert agreed(frame(kind, payload) + NEXT) == Story([expected, "next"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [65535, 65536, 65537, 1 << 20])
def test_5_2_large_payloads(engine: str, size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    data = frame(BINARY, payload[:size]) + NEXT
    for step in (len(data), 50_000):
        assert play(session(engine), pieces_of(data, step)) == Story([payload[:size], "next"])


@pytest.mark.parametrize("rsv", [0x10, 0x20, 0x30, 0x40, 0x50, 0x70])
@pytest.mark.parametrize("kind", [TEXT, BINARY, PING, CLOSE])
def test_5_2_reserved_bits_without_an_extension(rsv: int, kind: int) -> None:
    fails(HELLO + frame(kind | rsv, b"\x03\xe8"), 1002, ["Hello"])


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_5_2_reserved_opcodes(opcode: int, payload: bytes) -> None:
    fails(HELLO + frame(FIN | opcode, payload), 1002, ["Hello"])


@pytest.mark.parametrize(
    "head",
    [b"\x81\xfe\x00\x05", b"\x81\xfe\x00\x7d", b"\x82\xff" + bytes(7) + b"\x7e"],
)
def test_5_2_a_length_that_is_not_the_shortest(head: bytes) -> None:
    size = int.from_bytes(head[2:], "big")
    fails(head + bytes(4) + bytes(size), 1002)


def test_5_2_a_length_with_its_highest_bit_set() -> None:
    story = agreed(b"\x82\xff\x80" + bytes(7) + bytes(4) + b"x")
    assert story.failed
    assert story.told in (1002, 1009)


@pytest.mark.parametrize("first", [TEXT, BINARY, PING, PONG, CLOSE, 0x01])
@pytest.mark.parametrize("payload", [b"", b"Hi", bytes(126), bytes(1 << 16)])
def test_5_1_a_frame_without_mask(first: int, payload: bytes) -> None:
    data = frame(first, payload, key=None)
    # It is noticed as soon as it can be: two bytes are enough.
    for engine in ENGINES:
        assert play(session(engine), [data[:2]]).told == 1002


@pytest.mark.parametrize("key", [bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"])
def test_5_3_every_mask(key: bytes) -> None:
    data = bytes(range(256)) * 5
    assert agreed(frame(BINARY, data, key=key)) == Story([data])
    assert masked(masked(data, key), key) == data


def test_5_4_fragments_of_a_text() -> None:
    assert agreed(fragments(TEXT, b"Hel", b"", b"lo") + NEXT) == Story(["Hello", "next"])


def test_5_4_fragments_of_bytes() -> None:
    data = fragments(BINARY, b"", b"a", b"bc", bytes(200), b"") + NEXT
    assert agreed(data) == Story([b"abc" + bytes(200), "next"])


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_5_4_all_fragments_empty(kind: int) -> None:
    empty: str | bytes = "" if kind == TEXT else b""
    assert agreed(fragments(kind, b"", b"", b"") + NEXT) == Story([empty, "next"])


def test_5_4_control_frames_between_fragments() -> None:
    parts = pieces_of(fragments(TEXT, b"Hel", b"lo"), 9)
    data = (
        parts[0] + frame(PING, b"1") + frame(PONG, b"?") + frame(PING, b"2") + b"".join(parts[1:])
    )
    story = agreed(data + NEXT)
    assert story.messages == ["Hello", "next"]
    assert story.replies == [(PONG, b"1"), (PONG, b"2")]


def test_5_4_a_close_between_fragments() -> None:
    story = agreed(frame(0x01, b"Hel") + close(1000))
    assert (story.messages, story.told, story.failed) == ([], 1000, False)


@pytest.mark.parametrize("first", [CONTINUATION, 0x00])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_5_4_a_continuation_of_nothing(first: int, payload: bytes) -> None:
    fails(HELLO + frame(first, payload), 1002, ["Hello"])


@pytest.mark.parametrize("second", [TEXT, BINARY, 0x01, 0x02])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_5_4_a_message_within_a_message(second: int, payload: bytes) -> None:
    fails(HELLO + frame(0x01, b"a") + frame(second, payload), 1002, ["Hello"])


@pytest.mark.parametrize("first", [0x08, 0x09, 0x0A])
def test_5_5_a_control_frame_in_fragments(first: int) -> None:
    fails(HELLO + frame(first, b"\x03\xe8"), 1002, ["Hello"])


@pytest.mark.parametrize("first", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 127, 65536])
def test_5_5_a_control_frame_that_is_too_long(first: int, size: int) -> None:
    fails(HELLO + frame(first, bytes(size)), 1002, ["Hello"])


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999])
@pytest.mark.parametrize("reason", ["", "bye", "\u20ac" * 41])
def test_5_5_1_a_close_is_answered_with_its_code(code: int, reason: str) -> None:
    story = agreed(HELLO + close(code, reason.encode()) + NEXT)
    assert (story.messages, story.failed) == (["Hello"], False)
    assert (story.told, story.code, story.reason) == (code, code, reason)


def test_5_5_1_a_close_without_code() -> None:
    story = agreed(frame(CLOSE))
    assert (story.replies, story.code) == ([(CLOSE, b"")], 1005)


def test_5_5_1_a_close_of_one_byte() -> None:
    fails(frame(CLOSE, b"\x03"), 1002)


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_7_4_codes_that_are_never_sent(code: int) -> None:
    fails(close(code), 1002)


@pytest.mark.parametrize("reason", [b"\xff", b"\xe2\x82", b"ok\xed\xa0\x80", b"\xc0\xaf"])
def test_8_1_the_reason_is_utf8(reason: bytes) -> None:
    fails(close(1000, reason), 1007)


@pytest.mark.parametrize("payload", [b"", b"p", bytes(range(125))])
def test_5_5_2_a_ping_is_answered_with_its_data(payload: bytes) -> None:
    assert agreed(frame(PING, payload) + HELLO) == Story(["Hello"], [(PONG, payload)])


def test_5_5_3_a_pong_nobody_asked_for_means_nothing() -> None:
    assert agreed(frame(PONG, b"what") + frame(PONG) + HELLO) == Story(["Hello"])


GOOD_TEXTS = [
    "",
    "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "\x00",
    "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ufffe\uffff\ufeff",
    "\ud7ff\ue000",
]


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_8_1_text_is_utf8_wherever_it_is_cut(text: str) -> None:
    data = text.encode()
    assert agreed(frame(TEXT, data)) == Story([text])
    assert agreed(fragments(TEXT, *pieces_of(data, 1), b"")) == Story([text])


BAD_TEXTS = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"ok \xce",
    b"\xe2\x82",
]


@pytest.mark.parametrize("data", BAD_TEXTS)
def test_8_1_text_that_is_not_utf8(data: bytes) -> None:
    fails(HELLO + frame(TEXT, data), 1007, ["Hello"])
    fails(fragments(TEXT, b"\xe2\x82\xac", *pieces_of(data, 1), b""), 1007)


@pytest.mark.parametrize("engine", ENGINES)
def test_8_1_a_fault_is_met_where_it_is_and_not_at_the_end(engine: str) -> None:
    whole = frame(TEXT, b"Hello \xff world, and much more")
    story = play(session(engine), [whole[: 6 + 7]])
    assert story.told == 1007
    first = frame(0x01, b"Hello \xff")
    assert play(session(engine), [first]).told == 1007


@pytest.mark.parametrize("engine", ENGINES)
def test_7_1_nothing_is_read_after_the_end(engine: str) -> None:
    on = session(engine)
    play(on, [close(1000)])
    assert play(on, [HELLO, frame(PING, b"x")]) == Story([], [], True, False, 1000, "")


@pytest.mark.parametrize("engine", ENGINES)
def test_7_1_4_the_end_without_a_close_is_1006(engine: str) -> None:
    on = session(engine)
    on.receive(HELLO[:4])
    on.receive_eof()
    assert (on.close_code, on.news) == (1006, True)


@pytest.mark.parametrize("engine", ENGINES)
def test_7_1_2_a_close_of_ours(engine: str) -> None:
    on = session(engine)
    assert on.close(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert on.close(1000) == b"", "once"
    # What the client had sent before it saw ours is not wanted any more, but its close is.
    story = play(on, [HELLO + frame(PING, b"p") + close(1001)])
    assert story == Story([], [(PONG, b"p")], True, False, 1001, "bye")


@pytest.mark.parametrize("engine", ENGINES)
def test_7_1_2_a_fault_while_we_wait_for_the_close(engine: str) -> None:
    on = session(engine)
    on.close(1000)
    story = play(on, [frame(0x83)])
    assert (story.closed, story.replies, story.code) == (True, [], 1000)


def test_5_5_1_a_long_reason_is_cut_between_characters() -> None:
    frame_sent = session().close(1000, "\u20ac" * 50)
    assert len(frame_sent) == 2 + 2 + 123
    assert frame_sent[4:].decode() == "\u20ac" * 41


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_5_2_what_we_send(kind: int, size: int) -> None:
    on = session()
    output = on.encode("x" * size if kind == TEXT else b"x" * size)
    whole = output if isinstance(output, bytes) else b"".join(output)
    assert frames_of(whole) == [(kind, b"x" * size)]
    assert (on.messages_out, on.bytes_out) == (1, len(whole))


def test_5_6_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        session().encode("\ud800")


@pytest.mark.parametrize("engine", ENGINES)
def test_5_5_2_our_pings(engine: str) -> None:
    on = session(engine)
    first = on.ping()
    assert (first[0], first[1], on.awaits_pong) == (PING, 4, True)
    play(on, [frame(PONG, b"no")])
    assert on.awaits_pong
    play(on, [frame(PONG, first[2:])])
    assert not on.awaits_pong
    assert on.state == OPEN
    second = on.ping()
    assert second != first
    play(on, [frame(PONG, first[2:])])
    assert on.awaits_pong, "the pong of an older ping is none"


@pytest.mark.parametrize("engine", ENGINES)
def test_messages_and_bytes_are_counted(engine: str) -> None:
    on = session(engine)
    data = [HELLO, fragments(BINARY, b"ab", b"c"), frame(PING), frame(TEXT, b"x" * 1000)]
    play(on, [b"".join(data)])
    assert on.messages_in == 3
    assert on.bytes_in == sum(map(len, data)) - len(frame(PING))
