"""permessage-deflate (RFC 7692): the negotiation, and both directions with bounded memory.

What lives here: which offer is taken, inflating up to a bound, deflating. It is an extension
of wsproto's, so that wsproto reads compressed frames through it; wsproto's own would inflate
whatever comes, however much that is. What must not: frames, messages, sockets.

Windows are 4 KiB where the client lets us choose: a connection that compresses costs 32 KiB to
send and 11 KiB to receive, instead of 256 and 40, and small messages hardly notice.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

from bare_serve.errors import RequestError
from bare_serve.http.grammar import TCHAR

NAME: Final = b"permessage-deflate"
_BITS: Final = 12
_MEMORY_LEVEL: Final = 5
_TAIL: Final = b"\x00\x00\xff\xff"  # RFC 7692, 7.2.1: cut by the sender
_FINAL_TAILS: Final = (_TAIL, b"\x00" + _TAIL)

# RFC 6455, 9.1: extension = token *(";" param); param = token ["=" (token | quoted-string)], where
# the quoted string holds a token. Each piece ends with what separates it from the next one.
_T = rb"[" + TCHAR + rb"]+"
_PIECE = re.compile(rb'[ \t]*(%b)(?:[ \t]*=[ \t]*(?:(%b)|"(%b)"))?[ \t]*([;,]|\Z)' % (_T, _T, _T))
_EMPTY = re.compile(rb"[ \t]*(?:,|\Z)")
_WINDOW = re.compile(rb"[89]|1[0-5]")

Offer = tuple[bytes, list[tuple[bytes, bytes | None]]]


class TooLarge(Exception):
    """A message inflates to more than it may."""


def negotiate(lines: list[bytes]) -> tuple[Deflate, bytes] | None:
    """Return the first offer that can be met (RFC 7692, 5.1), and the answer to it.

    Raises:
        RequestError: 400, the header is malformed.
    """
    for name, parameters in _offers(b",".join(lines)):
        if name.lower() == NAME:
            if (accepted := _accept(parameters)) is not None:
                return accepted
    return None


def _offers(value: bytes) -> Iterator[Offer]:
    position = 0
    offer: Offer | None = None
    while position < len(value):
        if offer is None and (empty := _EMPTY.match(value, position)):
            position = empty.end()
            continue
        piece = _PIECE.match(value, position)
        if piece is None or (piece[4] == b";" and piece.end() == len(value)):
            raise RequestError(400, "The Sec-WebSocket-Extensions header is malformed.")
        word, plain, quoted, separator = piece.groups()
        argument = quoted if plain is None else plain
        if offer is None:
            if argument is not None:
                raise RequestError(400, "The Sec-WebSocket-Extensions header is malformed.")
            offer = (word, [])
        else:
            offer[1].append((word.lower(), argument))
        if separator != b";":
            yield offer
            offer = None
        position = piece.end()


def _accept(parameters: list[tuple[bytes, bytes | None]]) -> tuple[Deflate, bytes] | None:
    """RFC 7692, 7.1; None declines: a parameter is unknown, repeated, or cannot be met."""
    asked = dict(parameters)
    if len(asked) != len(parameters):
        return None
    answer = [NAME]
    ours = theirs = 15
    for name, argument in parameters:
        if name in (b"server_no_context_takeover", b"client_no_context_takeover"):
            if argument is not None:
                return None
            answer.append(name)
        elif name == b"server_max_window_bits":
            # zlib cannot deflate with a window of 256 bytes (8 bits).
            if argument is None or _WINDOW.fullmatch(argument) is None or argument == b"8":
                return None
            ours = int(argument)
        elif name == b"client_max_window_bits":
            if argument is not None and _WINDOW.fullmatch(argument) is None:
                return None
            theirs = min(int(argument or b"15"), _BITS)
            answer.append(b"client_max_window_bits=%d" % theirs)
        else:
            return None
    ours = min(ours, _BITS)
    answer.append(b"server_max_window_bits=%d" % ours)
    deflate = Deflate(
        ours,
        theirs,
        keep_ours=b"server_no_context_takeover" not in asked,
        keep_theirs=b"client_no_context_takeover" not in asked,
    )
    return deflate, b"; ".join(answer)


class Deflate(Extension):
    """The compression of one connection. Nothing is allocated until there is something to do.

    wsproto calls the `frame_inbound_*` methods for each frame it reads; `inflate` and `deflate`
    are for whole messages.
    """

    name = "permessage-deflate"

    def __init__(self, ours: int, theirs: int, *, keep_ours: bool, keep_theirs: bool) -> None:
        self._our_bits = ours
        self._their_bits = max(theirs, 9)  # inflating with more than was agreed on is harmless
        self._keep_ours = keep_ours
        self._keep_theirs = keep_theirs
        self._compressor: zlib._Compress | None = None
        self._decompressor: zlib._Decompress | None = None
        self._compressed: bool | None = None  # the message being received; None: between two
        self._control = False  # the frame being received is a control frame
        self.room = 0
        """Bytes to which the message being received may still inflate."""

    def inflate(self, data: bytes, room: int) -> bytes:
        """Inflate a whole message.

        Raises:
            TooLarge: it would be more than `room` bytes.
            zlib.error: it is damaged.
        """
        self.room = room
        # The tail goes in with the message: one call instead of two.
        message = self._feed(data + _TAIL)
        self._end_of_message()
        return message

    def deflate(self, data: bytes) -> bytes:
        """Return the payload of a whole message (RFC 7692, 7.2.1)."""
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -self._our_bits, _MEMORY_LEVEL
            )
            if self._keep_ours:
                self._compressor = compressor
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def _feed(self, data: bytes) -> bytes:
        inflater = self._decompressor
        if inflater is None:
            inflater = self._decompressor = zlib.decompressobj(-self._their_bits)
        # A maximum of 0 would be none at all, so one byte more is asked for than may come.
        piece = inflater.decompress(data, self.room + 1)
        if len(piece) > self.room:
            raise TooLarge
        self.room -= len(piece)
        if inflater.eof and len(inflater.unused_data) > len(_FINAL_TAILS[1]):
            raise zlib.error("data behind the final block")
        return piece

    def _end_of_message(self) -> None:
        """RFC 7692, 7.2.3.5: a message may end in a final block; then a new stream begins."""
        inflater = self._decompressor
        if inflater is not None and inflater.eof:
            if inflater.unused_data not in _FINAL_TAILS:
                raise zlib.error("data behind the final block")
            self._decompressor = None
        if not self._keep_theirs:
            self._decompressor = None

    # ------------------------------------------------------------------ wsproto's Extension

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool | str:
        return False  # only clients offer

    def frame_inbound_header(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """RFC 7692, 6: the first frame of a message, and no other, says if it is compressed."""
        self._control = opcode.iscontrol()
        if rsv.rsv1 and (self._control or opcode is Opcode.CONTINUATION):
            return CloseReason.PROTOCOL_ERROR
        if self._compressed is None and not self._control:
            self._compressed = rsv.rsv1
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        if self._control or not self._compressed or not data:
            return data
        try:
            return self._feed(data)
        except TooLarge:
            return CloseReason.MESSAGE_TOO_BIG
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | CloseReason | None:
        if self._control or not fin:
            return None
        compressed, self._compressed = self._compressed, None
        if not compressed:
            return None
        try:
            rest = self._feed(_TAIL)
            self._end_of_message()
        except TooLarge:
            return CloseReason.MESSAGE_TOO_BIG
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        return rest
