"""RFC 7692, sections 6 and 7: compressed messages, both ways, and how far they may inflate."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest

from bare_serve.websocket.deflate import Deflate, negotiate
from bare_serve.websocket.handshake import Handshake
from bare_serve.websocket.options import COMPRESS_FROM
from bare_serve.websocket.session import Session
from tests.websocket.harness import (
    BINARY,
    ENGINES,
    PING,
    RSV1,
    TEXT,
    Story,
    agreed,
    compression,
    deflated,
    fragments,
    frame,
    frames_of,
    pieces_of,
    play,
    session,
)
from tests.websocket.test_handshake import KEY, VERSION

NEXT = frame(TEXT, b"next")


def test_7_2_3_1_the_example() -> None:
    payload = bytes.fromhex("f248cdc9c90700")
    assert agreed(frame(TEXT | RSV1, payload), compressed=True) == Story(["Hello"])


def test_7_2_3_1_the_example_in_fragments() -> None:
    data = frame(0x41, bytes.fromhex("f248cd")) + frame(0x80, bytes.fromhex("c9c90700"))
    assert agreed(data, compressed=True) == Story(["Hello"])


def test_7_2_3_2_sharing_the_window() -> None:
    first = frame(TEXT | RSV1, bytes.fromhex("f248cdc9c90700"))
    second = frame(TEXT | RSV1, bytes.fromhex("f200110000"))
    assert agreed(first + second, compressed=True) == Story(["Hello", "Hello"])


def test_7_2_3_3_a_block_without_compression() -> None:
    payload = bytes.fromhex("000500faff48656c6c6f00")
    assert agreed(frame(TEXT | RSV1, payload), compressed=True) == Story(["Hello"])


def test_7_2_3_4_a_final_block() -> None:
    payload = bytes.fromhex("f348cdc9c9070000")
    data = frame(TEXT | RSV1, payload)
    assert agreed(data + data + NEXT, compressed=True) == Story(["Hello", "Hello", "next"])


def test_7_2_3_5_two_blocks() -> None:
    payload = bytes.fromhex("f2480500 0000ffff cac9c90700".replace(" ", ""))
    assert agreed(frame(TEXT | RSV1, payload), compressed=True) == Story(["Hello"])


def test_7_2_3_6_an_empty_message() -> None:
    assert agreed(frame(TEXT | RSV1, b"\x00") + NEXT, compressed=True) == Story(["", "next"])


def test_6_plain_messages_among_compressed_ones() -> None:
    data = frame(TEXT, b"a") + frame(BINARY | RSV1, deflated(b"b")) + NEXT
    assert agreed(data, compressed=True) == Story(["a", b"b", "next"])


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 70_000])
@pytest.mark.parametrize("cut", [1, 50, 20_000])
def test_6_fragments_with_a_ping_between(size: int, cut: int) -> None:
    data = bytes(i * i % 251 for i in range(size))
    pieces = pieces_of(deflated(data), cut)[:2000]
    if b"".join(pieces) != deflated(data):
        pytest.skip("more than enough fragments")
    parts = [fragments(BINARY | RSV1, *pieces, b"")]
    first = len(frame(0x42, pieces[0]))
    data_sent = parts[0][:first] + frame(PING, b"p") + parts[0][first:] + NEXT
    for engine in ENGINES:
        for step in (len(data_sent), 1009):
            story = play(session(engine, compression()), pieces_of(data_sent, step))
            assert story.messages == [data, "next"]


@pytest.mark.parametrize("first", [0xC0, 0x40])
def test_6_1_only_the_first_frame_says_that_it_is_compressed(first: int) -> None:
    data = frame(0x41, deflated(b"Hello")[:3]) + frame(first, b"x")
    story = agreed(data, compressed=True)
    assert (story.told, story.messages) == (1002, [])


@pytest.mark.parametrize("first", [0xC8, 0xC9, 0xCA])
def test_6_1_control_frames_are_never_compressed(first: int) -> None:
    assert agreed(frame(first, b"\x03\xe8"), compressed=True).told == 1002


@pytest.mark.parametrize("rsv", [0x20, 0x10, 0x60])
def test_5_2_the_other_bits_stay_reserved(rsv: int) -> None:
    assert agreed(frame(TEXT | rsv, b"x"), compressed=True).told == 1002


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x07" * 20, deflated(b"Hello" * 9)[1:]])
def test_7_2_2_damaged_data(payload: bytes) -> None:
    assert agreed(frame(BINARY | RSV1, payload), compressed=True).told == 1007


@pytest.mark.parametrize("text", [b"\xff", b"ok\xe2\x82"])
def test_8_1_compressed_text_is_utf8(text: bytes) -> None:
    assert agreed(frame(TEXT | RSV1, deflated(text)), compressed=True).told == 1007


def test_7_2_3_4_nothing_follows_a_final_block() -> None:
    payload = deflated(b"Hello", final=True)[:-1] + deflated(b"more")
    assert agreed(frame(TEXT | RSV1, payload), compressed=True).told == 1007
    # Nor can it be repeated without end, each block making the server begin anew.
    payload = zlib.compressobj(9, zlib.DEFLATED, -15).flush() * 1000
    assert agreed(frame(TEXT | RSV1, payload), compressed=True).told == 1007


@pytest.mark.parametrize("engine", ENGINES)
def test_7_1_1_2_without_context_takeover_each_message_stands_alone(engine: str) -> None:
    on = session(engine, compression(keep=False))
    data = frame(BINARY | RSV1, deflated(b"Hello"))
    assert play(on, [data + data]) == Story([b"Hello", b"Hello"])
    shared = frame(TEXT | RSV1, bytes.fromhex("f200110000"))
    assert play(on, [shared]).told == 1007, "refers to a message before"


# ---------------------------------------------------------------------- what we send


def inflated(payload: bytes, inflater: zlib._Decompress | None = None) -> bytes:
    inflater = inflater or zlib.decompressobj(-15)
    return inflater.decompress(payload + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("size", [COMPRESS_FROM, 5000, 200_000])
def test_we_send_what_a_client_can_inflate(size: int) -> None:
    text = "".join(chr(i * i % 90 + 33) for i in range(size))
    on = session(deflate=compression())
    client = zlib.decompressobj(-15)
    sizes = []
    for _ in range(2):
        ((first, payload),) = frames_of(joined(on.encode(text)))
        assert first == TEXT | RSV1
        assert inflated(payload, client).decode() == text
        sizes.append(len(payload))
    assert sizes[1] < sizes[0], "the second message refers to the first"


def test_without_context_takeover_what_we_send_stands_alone() -> None:
    on = session(deflate=compression(keep=False))
    for _ in range(2):
        ((_, payload),) = frames_of(joined(on.encode(b"Hello" * 100)))
        assert inflated(payload) == b"Hello" * 100


def test_small_messages_are_not_compressed() -> None:
    on = session(deflate=compression())
    assert frames_of(joined(on.encode(b"a" * (COMPRESS_FROM - 1))))[0][0] == BINARY


@pytest.mark.parametrize("bits", range(9, 16))
def test_7_1_2_1_the_window_that_the_client_asked_for(bits: int) -> None:
    offer = b"permessage-deflate; server_max_window_bits=%d" % bits
    agreed_on = Handshake([KEY, VERSION, (b"sec-websocket-extensions", offer)]).deflate()
    assert agreed_on is not None
    data = bytes(i * i * 7 % 256 for i in range(70_000)) * 2
    ((_, payload),) = frames_of(joined(session(deflate=agreed_on[0]).encode(data)))
    assert inflated(payload, zlib.decompressobj(-min(bits, 12))) == data


def joined(output: bytes | tuple[bytes, ...]) -> bytes:
    return output if isinstance(output, bytes) else b"".join(output)


# ---------------------------------------------------------------------- bounds


def bomb(size: int) -> bytes:
    return deflated(bytes(size))


@pytest.mark.parametrize("size", [9_999, 10_000])
def test_a_message_up_to_the_limit(size: int) -> None:
    data = bytes(size)
    assert agreed(frame(BINARY | RSV1, deflated(data)), compressed=True, max_size=10_000) == Story(
        [data]
    )
    assert agreed(frame(BINARY, data), max_size=10_000) == Story([data])
    assert agreed(fragments(BINARY, *pieces_of(data, 999)), max_size=10_000) == Story([data])


def test_a_message_beyond_the_limit() -> None:
    assert agreed(frame(BINARY, bytes(10_001)), max_size=10_000).told == 1009
    pieces = pieces_of(bytes(10_001), 999)
    assert agreed(fragments(BINARY, *pieces), max_size=10_000).told == 1009
    story = agreed(frame(BINARY | RSV1, bomb(10_001)), compressed=True, max_size=10_000)
    assert story.told == 1009
    pieces = pieces_of(bomb(10_001), 5)
    story = agreed(fragments(BINARY | RSV1, *pieces), compressed=True, max_size=10_000)
    assert (story.told, story.messages) == (1009, [])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [10_001, 1 << 20, 1 << 40, (1 << 63) - 1])
def test_the_head_of_a_frame_is_enough_to_refuse_it(engine: str, size: int) -> None:
    head = b"\x82\xff" + size.to_bytes(8, "big") + b"mask"
    if size < 1 << 16:
        head = b"\x82\xfe" + size.to_bytes(2, "big") + b"mask"
    assert play(session(engine, max_size=10_000), [head]).told == 1009


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("whole", [True, False])
def test_a_bomb_is_not_expanded(engine: str, whole: bool) -> None:
    payload = bomb(50 << 20)  # 50 MiB in 50 KiB
    data = frame(BINARY | RSV1, payload)
    pieces = [data] if whole else pieces_of(data, 16384)
    on = session(engine, compression(), max_size=1 << 20)
    tracemalloc.start()
    try:
        story = play(on, pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert story.told == 1009
    assert peak < 8 << 20


def test_many_large_messages_of_one_read_are_made_one_by_one() -> None:
    data = frame(BINARY | RSV1, bomb(100_000)) * 50
    for engine in ENGINES:
        on = session(engine, compression(keep=False))
        messages = on.receive(data)
        assert (len(messages), on.held) == (1, True)
        while on.held:
            more = on.receive(b"")
            assert len(more) <= 1
            messages += more
        assert messages == [bytes(100_000)] * 50


@pytest.mark.parametrize("engine", ENGINES)
def test_endless_fragments(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bare_serve.websocket.session.MAX_FRAGMENTS", 100)
    good = fragments(TEXT, *[b""] * 100)
    assert play(session(engine), [good]) == Story([""])
    assert play(session(engine), [fragments(TEXT, *[b""] * 101)]).told == 1008


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_frame_that_comes_byte_by_byte_is_no_heap_of_objects(engine: str, kind: int) -> None:
    on = session(engine)
    data = frame(kind, "\u20ac".encode() * 2000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for byte in data[:-1]:
            on.receive(bytes((byte,)))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000, "a list of pieces would be 170 kB"
    (message,) = on.receive(data[-1:])
    assert message == ("\u20ac" * 2000 if kind == TEXT else ("\u20ac" * 2000).encode())


def test_an_idle_session_is_small() -> None:
    def used() -> Session:
        on = session(deflate=compression())
        play(on, [frame(PING, b"x"), frame(TEXT, b"hi"), fragments(TEXT, b"a", b"b")])
        return on

    used()  # what the first one leaves behind in caches is not its own
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        sessions = [used() for _ in range(100)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A window of the smallest kind would be 4 KiB more; objects differ between Pythons.
    assert (after - before) / len(sessions) < 3000


@pytest.mark.parametrize("behind", [b"\x01", b"\x00\x00", b"\x00\x01", b"\x01\x00", b"\xff"])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_7_2_3_4_a_wrong_byte_behind_a_final_block(behind: bytes, step: int) -> None:
    payload = deflated(b"Hello", final=True)[:-1] + behind
    for engine in ENGINES:
        data = frame(TEXT | RSV1, payload)
        story = play(session(engine, compression()), pieces_of(data, step))
        assert (story.messages, story.told) == ([], 1007), engine


def test_7_2_1_what_the_tail_itself_completes_counts_as_well() -> None:
    """A Huffman code whose last bits, all 0, are the first ones of the tail that was cut off."""
    # RFC 1951, 3.2.6: a block of fixed codes that is not the last; "x", 258 times the same again,
    # four bytes of nine bits, and the first half of the code of 0x00.
    codes = [f"{0x30 + ord('x'):08b}", "11000101", "00000"]
    codes += ["110010000"] * 4 + ["0011"]
    bits = "010" + "".join(codes)
    assert len(bits) == 64
    payload = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, 64, 8))
    inflated = b"x" * 259 + b"\x90" * 4 + b"\x00"
    data = frame(BINARY | RSV1, payload)
    assert agreed(data, compressed=True, max_size=len(inflated)) == Story([inflated])
    story = agreed(data, compressed=True, max_size=len(inflated) - 1)
    assert (story.messages, story.told) == ([], 1009)


def offered(offer: bytes) -> Deflate:
    """The compression that is agreed on."""
    agreed_on = negotiate([b"permessage-deflate" + offer])
    assert agreed_on is not None
    return agreed_on[0]


# In two messages, since zlib looks no further than its window only in what came before.
NOISE = random.Random(1).randbytes(30_000)
AGAIN = NOISE[:300]


def test_7_1_2_a_client_that_says_nothing_has_its_whole_window() -> None:
    client = zlib.compressobj(9, zlib.DEFLATED, -15)
    server = offered(b"")
    for message in (NOISE, AGAIN):
        payload = (client.compress(message) + client.flush(zlib.Z_SYNC_FLUSH))[:-4]
        assert server.inflate(payload, 1 << 20) == message
    assert len(payload) < 50, "it refers back that far"


def test_7_1_2_ours_is_no_larger_than_was_said() -> None:
    server = offered(b"")
    client = zlib.decompressobj(-12)
    for message in (NOISE[:8000], AGAIN):
        payload = server.deflate(message)
        assert client.decompress(payload + b"\x00\x00\xff\xff") == message


@pytest.mark.parametrize("offer", [b"", b"; server_no_context_takeover"])
def test_7_1_1_1_each_message_by_itself_if_that_was_asked(offer: bytes) -> None:
    server = offered(offer)
    first, again = server.deflate(AGAIN), server.deflate(AGAIN)
    assert (len(again) < 50) is not bool(offer), "it refers to the first one"
    if offer:
        assert first == again
        for payload in (first, again):
            client = zlib.decompressobj(-12)
            assert client.decompress(payload + b"\x00\x00\xff\xff") == AGAIN


@pytest.mark.parametrize("offer", [b"", b"; client_no_context_takeover"])
def test_7_1_1_2_what_a_client_refers_to(offer: bytes) -> None:
    client = zlib.compressobj(9, zlib.DEFLATED, -15)
    server = offered(offer)
    first, again = (
        (client.compress(AGAIN) + client.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)
    )
    assert server.inflate(first, 1000) == AGAIN
    if offer:  # it has broken its word, and nothing is there to refer to
        with pytest.raises(zlib.error):
            server.inflate(again, 1000)
    else:
        assert server.inflate(again, 1000) == AGAIN


def test_a_server_offers_nothing() -> None:
    assert compression().offer() is False
