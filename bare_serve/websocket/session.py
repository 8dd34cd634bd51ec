"""An open WebSocket (RFC 6455, 5 to 7), without I/O: bytes in, messages out, and the other way.

What lives here: messages, control frames, the closing handshake, and the bounds on all of them.
What must not: sockets, time, the application.

`receive` reads whole frames that are whole messages, pings or pongs by itself; all else (fragments,
a frame that is still coming in) goes through wsproto, as it comes: nothing is kept but the message
so far. wsproto lives only as long as it is in the middle of something, so an idle connection is
small. What is to be written without a call of the application, pongs and close frames, is in
`replies`; `news` says that something else than messages has happened.

A call takes no more than HIGH_WATER, where each frame counts for what it costs: six bytes on the
wire may cost 13 us. The rest is `held`.
"""

from __future__ import annotations

import zlib
from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from bare_serve.websocket.deflate import Deflate, TooLarge
from bare_serve.websocket.frames import (
    BINARY,
    COMPRESSED,
    PING,
    PONG,
    TEXT,
    WHOLE_MESSAGES,
    close_frame,
    control_frame,
    frame_head,
)
from bare_serve.websocket.masking import unmask
from bare_serve.websocket.options import (
    COMPRESS_FROM,
    FEW_FRAGMENTS,
    HIGH_WATER,
    LEAST_FRAGMENT,
    MAX_CONTROLS,
    MAX_FRAGMENTS,
    WebSocketOptions,
)

OPEN: Final = 0
CLOSING: Final = 1
"""We have sent a close frame, and wait for the client's."""
CLOSED: Final = 2

# Data from here on is written beside its frame's head instead of being copied into one piece.
LARGE: Final = 1 << 16

_NONE: Final[frozenset[int]] = frozenset()
_PING_PONG: Final = frozenset((PING, PONG))
_UNCOMPRESSED: Final = frozenset((TEXT, BINARY))
_CLOSE_REASONS: Final = {
    1002: "The WebSocket protocol was broken.",
    1007: "The data is not what it says it is.",
    1008: "There are too many fragments or control frames.",
    1009: "The message is too large.",
}

# What something costs beside its bytes, in bytes of HIGH_WATER: together some 2 ms at a time, and
# not much more of an application's that looks at each message.
_MESSAGE_COSTS: Final = 128
_CONTROL_COSTS: Final = 64
_WSPROTO_COSTS: Final = 512
_EMPTY_PONG: Final = control_frame(PONG, b"")

Data = str | bytes
Output = bytes | tuple[bytes, ...]


class Session:
    """The server's end of one WebSocket."""

    __slots__ = (
        "_deflate", "_fault", "_fragments", "_left", "_max_size", "_own", "_pieces", "_ping",
        "_reader", "_rest", "_unfinished", "_wire", "bytes_in", "bytes_out", "close_code",
        "close_reason", "controls", "failed", "held", "messages_in", "messages_out", "news",
        "replies", "state",
    )  # fmt: skip

    def __init__(self, options: WebSocketOptions, deflate: Deflate | None) -> None:
        self._deflate = deflate
        self._max_size = options.max_size
        # The first bytes of the frames that wsproto never sees.
        self._own = _NONE if options.engine == "wsproto" else _UNCOMPRESSED
        if self._own and deflate is not None:
            self._own = WHOLE_MESSAGES
        self._rest = b""  # part of a frame's head, or what was held back
        self._left = 0  # bytes of a frame that wsproto is still to be given
        self._reader: Connection | None = None
        self._unfinished = False  # a message has begun and has not ended
        self._pieces: bytearray | None = None  # of that message
        self._wire = 0  # bytes of the message being received, as they came
        self._fragments = 0
        self._fault = 0  # the code for what the client has done wrong
        self._ping = 0  # of our pings, the one without an answer
        self.state: int = OPEN
        self.failed = False
        """The client broke the protocol or a limit: nothing more of it is read."""
        self.close_code = 1006
        """The code for the application; 1006 stands for no closing handshake."""
        self.close_reason = ""
        self.replies: list[bytes] = []
        self.news = False
        self.held = False
        """There is more in what has come; `receive(b"")` goes on: when the messages are taken, or,
        where there are none, when others have had their turn."""
        self.controls = 0
        """Control frames that have come; to be set back to 0 every second or so."""
        self.messages_in = self.messages_out = 0
        self.bytes_in = self.bytes_out = 0  # of the messages' frames

    # ------------------------------------------------------------------ from the client

    def receive(self, data: bytes) -> list[Data]:
        """Return the messages that are complete with `data`.

        HOT PATH. Measured, microseconds for 64 B and 16 KiB: 0.7 and 2.2; by wsproto 8.7 and 24.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        self.held = False
        wanted = self.state == OPEN
        messages: list[Data] = []
        room = HIGH_WATER
        position, end = 0, len(data)
        while position < end and self.state != CLOSED and not self._fault:
            if room <= 0:
                self._rest = data[position:]
                self.held = True
                break
            before = len(messages)
            start, stop, length = position + 6, 0, 0
            if self._reader is None and data[position] in self._own and start <= end:
                length = data[position + 1] - 128  # below 0: not masked
                if length > 125:
                    length, start = _long_length(data, position)
                stop = start + length
            if start <= stop <= end and length <= self._max_size:
                self.messages_in += 1
                self.bytes_in += stop - position
                payload = unmask(data[start:stop], data[start - 4 : start])
                self._message(data[position], payload, messages)
                position = stop
            elif data[position] in _PING_PONG and self._own and not self._left:
                behind = self._read_controls(data, position, room)
                if behind == position:
                    behind = self._read_on(data, position, messages)
                room -= _CONTROL_COSTS + (behind - position) * (_CONTROL_COSTS // 6)
                position = behind
            else:
                position = self._read_on(data, position, messages)
                room -= _WSPROTO_COSTS
            if len(messages) > before:
                room -= len(messages[-1]) + _MESSAGE_COSTS
        if self._fault:
            # Good messages before a fault are still answered: it is met when they are taken.
            self.held = wanted and bool(messages)
            if not self.held:
                self._give_up()
        return messages if wanted else []

    def receive_eof(self) -> None:
        """Close the session: the client has closed its end."""
        if self.state != CLOSED:
            self._end(CLOSED)

    @property
    def faulty(self) -> bool:
        """What is held is a fault, and no more messages."""
        return self.held and self._fault > 0

    @property
    def expected(self) -> int:
        """Bytes that a frame still lacks, of which a part has come."""
        return self._left

    def _message(self, first: int, payload: bytes, messages: list[Data]) -> None:
        """Take a message in one frame, unmasked."""
        try:
            if first & COMPRESSED and self._deflate is not None:
                payload = self._deflate.inflate(payload, self._max_size)
            messages.append(payload.decode() if first & 1 else payload)
        except TooLarge:
            self._fault = 1009
        except (UnicodeDecodeError, zlib.error):
            self._fault = 1007

    def _read_controls(self, data: bytes, position: int, room: int) -> int:
        """Read whole pings and pongs in a row; return the position behind them.

        HOT PATH, in a flood of them: 0.5 us each.
        """
        end = min(len(data), position + room // (_CONTROL_COSTS // 6) + 6)
        start, replies = position + 6, self.replies
        while start <= end and data[position] in _PING_PONG:
            length = data[position + 1] - 128  # below 0: not masked
            stop = start + length
            if not 0 <= length <= 125 or stop > len(data):
                break
            payload = unmask(data[start:stop], data[start - 4 : start]) if length else b""
            if data[position] == PING:
                replies.append(control_frame(PONG, payload) if length else _EMPTY_PONG)
                self.news = True
            else:
                self._pong(payload)
            self.controls += 1
            position, start = stop, stop + 6
        if self.controls > MAX_CONTROLS:
            self._fault = 1008
        return position

    def _read_on(self, data: bytes, position: int, messages: list[Data]) -> int:
        """Give wsproto the frame at `position`, or more of it; the position behind that."""
        if not self._left:
            self._left = self._frame_size(data, position)
            if not self._left:  # not even a head, or one that ends it all
                self._rest = b"" if self._fault else data[position:]
                return len(data)
        stop = min(position + self._left, len(data))
        self._left -= stop - position
        self._feed(data[position:stop], messages)
        return stop

    def _frame_size(self, data: bytes, position: int) -> int:
        """Return the bytes of a frame with its head; 0 if the head has not come in full.

        Holds the limits, before anything is kept. Faults that make the head's own length
        uncertain are met here, the others by wsproto.
        """
        if len(data) - position < 2:
            return 0
        first, second = data[position], data[position + 1]
        if second < 128 or (first & 8 and second > 128 + 125):
            # RFC 6455, 5.1: clients mask. 5.5: control frames are short.
            self._fault = 1002
            return 0
        start = position + (6 if second < 254 else 8 if second == 254 else 14)
        if len(data) < start:
            return 0
        length = second - 128
        if length > 125:
            length = int.from_bytes(data[position + 2 : start - 4], "big")
        if first & 8:
            self.controls += 1
            if self.controls > MAX_CONTROLS:
                self._fault = 1008
                return 0
        else:
            if first & 15:
                self._begin_message()
            self._wire += length
            self._fragments += 1
            if self._wire > self._max_size:
                self._fault = 1009
                return 0
            if self._fragments > min(MAX_FRAGMENTS, FEW_FRAGMENTS + self._wire // LEAST_FRAGMENT):
                self._fault = 1008
                return 0
            self.bytes_in += start - position + length
        return start - position + length

    def _begin_message(self) -> None:
        self._wire = self._fragments = 0
        if self._deflate is not None:
            self._deflate.room = self._max_size

    def _feed(self, data: bytes, messages: list[Data]) -> None:
        """Give wsproto what has come of a frame."""
        reader = self._reader
        if reader is None:
            extensions = [] if self._deflate is None else [self._deflate]
            reader = self._reader = Connection(ConnectionType.SERVER, [*extensions])
        reader.receive_data(data)
        for event in reader.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                self._gather(event, messages)
            elif isinstance(event, Ping):
                self.news = True
                self.replies.append(control_frame(PONG, bytes(event.payload)))
            elif isinstance(event, Pong):
                self._pong(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                if reader.state is ConnectionState.REMOTE_CLOSING:
                    self._closed_by_client(int(event.code), event.reason or "")
                else:
                    self._fault = int(event.code)
                return
        if not self._left and not self._unfinished and self._own:
            self._reader = None

    def _gather(self, event: TextMessage | BytesMessage, messages: list[Data]) -> None:
        """Join a piece of a message to the others; text as UTF-8, since a list has no bound."""
        piece: str | bytes | bytearray = event.data
        self._unfinished = not event.message_finished
        if self._unfinished or self._pieces is not None:
            if self._pieces is None:
                self._pieces = bytearray()
            self._pieces += piece.encode() if isinstance(piece, str) else piece
            if self._unfinished:
                return
            piece = self._pieces.decode() if isinstance(piece, str) else self._pieces
            self._pieces = None
        self.messages_in += 1
        messages.append(piece if isinstance(piece, str) else bytes(piece))

    def _pong(self, payload: bytes) -> None:
        """Note a pong that answers our ping. RFC 6455, 5.5.3: others are no answer to anything."""
        if self._ping and payload == self._ping.to_bytes(4, "big"):
            self._ping = -self._ping
            self.news = True

    # ------------------------------------------------------------------ to the client

    def encode(self, data: Data) -> Output:
        """Return a message as one frame; two pieces to be written in a row where it is large.

        Raises:
            UnicodeEncodeError: a text with half a surrogate pair is no text.
        """
        if isinstance(data, str):
            first, payload = TEXT, data.encode()
        else:
            first, payload = BINARY, data
        if self._deflate is not None and len(payload) >= COMPRESS_FROM:
            first |= COMPRESSED
            payload = self._deflate.deflate(payload)
        length = len(payload)
        head = frame_head(first, length)
        self.messages_out += 1
        self.bytes_out += len(head) + length
        return head + payload if length < LARGE else (head, payload)

    @property
    def awaits_pong(self) -> bool:
        """A ping has not been answered."""
        return self._ping > 0

    def ping(self) -> bytes:
        """Return a ping of ours; there is one at a time, and each differs from the one before."""
        self._ping = abs(self._ping) % 0xFFFFFFFF + 1
        return control_frame(PING, self._ping.to_bytes(4, "big"))

    def close(self, code: int, reason: str = "") -> bytes:
        """Begin the closing handshake (RFC 6455, 7.1.2); nothing if it has begun already."""
        if self.state != OPEN:
            return b""
        self.close_code, self.close_reason = code, reason
        self._end(CLOSING)
        return close_frame(code, reason)

    # ------------------------------------------------------------------ the end

    def _closed_by_client(self, code: int, reason: str) -> None:
        """RFC 6455, 5.5.1: a close frame is answered by another, with the code it came with."""
        if self.state == OPEN:
            self.close_code, self.close_reason = code, reason
            self.replies.append(close_frame(code))
        self._end(CLOSED)

    def _give_up(self) -> None:
        """RFC 6455, 7.1.7: say why, and read no more."""
        code = self._fault
        if self.state == OPEN:
            self.close_code, self.close_reason = code, _CLOSE_REASONS.get(code, "")
            self.replies.append(close_frame(code, self.close_reason))
        self.failed = True
        self._end(CLOSED)

    def _end(self, state: int) -> None:
        self.state = state
        self.news = True
        if state == CLOSED:
            self._rest, self._left = b"", 0
            self._reader = self._pieces = None
            self.held = False


def _long_length(data: bytes, position: int) -> tuple[int, int]:
    """Return length and start of a payload above 125 bytes; the length is -1 where it is not
    there yet, or not in its shortest form (RFC 6455, 5.2)."""
    if data[position + 1] == 254:
        start, least = position + 8, 126
    else:
        start, least = position + 14, 1 << 16
    length = int.from_bytes(data[position + 2 : start - 4], "big")
    return (length if length >= least and start <= len(data) else -1), start
