"""Messages between processes: in order, heard once, and bounded while they wait.

What lives here: what rooms ask of a bus, and the two ends of one: an outbox and an inbox. What must
not: what carries the messages (redis_bus.py).

A message has its sender and a number. So one that is sent again, since the confirmation got lost,
is heard once, and a process does not hear itself.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bare_serve.bare.member import Data

MARK = b"\0bare1"
_HEAD = len(MARK) + 8 + 8 + 1  # the mark, the sender, the number, "t" or "b"
_BATCH = 100  # messages sent at once
_SENDERS = 4096  # whose last numbers are remembered


class Bus(Protocol):
    """What carries messages between processes. Nothing of it waits, but for what says so."""

    def start(self, deliver: Callable[[str, Data], None]) -> None:
        """Begin on the running event loop: `deliver(room, message)` what other processes say."""

    async def subscribe(self, name: str) -> None:
        """Hear a room from now on; wait until that is so, a second at most."""

    def unsubscribe(self, name: str) -> None:
        """Hear a room no more."""

    def publish(self, name: str, message: Data) -> None:
        """Tell the other processes, and not this one."""

    async def stop(self) -> None:
        """End; wait for what is still to be said, a second at most."""


class Outbox:
    """What is to be said: `put` it, send what `batch` gives, and `confirm` that it has arrived."""

    def __init__(self, most: int, most_bytes: int, overflows: Callable[[int], None]) -> None:
        """Make an empty one.

        Args:
            most, most_bytes: what is kept; beyond it the oldest are lost.
            overflows: is called with the number of messages when the first one is lost.
        """
        self.sender = secrets.token_bytes(8)
        self.lost = 0
        self._most, self._most_bytes, self._overflows = most, most_bytes, overflows
        self._number = 0
        self._size = 0
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._under_way: list[tuple[bytes, bytes]] = []
        self._overflowed = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def put(self, channel: bytes, message: Data) -> None:
        """Add a message; never wait."""
        self._number += 1
        body = message.encode() if isinstance(message, str) else message
        kind = b"t" if isinstance(message, str) else b"b"
        head = MARK + self.sender + self._number.to_bytes(8, "big") + kind
        self._waiting.append((channel, head + body))
        self._size += len(body)
        while len(self._waiting) > self._most or self._size > self._most_bytes:
            self._next()
            self.lost += 1
            if not self._overflowed:
                self._overflowed = True
                self._overflows(len(self._waiting))

    def batch(self) -> list[tuple[bytes, bytes]]:
        """Return channels and payloads to send now, those without confirmation first."""
        while self._waiting and len(self._under_way) < _BATCH:
            self._under_way.append(self._next())
        if not self._under_way:
            self._overflowed = False
        return self._under_way

    def confirm(self) -> None:
        """Forget the last batch."""
        self._under_way.clear()

    def _next(self) -> tuple[bytes, bytes]:
        oldest = self._waiting.popleft()
        self._size -= len(oldest[1]) - _HEAD
        return oldest


class Inbox:
    """What comes from others."""

    def __init__(self, own: bytes) -> None:
        """Remember nobody; `own` is the sender that is not heard."""
        self._own = own
        self._last: dict[bytes, int] = {}  # sender -> number

    def read(self, data: bytes) -> Data | None:
        """Return the message in a payload; None for our own, and for what was heard before.

        What has no mark is of another program, and text; None if it is none.
        """
        if not data.startswith(MARK) or len(data) < _HEAD:
            return data.decode() if _is_text(data) else None
        sender, number = data[6:14], int.from_bytes(data[14:22], "big")
        if sender == self._own or number <= self._last.get(sender, 0):
            return None
        self._last.pop(sender, None)  # the one heard last goes to the end
        self._last[sender] = number
        if len(self._last) > _SENDERS:
            del self._last[next(iter(self._last))]
        body = data[_HEAD:]
        return body if data[22:23] == b"b" else body.decode("utf-8", "replace")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
