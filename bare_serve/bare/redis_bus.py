"""A bus on Redis: rooms of several workers and machines are one.

What lives here: two tasks, one that hears and one that speaks, each with a connection of its own,
and what is kept while Redis is away. What must not: rooms (rooms.py), the protocol of Redis (the
package `redis`).

Each process hears all rooms, and drops what is said where it has no members: so there is one
subscription, which is never too late. Nothing that rooms ask for waits for Redis. A task whose
connection fails begins anew. A message has its sender and a number: one that is sent again, since
the confirmation got lost, is heard once, and a process does not hear itself.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from bare_serve.bare.websocket import Data, logger

_LONGEST_PAUSE = 1.0  # seconds between two attempts to connect
_SETTLE = 1.25  # seconds that kept messages wait for the other processes to be back as well
_PATIENCE = 5.0  # seconds for an answer of Redis
_SILENCE = 10.0  # seconds without a message; a process that says nothing hears its own beats
_AT_ONCE = 1.0  # seconds for what is left when the bus stops, and until it hears
_MARK = b"\0bare1"  # of what is no other program's
_HEAD = struct.Struct("!6s8sQ?")  # the mark, the sender, the number, whether it is text
_AWAY = (
    "Rooms: Redis at %s cannot be used: %s. Until it is back, members hear only those in the same "
    "process, and %d bytes of messages at most are kept for the others, the latest."
)
_BACK = "Rooms: Redis at %s is back after %.1f s; %d messages were kept, %d lost so far."


class RedisBus:
    """Carries messages between processes by publish and subscribe; see `Rooms`.

    Who may publish in Redis may speak in the rooms: `redis-cli publish bare:room:tea hello` says
    hello in the room "tea".

    Attributes:
        place: where Redis is.
        dropped: messages that were lost since the start, for there were too many.
    """

    dropped = 0

    def __init__(
        self, url: str = "redis://127.0.0.1", *, prefix: str = "bare:room:", buffer: int = 8 << 20
    ) -> None:
        """Say where Redis is; nothing connects before the first member joins.

        Args:
            url: redis://user:password@host:port, rediss:// for TLS, or unix:///path.
            prefix: of the channels; programs that share a Redis need different ones.
            buffer: bytes of messages kept while Redis is away; then the oldest are lost.

        Raises:
            ValueError: `url` is none.
            ImportError: the package `redis` is not installed.
        """
        try:
            import redis.asyncio
        except ImportError:
            install = "pip install 'bare-serve[bus]'"
            raise ImportError(f"RedisBus needs the package redis: {install}") from None
        # When to try again is decided here.
        options = {"retry": None, "socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}
        connect: Any = redis.asyncio.Redis.from_url
        self._client: Callable[[], Any] = lambda: connect(url, **options)
        self._prefix, self._buffer, self._expected = prefix, buffer, (OSError, redis.RedisError)
        try:
            parts = urlsplit(url)
            self.place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
            self._client().connection_pool.make_connection()
        except (ValueError, TypeError):  # not showing the URL, which may have a password
            raise ValueError("RedisBus needs an URL such as redis://user:password@h:6379") from None

    # ------------------------------------------------------------------ for rooms

    def start(self, deliver: Callable[[str, Data], None]) -> None:
        """See `Bus`."""
        self._deliver = deliver
        self._sender = secrets.token_bytes(8)  # not before a fork: each worker is a sender
        self._last: dict[bytes, int] = {}  # the numbers heard last, by sender
        self._number = self._size = self.dropped = 0
        self._outbox: deque[tuple[int, str, bytes]] = deque()
        self._more, self._hears = asyncio.Event(), asyncio.Event()
        self._told: set[str] = set()  # why Redis is away, while it is
        self._tasks = {asyncio.create_task(self._keep(work)) for work in (self._hear, self._say)}

    async def ready(self) -> None:
        """See `Bus`. While Redis is away it does not wait."""
        await self._until(self._hears.is_set)

    def publish(self, name: str, message: Data) -> None:
        """See `Bus`. What is too much while Redis is away pushes out the oldest."""
        self._number += 1
        payload = _HEAD.pack(_MARK, self._sender, self._number, isinstance(message, str))
        payload += message.encode() if isinstance(message, str) else message
        self._outbox.append((self._number, name, payload))
        self._size += len(payload)
        while self._size > self._buffer:
            self._size -= len(self._outbox.popleft()[2])
            self.dropped += 1
        self._more.set()

    async def stop(self) -> None:
        """See `Bus`."""
        await self._until(lambda: not self._outbox)
        while self._tasks:  # `asyncio.wait_for` of Python 3.11 may lose a cancellation
            for task in self._tasks:
                task.cancel()
            _, self._tasks = await asyncio.wait(self._tasks, timeout=0.1)

    async def _until(self, fact: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_AT_ONCE):
                while not self._told and not fact():
                    await asyncio.sleep(0.01)

    # ------------------------------------------------------------------ with Redis

    async def _keep(self, work: Any) -> None:
        """Do a work of this bus again and again."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - of any kind: nobody would start it again
                now, reason = time.monotonic(), f"{type(error).__name__}: {error}".rstrip(" :.")
                if not self._told:
                    self._since = now
                if reason not in self._told:
                    odd = not isinstance(error, self._expected)
                    logger.warning(_AWAY, self.place, reason, self._buffer, exc_info=odd)
                self._told.add(reason)
                self._more.set()
                longest = min(_LONGEST_PAUSE, 0.1 + now - self._since)
                await asyncio.sleep(random.uniform(0.05, longest))

    async def _hear(self) -> None:
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._prefix) + "*"
        async with self._client() as client, client.pubsub() as hearing:
            await hearing.psubscribe(**{pattern: self._take})
            try:
                while True:
                    async with asyncio.timeout(_SILENCE):
                        await hearing.get_message(timeout=None)
                    self._hears.set()  # the first message is the confirmation
                    await asyncio.sleep(0)  # members and others have their turn
            finally:
                self._hears.clear()

    def _take(self, message: dict[str, Any]) -> None:
        name = message["channel"].decode("utf-8", "replace").removeprefix(self._prefix)
        data, text = message["data"], True
        if data.startswith(_MARK) and len(data) >= _HEAD.size:
            _, sender, number, text = _HEAD.unpack_from(data)
            if sender == self._sender or number <= self._last.get(sender, 0):
                return  # our own, or heard before
            if len(self._last) > 4096:
                self._last.clear()
            self._last[sender] = number
            data = data[_HEAD.size :]
        self._deliver(name, data.decode("utf-8", "replace") if text else data)

    async def _say(self) -> None:
        async with self._client() as client:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._more.wait(), _SILENCE / 3)
                await self._hears.wait()
                if self._told:  # the longer it was away, the longer others take to come back
                    await asyncio.sleep(min(_SETTLE, 0.25 + time.monotonic() - self._since))
                batch = [*islice(self._outbox, 100)] or [(0, "", b"")]  # or a beat
                pipe = client.pipeline(transaction=False)
                for _, name, payload in batch:
                    pipe.publish(self._prefix + name, payload)
                await pipe.execute()
                if self._told and self._hears.is_set():
                    facts = time.monotonic() - self._since, len(self._outbox), self.dropped
                    logger.info(_BACK, self.place, *facts)
                    self._told.clear()
                while self._outbox and self._outbox[0][0] <= batch[-1][0]:
                    self._size -= len(self._outbox.popleft()[2])
                if not self._outbox and not self._told:
                    self._more.clear()
