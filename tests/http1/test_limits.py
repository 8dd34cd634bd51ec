"""Limits: each at its boundary, one beyond it, and with what nobody should send.

A request at the limit is served, one byte or line more is refused with the status of that limit,
whether or not the end of the line, of the head or of the chunk ever comes. Whatever is sent,
a connection holds no more than its limits in memory, and no input takes long to judge.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits, RequestHead
from bare_serve.http1 import END_OF_BODY, MUST_CLOSE, NEED_DATA
from bare_serve.http1.body import FREE_FRAMING, RUN
from bare_serve.http1.grammar import CHUNK_LINE
from tests.http1.harness import PARSERS, Player, Story, agreed, connect, parse_answers, play

REQUEST_LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def upload(length: int) -> bytes:
    """The head of a POST with a Content-Length."""
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length


def status_of(raw: bytes, limits: Limits) -> int:
    """The status `raw` is refused with; 200 if it is served."""
    story = agreed(raw, limits=limits)
    if story.error is None:
        assert story.only.complete
        return 200
    (answer,) = parse_answers(story.wire)
    assert answer.status == story.status
    return story.status


# -------------------------------------------------------------------------------- the boundaries


@pytest.mark.parametrize("limit", [18, 19, 100, 8190])
def test_414_one_byte_beyond_the_request_line(limit: int) -> None:
    limits = Limits(request_line=limit)
    for excess, status in ((0, 200), (1, 414), (2, 414), (100, 414)):
        target = b"/" + b"a" * (limit - len(b"GET / HTTP/1.1") + excess)
        raw = b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"
        assert status_of(raw, limits) == status


def test_414_does_not_wait_for_the_end_of_the_line() -> None:
    limits = Limits(request_line=20)
    assert agreed(b"GET /" + b"a" * 16, limits=limits).end == "waiting"  # the last may be a CR
    assert agreed(b"GET /" + b"a" * 17, limits=limits).status == 414
    assert agreed(b"A" * 22, limits=limits).status == 414


def test_431_one_line_beyond_the_number_of_fields() -> None:
    for limit in (1, 2, 50, 100):
        limits = Limits(headers=limit)
        for excess, status in ((0, 200), (1, 431), (7, 431)):
            lines = b"".join(b"X-%d: y\r\n" % number for number in range(limit - 1 + excess))
            assert status_of(REQUEST_LINE + HOST + lines + b"\r\n", limits) == status


def test_431_for_the_number_does_not_wait_for_the_blank_line() -> None:
    limits = Limits(headers=2)
    assert agreed(REQUEST_LINE + HOST + b"A: b\r\n", limits=limits).end == "waiting"
    assert agreed(REQUEST_LINE + HOST + b"A: b\r\nC: d\r\n", limits=limits).status == 431


@pytest.mark.parametrize("limit", [20, 21, 1000, 9000, pytest.param(65536, marks=pytest.mark.long)])
def test_431_one_byte_beyond_the_size_of_all_fields(limit: int) -> None:
    limits = Limits(header_size=limit)
    for excess, status in ((0, 200), (1, 431), (2, 431), (50, 431)):
        line = b"X: " + b"y" * (limit - len(HOST) - len(b"X: \r\n") + excess) + b"\r\n"
        assert status_of(REQUEST_LINE + HOST + line + b"\r\n", limits) == status


def test_431_for_the_size_does_not_wait_for_the_end_of_the_line() -> None:
    limits = Limits(header_size=20)
    begun = REQUEST_LINE + HOST + b"X: "
    assert agreed(begun + b"y" * (19 - 12), limits=limits).end == "waiting"
    assert agreed(begun + b"y" * (20 - 12), limits=limits).status == 431
    assert agreed(begun + b" " * (20 - 12), limits=limits).status == 431


def test_the_size_of_the_request_line_is_not_counted_as_fields() -> None:
    raw = b"GET /" + b"a" * 500 + b" HTTP/1.1\r\nHost: name\r\n\r\n"
    assert status_of(raw, Limits(header_size=len(b"Host: name\r\n"))) == 200


def test_413_early_by_content_length() -> None:
    limits = Limits(body=10)
    assert status_of(upload(10) + b"1234567890", limits) == 200
    story = agreed(upload(11), limits=limits)  # not a byte of the body was needed
    assert story.status == 413
    assert story.exchanges == []
    assert agreed(upload(10**18), limits=limits).status == 413


def test_413_while_counting_chunks() -> None:
    limits = Limits(body=10)
    assert status_of(CHUNKED + b"a\r\n1234567890\r\n0\r\n\r\n", limits) == 200
    assert status_of(CHUNKED + b"5\r\n12345\r\n" * 2 + b"0\r\n\r\n", limits) == 200
    assert status_of(CHUNKED + b"5\r\n12345\r\n" * 2 + b"1\r\n", limits) == 413
    assert status_of(CHUNKED + b"b\r\n", limits) == 413
    assert status_of(CHUNKED + b"1\r\nx\r\n" * 11, limits) == 413


def test_413_of_a_body_that_is_a_byte_long_where_none_is_allowed() -> None:
    limits = Limits(body=0)
    assert status_of(upload(0), limits) == 200
    assert status_of(upload(1), limits) == 413
    assert status_of(CHUNKED + b"0\r\n\r\n", limits) == 200
    assert status_of(CHUNKED + b"1\r\n", limits) == 413


def test_400_one_byte_beyond_the_chunk_extensions() -> None:
    limits = Limits(chunk_extensions=8)
    rest = b"\r\nx\r\n0\r\n\r\n"
    assert status_of(CHUNKED + b"1;" + b"a" * 7 + rest, limits) == 200
    assert status_of(CHUNKED + b"1;" + b"a" * 8 + rest, limits) == 400
    assert status_of(CHUNKED + b"1 ;" + b"a" * 6 + rest, limits) == 200
    assert status_of(CHUNKED + b"1 ;" + b"a" * 7 + rest, limits) == 400


def test_400_of_endless_chunk_extensions_does_not_wait_for_the_end_of_the_line() -> None:
    limits = Limits(chunk_extensions=8)
    assert agreed(CHUNKED + b"1;" + b"a" * 23, limits=limits).end == "waiting"
    assert agreed(CHUNKED + b"1;" + b"a" * 24, limits=limits).status == 400


def framing(story: Story) -> int:
    """What a body of one-byte chunks without padding has spent where it was refused."""
    return 5 * len(story.exchanges[0].body)


def test_400_of_a_body_that_is_framing_most_of_all() -> None:
    """After 64 KiB: no more than four bytes of framing for a byte of content."""
    story = play([CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"])
    assert story.error == (400, "The chunks are too small.")
    assert FREE_FRAMING - 5 < framing(story) <= FREE_FRAMING
    for pieces in (7, 1000, 65536):
        raw = CHUNKED + b"1\r\nx\r\n" * 20_000
        cut = [raw[i : i + pieces] for i in range(0, len(raw), pieces)]
        assert play(cut).exchanges == story.exchanges, "the same for any segmentation"
        assert play(cut, parser="httptools").error == story.error


@pytest.mark.parametrize(
    ("line", "size", "fits"),
    [
        (b"1", 1, False),
        (b"001", 1, False),
        (b"2", 2, True),
        (b"00000002", 2, False),
        (b"00000003", 3, True),
        (b"0000000000000001", 1, False),
        (b"0000000000000005", 5, True),
        (b"a", 10, True),
        (b"0000000a", 10, True),
        (b"A", 10, True),
    ],
)
def test_400_depends_on_framing_beside_content(line: bytes, size: int, fits: bool) -> None:
    chunk = line + b"\r\n" + b"y" * size + b"\r\n"
    count = 2 * FREE_FRAMING // (len(chunk) - size)
    raw = CHUNKED + chunk * count + b"0\r\n\r\n"
    for pieces in ([raw], [raw[:3001], raw[3001:100_000], raw[100_000:]]):
        story = play(pieces)
        if fits:
            assert story.only.body == b"y" * size * count
        else:
            assert story.status == 400
            assert "too small" in str(story.error)


def test_a_body_of_little_content_may_be_framed_as_it_likes() -> None:
    """Somebody types for hours: keys, one by one, and now and then a line."""
    keys = b"1\r\nx\r\n" * (FREE_FRAMING // 5 - 1)
    assert agreed(CHUNKED + keys[:6000] + b"0\r\n\r\n").only.body == b"x" * 1000
    assert play([CHUNKED + keys + b"0\r\n\r\n"]).error is None
    line = b"8000\r\n" + b"l" * 0x8000 + b"\r\n"
    assert play([CHUNKED + (keys + line + line) * 2 + b"0\r\n\r\n"]).error is None


CHUNKS = {
    "one byte": b"1\r\na\r\n",
    "line ends": b"4\r\n\r\n\r\n\r\n",
    "what looks like chunks": b"e\r\n\r\n2\r\nxx\r\n0\r\n\r\n\r\n",
    "padded": b"0000002\r\nab\r\n",
    "upper case": b"1F\r\n" + b"d" * 31 + b"\r\n",
    "mixed case": b"00aB\r\n" + b"d" * 171 + b"\r\n",
    "large": b"123\r\n" + b"e" * 0x123 + b"\r\n",
    "with an extension": b'3;a="b"\r\nxyz\r\n',
}


def test_runs_of_chunks_read_as_single_ones_do() -> None:
    """Each kind behind each other one, whole and cut at each place."""
    for first in CHUNKS.values():
        for second in CHUNKS.values():
            raw = CHUNKED + first * 2 + second * 2 + first + b"0\r\n\r\n"
            body = agreed(raw).only.body
            for cut in range(len(CHUNKED), len(raw), 1 if len(raw) < 500 else 97):
                assert play([raw[:cut], raw[cut:]]).only.body == body


FAULTS = [
    b"x", b"\r\n", b"1\r", b"\r1\r\n", b"\n1\r\n", b"\r\n1\n", b"\r\n\r\n", b"\r\n1;\r\n",
    b"\r\n-1\r\n", b"\r\n0x1\r\n", b"\r\n1_0\r\n", b"\r\n 1\r\n", b"\r\n1 \r\n",
    b"\r\n" + b"0" * 16 + b"1\r\n",
]  # fmt: skip


@pytest.mark.parametrize("behind", FAULTS)
def test_a_run_ends_before_what_is_malformed(behind: bytes) -> None:
    raw = CHUNKED + b"1\r\na\r\n" * 9 + b"1\r\na" + behind + b"y\r\n" * 9
    story = agreed(raw)
    assert story.status == 400
    assert story.exchanges[0].body[:10] == b"a" * 10


def test_413_in_a_run_of_chunks() -> None:
    for limit in (10, 11, 12):
        story = agreed(CHUNKED + b"1\r\nx\r\n" * 20, limits=Limits(body=limit))
        assert story.status == 413
        assert story.exchanges[0].body == b"x" * limit


def test_many_small_chunks_are_handed_over_in_parts() -> None:
    """Whoever serves others as well is told that there is more at hand."""
    connection = connect()
    connection.receive_data(CHUNKED + b"2\r\nxy\r\n" * 10_000 + b"0\r\n\r\n")
    assert isinstance(connection.next_event(), RequestHead)
    sizes, more = [], []
    while isinstance(piece := connection.next_event(), bytes):
        sizes.append(len(piece))
        more.append(connection.goes_on)
    assert piece is END_OF_BODY
    assert sum(sizes) == 20_000
    assert max(sizes) <= 2 * (RUN + 1)
    assert more == [True] * (len(sizes) - 1) + [False]


def test_431_one_line_beyond_the_number_of_trailers() -> None:
    limits = Limits(headers=2)
    assert status_of(CHUNKED + b"0\r\n" + b"A: b\r\n" * 2 + b"\r\n", limits) == 200
    assert status_of(CHUNKED + b"0\r\n" + b"A: b\r\n" * 3, limits) == 431


def test_431_one_byte_beyond_the_size_of_the_trailers() -> None:
    limits = Limits(header_size=60)
    for excess, status in ((0, 200), (1, 431), (30, 431)):
        line = b"A: b\r\nX: " + b"y" * (60 - 11 + excess) + b"\r\n"
        assert status_of(CHUNKED + b"0\r\n" + line + b"\r\n", limits) == status
    assert agreed(CHUNKED + b"0\r\nX: " + b"y" * 56, limits=limits).end == "waiting"
    assert agreed(CHUNKED + b"0\r\nX: " + b"y" * 57, limits=limits).status == 431


def test_the_limits_hold_for_each_request_anew() -> None:
    limits = Limits(headers=2, body=5, chunk_extensions=4)
    raw = upload(5) + b"12345" + CHUNKED + b"5;aa\r\n12345\r\n0\r\nA: b\r\n\r\n"
    story = agreed(raw * 4, limits=limits)
    assert story.error is None
    assert len(story.exchanges) == 8


# ------------------------------------------------------------------------------- bounded memory

PIECE = 1 << 16
PIECES = 160  # 10 MiB; `long` below sends more through a real server
GROWTH = 2 << 20


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    """`head`, and then `piece` again and again."""
    yield head
    for _ in range(PIECES):
        yield piece


LETTERS = b"a" * PIECE
FLOODS = {
    "method": (b"", LETTERS),
    "target": (b"GET /", LETTERS),
    "header name": (REQUEST_LINE, LETTERS),
    "header value": (REQUEST_LINE + b"X: ", LETTERS),
    "white space": (REQUEST_LINE + b"X:", b" " * PIECE),
    "header lines": (REQUEST_LINE, b"X: y\r\n" * (PIECE // 6)),
    "empty lines": (b"", b"\r\n" * (PIECE // 2)),
    "chunk size": (CHUNKED, b"0" * PIECE),
    "chunk extension": (CHUNKED + b"5;", LETTERS),
    "chunk extensions": (CHUNKED, b"1;aaaaaaaaaa\r\nx\r\n" * (PIECE // 18)),
    "trailer name": (CHUNKED + b"0\r\n", LETTERS),
    "trailer value": (CHUNKED + b"0\r\nX: ", LETTERS),
    "trailer lines": (CHUNKED + b"0\r\n", b"X: y\r\n" * (PIECE // 6)),
}
BODIES = {
    "body by length": (upload(PIECE * PIECES * 2), LETTERS),
    "body in chunks": (CHUNKED, b"%x\r\n%s\r\n" % (PIECE - 8, b"a" * (PIECE - 8))),
    "body in small chunks": (CHUNKED, b"80\r\n%s\r\n" % (b"a" * 128) * (PIECE // 512)),
}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("flood", FLOODS)
def test_an_endless_flood_is_refused_and_kept_nowhere(flood: str, parser: str) -> None:
    player = Player(connect(parser))
    tracemalloc.start()
    try:
        for piece in endless(*FLOODS[flood]):
            if player.story.end != "open":
                break
            player.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert player.story.error is not None
    assert player.story.error[0] in (400, 414, 431)
    assert player.connection.buffered == 0
    assert peak < GROWTH


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("body", BODIES)
def test_an_endless_body_passes_through_without_being_kept(body: str, parser: str) -> None:
    """Read or drained unread: the core hands it on or drops it."""
    for wanted in (True, False):
        connection = connect(parser)
        tracemalloc.start()
        try:
            for piece in endless(*BODIES[body]):
                connection.receive_data(piece)
                if not wanted and not connection.requests:
                    assert isinstance(connection.next_event(), RequestHead)
                    connection.start_response(200, [])
                    connection.send_body(b"", False)
                    assert connection.keep_alive is ("by length" not in body)
                while (event := connection.next_event()) not in (NEED_DATA, MUST_CLOSE):
                    pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert event is (NEED_DATA if wanted else MUST_CLOSE)
        assert peak < GROWTH


@pytest.mark.parametrize("parser", PARSERS)
def test_no_request_is_made_of_pipelined_bytes_before_its_turn(parser: str) -> None:
    """The skin stops reading by `buffered`; the core never queues requests."""
    connection = connect(parser)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
    assert isinstance(connection.next_event(), RequestHead)
    for _ in range(3):
        connection.next_event()
        assert connection.requests == 1
        assert connection.buffered == 999 * 27


# --------------------------------------------------------------------------------- bounded time


def seconds(parser: str, pieces: list[bytes]) -> float:
    """CPU time to take `pieces`, until refused at the latest."""
    player = Player(connect(parser, Limits(headers=10**6, header_size=10**6, request_line=10**6)))
    start = time.process_time()
    for piece in pieces:
        if player.story.end == "open":
            player.feed(piece)
    return time.process_time() - start


SIZE = 60_000
SLOW = {
    "white space before a bad value": [REQUEST_LINE + b"X:" + b" " * SIZE + b"\x01\r\n\r\n"],
    "tabs and spaces": [REQUEST_LINE + b"X:" + b" \t" * (SIZE // 2) + b"\x01\r\n\r\n"],
    "white space behind a value": [REQUEST_LINE + HOST + b"X: y" + b" " * SIZE + b"\r\n\r\n"],
    "no colon": [REQUEST_LINE + b"a" * SIZE + b"\r\n\r\n"],
    "a host of percent signs": [REQUEST_LINE + b"Host: " + b"%41" * (SIZE // 3) + b"%\r\n\r\n"],
    "a host of dots": [REQUEST_LINE + b"Host: " + b"a." * (SIZE // 2) + b"@\r\n\r\n"],
    "a target": [b"GET /" + b"a?" * (SIZE // 2) + b"\x80 HTTP/1.1\r\n\r\n"],
    "an absolute target": [
        b"GET http://x" + b"/?" * (SIZE // 2) + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    ],
    "a list of options": [
        REQUEST_LINE + HOST + b"Connection: " + b"a ," * (SIZE // 3) + b"\r\n\r\n"
    ],
    "a list of codings": [
        REQUEST_LINE + HOST + b"Transfer-Encoding: " + b"a ," * (SIZE // 3) + b"\r\n\r\n"
    ],
    "digits": [REQUEST_LINE + HOST + b"Content-Length: " + b"9" * SIZE + b"\r\n\r\n"],
    "equal names": [REQUEST_LINE + HOST + b"Cookie: a\r\n" * (SIZE // 11) + b"\r\n"],
    "names of chunk extensions": [CHUNKED + b"5" + b";a" * 2000 + b"/\r\n"],
    "values of chunk extensions": [CHUNKED + b"5" + b";a=b" * 1000 + b"=\r\n"],
    "quoted values": [CHUNKED + b"5" + b';a="b"' * 650 + b'"\r\n'],
    "white space in chunk extensions": [CHUNKED + b"5" + b" ; a  =  b  " * 330 + b"\r\n"],
    "white space before nothing": [CHUNKED + b"5;a" + b" \t" * 2000 + b"=\r\n"],
    "an open quote": [CHUNKED + b'5;a="' + b"b" * 4000 + b"\r\n"],
    "escapes": [CHUNKED + b'5;a="' + b"\\\\" * 2000 + b"\r\n"],
    "escaped quotes": [CHUNKED + b'5;a="' + b'\\"' * 2000 + b"\r\n"],
    "a chunk line": [CHUNKED + b"5" + b" " * 4000 + b"\x01\r\n"],
    "a head byte by byte": [
        bytes([c]) for c in REQUEST_LINE + HOST + b"X: " + b"y" * SIZE + b"\r\n\r\n"
    ],
    "header lines byte by byte": [
        bytes([c]) for c in REQUEST_LINE + HOST + b"X: y\r\n" * (SIZE // 6) + b"\r\n"
    ],
    "trailers byte by byte": [
        bytes([c]) for c in CHUNKED + b"0\r\n" + b"X: y\r\n" * (SIZE // 6) + b"\r\n"
    ],
    "tiny chunks byte by byte": [bytes([c]) for c in CHUNKED + b"1\r\na\r\n" * (SIZE // 6)],
    "a body byte by byte": [upload(SIZE), *(bytes([c]) for c in b"a" * SIZE)],
    "pipelined requests": [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (SIZE // 27)],
}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("slow", SLOW)
def test_nothing_takes_long_to_judge(slow: str, parser: str) -> None:
    """60 kB of anything, a byte at a time if need be: linear, so a second on a quiet machine."""
    assert seconds(parser, SLOW[slow]) < 4.0


@pytest.mark.parametrize(
    "part", [b";a", b";a=b", b';a="b"', b" \t; \t a", b'"', b"\\", b'\\"', b" ", b"="]
)
@pytest.mark.parametrize("start", [b"5", b"5;a", b'5;a="', b"5;a="])
def test_the_grammar_of_chunk_extensions_is_linear(start: bytes, part: bytes) -> None:
    """A million bytes, far more than any limit lets through; quadratic would take hours."""
    line = start + part * (1_000_000 // len(part)) + b"\x00"
    began = time.process_time()
    assert CHUNK_LINE.fullmatch(line) is None
    assert time.process_time() - began < 1.0


def test_a_refused_connection_forgets_what_it_held() -> None:
    connection = connect()
    connection.receive_data(b"BAD" + b"x" * 10**6)
    with pytest.raises(RequestError):
        connection.next_event()
    assert connection.buffered == 0
