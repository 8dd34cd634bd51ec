"""Two parsers, one behaviour; and one behaviour for every segmentation.

Hypothesis makes requests from parts that matter (good, odd and hostile), joins some to pipelines,
damages some bytes, and cuts the whole anywhere. Whatever it finds, both parsers and all ways to cut
must tell the same story: the same events with adjacent pieces of body joined, or the same refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bare_serve.errors import RequestError
from bare_serve.http import Limits
from bare_serve.http1 import select_parser
from bare_serve.http1.scanner import HeadScanner
from tests.http1.harness import PARSERS, bytewise, parse_answers, play

# Small limits, so that inputs of a reasonable size meet them.
TIGHT = Limits(request_line=60, headers=6, header_size=160, body=40, chunk_extensions=12, drain=20)
LIMITS = st.sampled_from([TIGHT, Limits()])

BYTES = st.sampled_from([bytes([c]) for c in b'\x00\t\n\r "(),/0:;=?A[\x7f\x80\xa0\xff'])
TOKEN = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"get", b"M-X", b"G(T"])
TARGET = st.sampled_from(
    [b"/", b"/a?b", b"*", b"http://x/", b"http://x", b"http://x/?q", b"x:1", b"a", b"/#", b"/\xff",
     b"http://y/", b"http://", b"/" + b"a" * 40, b"/" + b"a" * 60]
)  # fmt: skip
VERSION = st.sampled_from(
    [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/1", b"http/1.1", b""]
)
SPACE = st.sampled_from([b" "] * 12 + [b"  ", b"\t", b""])
END = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b""])
NAME = st.sampled_from(
    [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect",
     b"Content-Type", b"Cookie", b"X-A", b"x_b", b"X ", b"", b" X", b"X\x00", b"X(", b"\xe9"]
)  # fmt: skip
VALUE = st.sampled_from(
    [b"x", b"y", b"x:80", b"", b"0", b"3", b"5", b"05", b"+5", b"5, 5", b"41", b"9" * 30,
     b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"chunked, chunked", b"\x0bchunked",
     b"close", b"keep-alive", b"upgrade", b"h2c", b"100-continue", b"a\tb", b"a\x00b", b"a\rb",
     b"a\r\n b", b"v" * 80, b"v" * 200]
)  # fmt: skip
COLON = st.sampled_from([b": "] * 8 + [b":", b" : ", b":\t", b" "])


@st.composite
def heads(draw: Callable[..., bytes]) -> bytes:
    """A request line and fields, mostly good ones."""
    line = [draw(TOKEN), draw(SPACE), draw(TARGET), draw(SPACE), draw(VERSION), draw(END)]
    fields = [
        part
        for _ in range(draw(st.integers(0, 5)))
        for part in (draw(NAME), draw(COLON), draw(VALUE), draw(END))
    ]
    host = draw(st.sampled_from([b"Host: x\r\n"] * 5 + [b""]))
    return b"".join([*line, host, *fields, draw(END)])


GOOD_HEADS = st.sampled_from(
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
     b"GET /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     b"HEAD / HTTP/1.1\r\nHost: x\r\nX-A:  b \t\r\nEmpty:\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
     b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
)  # fmt: skip

CHUNK = st.sampled_from(
    [b"3\r\nabc\r\n", b"1\r\nx\r\n", b"0\r\n\r\n", b"0\r\n\r\n",
     b"a;x=y\r\n0123456789\r\n", b"3\r\nabcd", b'1;x="\\""\r\nx\r\n', b'0;x="\r\n\r\n',
     b"1\r\na\r\n01\r\nb\r\nA\r\n0123456789\r\n2\r\n\r\n\r\n",
     b"0\r\nA: b\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"g\r\n", b"5 \r\n", b"+1\r\nx\r\n", b"\r\n",
     b"ffffffffffffffff\r\n", b"1" * 17 + b"\r\n", b"3\nabc\r\n", b"1;" + b"e" * 20 + b"\r\nx\r\n",
     b"0\r\n" + b"T: u\r\n" * 4 + b"\r\n", b"0\r\nT: " + b"u" * 180 + b"\r\n\r\n", b"0\r\n\n"]
)  # fmt: skip
FILLING = st.sampled_from([b"abc", b"", b"\r\n", b"\r\n" * 9, b"12345", b"\x00", b"x" * 41])
PARTS = st.one_of(heads(), GOOD_HEADS, GOOD_HEADS, CHUNK, CHUNK, FILLING)


@st.composite
def streams(draw: Callable[..., bytes]) -> bytes:
    """Some requests in a row, now and then damaged."""
    raw = b"".join(draw(st.lists(PARTS, min_size=1, max_size=6)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(raw)))
        what = draw(st.integers(0, 2))
        if what == 0:
            raw = raw[:at] + draw(BYTES) + raw[at + 1 :]
        elif what == 1:
            raw = raw[:at] + draw(BYTES) + raw[at:]
        else:
            raw = raw[:at] + raw[at + 1 :]
    return raw


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """`raw` in pieces."""
    edges = [0, *sorted({place % (len(raw) + 1) for place in places}), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges) if a < b]


CUTS = st.lists(st.integers(0, 10_000), max_size=6)

many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def same_story(raw: bytes, places: list[int], limits: Limits, eof: bool) -> None:
    """Both parsers, whole, byte by byte and cut at `places`."""
    story = play([raw], limits=limits, eof=eof)
    for parser in PARSERS:
        for pieces in ([raw], bytewise(raw), cut(raw, places)):
            assert play(pieces, parser=parser, limits=limits, eof=eof) == story
    answered = [exchange.method for exchange in story.exchanges]
    if raw.rpartition(b"\r\n\r\n")[2].startswith(b"HEAD ") or b"HEAD " in raw:
        return  # whether the refused one was a HEAD is told by test_rfc9110.py
    parse_answers(story.wire, answered, eof=True)


@many
@given(streams(), CUTS, LIMITS, st.booleans())
@example(b"GET / HTTP/1.1\r\nHost: x\r\nA: \r" + b"b" * 200, [40], TIGHT, False)
@example(b"\r\n" * 9, [3, 7], TIGHT, False)
@example(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG\r\r", [], TIGHT, True)
def test_structured_bytes(raw: bytes, places: list[int], limits: Limits, eof: bool) -> None:
    same_story(raw, places, limits, eof)


@many
@given(st.binary(max_size=60), CUTS, st.booleans())
def test_any_bytes(raw: bytes, places: list[int], eof: bool) -> None:
    same_story(raw, places, TIGHT, eof)


@many
@given(st.binary(max_size=80), CUTS, st.booleans())
def test_any_bytes_as_a_chunked_body(raw: bytes, places: list[int], eof: bool) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    same_story(head + raw, places, TIGHT, eof)


@many
@given(heads())
def test_the_fast_way_equals_the_law(block: bytes) -> None:
    """What a parser says of a complete head is what the scanner says, line by line."""
    end = block.find(b"\r\n\r\n")
    if end < 0:
        return
    block = block[: end + 4]
    limits = Limits()
    try:
        law = HeadScanner(limits).tokens(block)
    except RequestError:
        law = None
    for parser in PARSERS:
        tokens = select_parser(parser).make().parse(block)
        assert tokens == law if parser == "python" else tokens in (law, None)
