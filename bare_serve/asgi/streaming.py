"""The pieces of an answer on their way: alone or in bursts, to a client that is slow, or gone.

What lives here: which pieces leave at once, which are kept for a moment, and what `send` does when
the client takes less than it is sent, or nothing any more. What must not: messages and their order
(exchange.py), framing (the core), sockets.

A piece that comes alone leaves at once, and so does the first of a burst: of pieces that come
within BURST_SECONDS. What is kept of a burst leaves in the next turn of the loop (bursts.py) at the
latest, and in front of all else: a file, trailers, the end, a close in the middle.

HOT PATH of token streams: 100 pieces of 1 KiB cost 147 us of CPU instead of 385 on uvloop, 300
instead of 640 on asyncio. An answer in one piece does not come by here.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final, Protocol

from bare_serve.asgi.interfaces import Client
from bare_serve.asgi.service import Service
from bare_serve.asgi.states import STREAM
from bare_serve.asgi.stoppable import StoppableCall
from bare_serve.errors import ClientGone

# A piece that comes later than so many seconds behind the last write is none of a burst: pieces
# made in one turn of the loop come 2 us apart, those that a thread makes for the loop 50 or more.
# An application that computes between its pieces, and never lets the loop go on, is not held up.
BURST_SECONDS: Final = 0.00025
# Bytes of one answer that are kept. More would be no cheaper to send, and from the next byte on the
# core does not join a piece with its frame.
MOST_KEPT: Final = (1 << 16) - 1

# Who listens for the end is told by `receive`, and ends its own `send` in an order of its own: the
# background work of Starlette, the connections to databases of Django. So what it sends next is
# dropped: a cancellation then meets the generator that makes the answer, whose `finally` runs at
# once, and not the `send` behind which the generator would wait for the garbage collector. After
# that `send` waits for so long, and raises.
_COURTESY = 0.1
# `gone`, where somebody was listening; and when one message has been dropped.
AND_TOLD, _AND_DROPPED = 2, 3


class ServedClient(Client, Protocol):
    """What an exchange needs of its connection."""

    service: Service


class StreamingCall(StoppableCall):
    """The part of an exchange that sends its pieces; the exchange sets the other attributes."""

    __slots__ = ("_kept", "_sent_at", "service")

    service: Service
    _kept: list[bytes]
    """Pieces of a burst, which have not left. As the next, set once the state is STREAM."""
    _sent_at: float
    """When a piece left last, by `perf_counter`."""

    def begin_stream(self) -> None:
        """See `Answer`."""
        self.state = STREAM
        self._kept = []
        self._kept_size = 0
        self._sent_at = perf_counter()

    def _send_piece(self, body: bytes) -> None:
        """Send a piece behind which more comes, or keep it if it is one of a burst."""
        if self.state != STREAM:  # the head goes with it
            self.begin_stream()
        elif self._kept_size + len(body) <= MOST_KEPT or self._makes_room(body):
            kept = self._kept
            kept.append(body)
            self._kept_size += len(body)
            if perf_counter() - self._sent_at < BURST_SECONDS:
                if len(kept) == 1:
                    self.service.bursts.begin(self)
                return
            body = self._take_kept()
            self._sent_at = perf_counter()
        output = self.core.send_body(body, True)
        if type(output) is bytes:
            if output:
                self.connection.transport.write(output)
        else:
            self.connection.write(output)

    def _makes_room(self, body: bytes) -> bool:
        """Send what is kept; return whether `body` may be kept now."""
        self.send_kept()
        return len(body) <= MOST_KEPT

    def _behind_kept(self, body: bytes) -> bytes:
        """Return the last piece with those that are kept, or alone once those have left."""
        if self._kept_size + len(body) > MOST_KEPT:
            self.send_kept()
            return body
        self._kept.append(body)
        return self._take_kept()

    def _take_kept(self) -> bytes:
        kept, self._kept, self._kept_size = self._kept, [], 0
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def send_kept(self) -> None:
        """Send the pieces that are kept, if there are any, and somebody who takes them."""
        if self.state == STREAM and self._kept and not self.gone:
            self._sent_at = perf_counter()
            self.connection.write(self.core.send_body(self._take_kept(), True))

    # ------------------------------------------------------------------ slow, or gone

    async def _drained(self) -> None:
        """Wait while the client takes less than the application makes: back-pressure."""
        connection = self.connection
        while connection.write_paused and not self.gone:
            await connection.drained.wait()
        if self.gone:
            await self._send_to_nobody()

    async def _send_to_nobody(self) -> None:
        if self.gone == AND_TOLD:
            self.gone = _AND_DROPPED
            return
        if self.gone == _AND_DROPPED:
            self.gone = 1
            await asyncio.sleep(_COURTESY)
        raise ClientGone("the client closed the connection before the response was complete")
