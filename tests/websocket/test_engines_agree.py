"""The short cut and wsproto are one protocol: random frames in random pieces, the same story."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.websocket.harness import Story, close, compression, deflated, frame, play, session

payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 700, b"\xe2\x82", bytes(300)]),
)
keys = st.one_of(st.binary(min_size=4, max_size=4), st.just(b"mask"))
good_frames = st.builds(frame, st.sampled_from([0x81, 0x82, 0x89, 0x8A]), payloads, key=keys)
compressed = st.builds(
    lambda kind, data: frame(kind | 0x40, deflated(data)), st.sampled_from([0x81, 0x82]), payloads
)
any_frames = st.builds(frame, st.integers(0, 255), payloads, key=keys)
closes = st.builds(close, st.integers(990, 5010), st.sampled_from([b"", b"bye", b"\xff"]))
noise = st.binary(max_size=12)

streams = st.lists(
    st.one_of(good_frames, good_frames, compressed, any_frames, closes, noise), max_size=8
).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(ends)]


def told(data: bytes, pieces: list[bytes], engine: str, *, compress: bool) -> Story:
    assert b"".join(pieces) == data
    return play(session(engine, compression() if compress else None, max_size=600), pieces)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams, st.lists(st.integers(0, 4000), max_size=6), st.booleans())
def test_the_engines_agree(data: bytes, places: list[int], compress: bool) -> None:
    stories = [
        told(data, pieces, engine, compress=compress)
        for engine in ("auto", "wsproto")
        for pieces in ([data], cut(data, places))
    ]
    first = stories[0]
    assert all(story == first for story in stories), stories
