"""How the tests of the session drive it: a client's frames in any pieces in, what came of them out.

`agreed` runs each case whole, byte by byte and in odd pieces, on each engine, and all runs must
tell the same story. `frames_of` reads what a server wrote with a strict reader of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from bare_serve.websocket import WebSocketOptions
from bare_serve.websocket.deflate import Deflate
from bare_serve.websocket.session import CLOSED, Session

ENGINES = ("auto", "wsproto")
MASK = b"\x37\xfa\x21\x3d"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A
FIN, RSV1 = 0x80, 0x40

Data = str | bytes


def masked(data: bytes, key: bytes = MASK) -> bytes:
    """Byte by byte, as RFC 6455, 5.3 has it."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def frame(first: int, payload: bytes = b"", *, key: bytes | None = MASK) -> bytes:
    """A frame as a client sends it; without a key it is not masked."""
    mask_bit = 0x80 if key is not None else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, mask_bit | size))
    elif size < 1 << 16:
        head = bytes((first, mask_bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")
    return head + (key + masked(payload, key) if key is not None else payload)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def fragments(kind: int, *pieces: bytes) -> bytes:
    """One message in as many frames as there are pieces."""
    last = len(pieces) - 1
    return b"".join(
        frame((kind & 0x4F if i == 0 else 0) | (FIN if i == last else 0), piece)
        for i, piece in enumerate(pieces)
    )


def deflated(data: bytes, *, final: bool = False) -> bytes:
    """The payload of a compressed message, by zlib itself (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    if final:  # 7.2.3.4
        return compressor.compress(data) + compressor.flush(zlib.Z_FINISH) + b"\x00"
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frames_of(output: bytes) -> list[tuple[int, bytes]]:
    """First byte and payload of each frame that a server wrote (RFC 6455, 5.2)."""
    found = []
    while output:
        first, size = output[0], output[1]
        assert size < 128, "a server does not mask"
        start = 2
        if size == 126:
            size, start = int.from_bytes(output[2:4], "big"), 4
            assert size > 125
        elif size == 127:
            size, start = int.from_bytes(output[2:10], "big"), 10
            assert size > 0xFFFF
        assert len(output) >= start + size, "cut"
        found.append((first, output[start : start + size]))
        output = output[start + size :]
    return found


@dataclass
class Story:
    """What a session made of its client's bytes."""

    messages: list[Data] = field(default_factory=list)
    replies: list[tuple[int, bytes]] = field(default_factory=list)
    closed: bool = False
    failed: bool = False
    code: int = 0
    reason: str = ""

    @property
    def told(self) -> int | None:
        """The code of the close frame that was sent."""
        codes = [payload for first, payload in self.replies if first == CLOSE]
        assert len(codes) <= 1, "closed twice"
        return int.from_bytes(codes[0][:2], "big") if codes else None


def session(engine: str = "auto", deflate: Deflate | None = None, **options: int) -> Session:
    return Session(WebSocketOptions(engine=engine, **options), deflate)


def play(on: Session, pieces: Iterator[bytes] | list[bytes]) -> Story:
    """Give `on` the pieces, take what is held as an application would, and tell the story."""
    story = Story()
    written = b""
    for piece in pieces:
        story.messages += on.receive(piece)
        while on.held:
            story.messages += on.receive(b"")
        written += b"".join(on.replies)
        on.replies.clear()
    story.replies = frames_of(written)
    story.closed = on.state == CLOSED
    story.failed = on.failed
    if story.closed:
        story.code = on.close_code
        story.reason = "" if on.failed else on.close_reason
    return story


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def compression(*, keep: bool = True) -> Deflate:
    return Deflate(15, 15, keep_ours=keep, keep_theirs=keep)


def agreed(data: bytes, *, compressed: bool = False, **options: int) -> Story:
    """The story that all ways of running it tell."""
    stories = {}
    for engine in ENGINES:
        for size in (len(data) or 1, 1, 7):
            deflate = compression() if compressed else None
            told = play(session(engine, deflate, **options), pieces_of(data, size))
            stories[engine, size] = told
    (first, *_) = stories.values()
    assert all(story == first for story in stories.values()), stories
    return first
