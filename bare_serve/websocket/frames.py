"""Frames as a server sends them (RFC 6455, 5.2): unmasked, never in fragments.

What lives here: values in, bytes out, and the numbers of the wire. What must not: states.
"""

from __future__ import annotations

from typing import Final

# The first byte: FIN, RSV1 to RSV3, opcode. RSV1 is permessage-deflate's (RFC 7692, 6).
TEXT: Final = 0x81
BINARY: Final = 0x82
COMPRESSED: Final = 0x40
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
WHOLE_MESSAGES: Final = frozenset((TEXT, BINARY, TEXT | COMPRESSED, BINARY | COMPRESSED))

_LONGEST_CONTROL: Final = 125

# RFC 6455, 7.4.1 and the registry: 1004 is reserved, 1005, 1006 and 1015 are never sent.
_UNSENT: Final = frozenset((1004, 1005, 1006, 1015))

_HEADS: Final = {
    first: tuple(bytes((first, length)) for length in range(_LONGEST_CONTROL + 1))
    for first in sorted(WHOLE_MESSAGES)
}


def frame_head(first: int, length: int) -> bytes:
    """Return the head of a message of `length` bytes in one frame."""
    if length <= _LONGEST_CONTROL:
        return _HEADS[first][length]
    if length < 1 << 16:
        return b"%c\x7e%b" % (first, length.to_bytes(2, "big"))
    return b"%c\x7f%b" % (first, length.to_bytes(8, "big"))


def control_frame(first: int, payload: bytes) -> bytes:
    """Return a ping, pong or close frame; its payload is at most 125 bytes (RFC 6455, 5.5)."""
    return bytes((first, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """RFC 6455, 5.5.1; 1005 stands for none. A reason that is too long is cut, not refused."""
    if code == 1005:
        return control_frame(CLOSE, b"")
    text = reason.encode("utf-8", "replace")[: _LONGEST_CONTROL - 2]
    whole = text.decode("utf-8", "ignore").encode("utf-8")  # no half a character at the cut
    return control_frame(CLOSE, code.to_bytes(2, "big") + whole)


def may_be_sent(code: int) -> bool:
    """Return whether a close frame may carry `code` (RFC 6455, 7.4)."""
    return (1000 <= code <= 1014 and code not in _UNSENT) or 3000 <= code <= 4999
