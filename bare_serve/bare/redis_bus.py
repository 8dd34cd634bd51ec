"""A bus on Redis: rooms of several workers and machines are one.

What lives here: two tasks, one that hears and one that speaks, each with a connection of its own,
and what is kept while Redis is away. What must not: rooms (rooms.py), the protocol of Redis (the
package `redis`).

Nothing that rooms ask for waits for Redis. A task whose connection fails begins anew. A message has
its sender and a number: so one that is sent again, since the confirmation got lost, is heard once,
and a process does not hear itself.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from bare_serve.bare.websocket import Data, logger

_LONGEST_PAUSE = 1.0  # seconds between two attempts to connect
_SETTLE = 1.25  # seconds that kept messages wait for the other processes to be back as well
_PATIENCE = 5.0  # seconds for an answer of Redis
_SILENCE = 10.0  # seconds without a message, after which Redis is asked if it is there
_AT_ONCE = 1.0  # seconds for what is left when the bus stops, and for a room to be heard
_SENDERS = 4096  # whose last numbers are remembered
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
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        prefix: str = "bare:room:",
        buffer: int = 8 << 20,
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
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ImportError:
            install = "pip install 'bare-serve[bus]'"
            raise ImportError(f"RedisBus needs the package redis: {install}") from None
        never = Retry(NoBackoff(), 0)  # when to try again is decided here
        times: Any = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}
        from_url: Any = Redis.from_url
        self._client: Callable[[], Any] = lambda: from_url(url, retry=never, **times)
        self._expected = OSError, RedisError
        try:
            parts = urlsplit(url)
            self.place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
            self._client().connection_pool.make_connection()
        except (ValueError, TypeError):
            raise ValueError(
                "RedisBus needs an URL such as redis://user:password@host:6379, rediss://... "
                "(TLS) or unix:///run/redis.sock"
            ) from None  # not showing the URL, which may have a password
        self._prefix, self._buffer = prefix, buffer
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------ for rooms

    def start(self, deliver: Callable[[str, Data], None]) -> None:
        """See `Bus`."""
        self._deliver = deliver
        self._sender = secrets.token_bytes(8)  # not before a fork: each worker is a sender
        self._last: dict[bytes, int] = {}  # the numbers heard last, by sender
        self._number = self._size = self.dropped = 0
        self._outbox: deque[tuple[int, str, bytes]] = deque()
        self._rooms: dict[str, asyncio.Event] = {}  # which is set when Redis has confirmed
        self._changed: set[str] = set()  # rooms that have come or gone
        self._more, self._hears = asyncio.Event(), asyncio.Event()
        self._reason = ""  # why Redis is away
        self._tasks = [asyncio.create_task(self._keep(each)) for each in (self._hear, self._say)]

    async def subscribe(self, name: str) -> None:
        """See `Bus`. While Redis is away it does not wait."""
        heard = self._rooms.setdefault(name, asyncio.Event())
        self._change(name)
        if not self._reason:
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), _AT_ONCE)

    def unsubscribe(self, name: str) -> None:
        """See `Bus`."""
        del self._rooms[name]
        self._change(name)

    def publish(self, name: str, message: Data) -> None:
        """See `Bus`. What is too much while Redis is away pushes out the oldest."""
        text = isinstance(message, str)
        self._number += 1
        payload = _HEAD.pack(_MARK, self._sender, self._number, text)
        payload += message.encode() if isinstance(message, str) else message
        self._outbox.append((self._number, name, payload))
        self._size += len(payload)
        while self._size > self._buffer:
            self._size -= len(self._outbox.popleft()[2])
            self.dropped += 1
        self._more.set()

    async def stop(self) -> None:
        """See `Bus`."""
        tasks, self._tasks = self._tasks, []
        end = time.monotonic() + _AT_ONCE
        while tasks and self._outbox and not self._reason and time.monotonic() < end:
            await asyncio.sleep(0.01)
        while tasks:  # again: `asyncio.wait_for` of Python 3.11 may lose a cancellation
            for task in tasks:
                task.cancel()
            _, left = await asyncio.wait(tasks, timeout=0.1)
            tasks = [*left]

    # ------------------------------------------------------------------ with Redis

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do a work of this bus again and again."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - of any kind: nobody would start it again
                now, reason = time.monotonic(), f"{type(error).__name__}: {error}".rstrip(" :.")
                if not self._reason:
                    self._since = now
                if reason != self._reason:
                    odd = not isinstance(error, self._expected)
                    logger.warning(_AWAY, self.place, reason, self._buffer, exc_info=odd)
                self._reason = reason
                for event in (self._more, *self._rooms.values()):
                    event.set()  # who joins waits no longer
                pause = min(_LONGEST_PAUSE, 0.05 + now - self._since)
                await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def _hear(self) -> None:
        async with self._client() as client, client.pubsub() as self._hearing:
            # The last one has no name: when it is confirmed, all of them are.
            await self._hearing.subscribe(*map(self._channel, [*self._rooms, ""]))
            asked = False
            try:
                while True:
                    message = await self._hearing.get_message(timeout=_SILENCE)
                    if message is not None:
                        self._take(message["type"], message["channel"] or b"", message["data"])
                        await asyncio.sleep(0)  # members and others have their turn
                    elif asked:
                        raise TimeoutError(f"no answer in {_SILENCE:g} s")
                    else:
                        await self._hearing.ping()
                    asked = message is None
            finally:
                self._hears.clear()

    def _take(self, kind: str, channel: bytes, data: bytes) -> None:
        name = channel.decode("utf-8", "replace").removeprefix(self._prefix)
        if kind == "subscribe":
            self._rooms.get(name, self._hears).set()
        elif kind == "message":
            text = True  # of another program
            if data.startswith(_MARK) and len(data) >= _HEAD.size:
                _, sender, number, text = _HEAD.unpack_from(data)
                if sender == self._sender or number <= self._last.get(sender, 0):
                    return  # our own, or heard before
                if len(self._last) >= _SENDERS:
                    self._last.clear()
                self._last[sender] = number
                data = data[_HEAD.size :]
            self._deliver(name, data.decode("utf-8", "replace") if text else data)

    async def _say(self) -> None:
        async with self._client() as client:
            while True:
                await self._hears.wait()
                if self._reason:  # the longer it was away, the longer others take to come back
                    await asyncio.sleep(min(_SETTLE, 0.25 + time.monotonic() - self._since))
                self._more.clear()
                while self._changed:
                    name = self._changed.pop()
                    change = "subscribe" if name in self._rooms else "unsubscribe"
                    await getattr(self._hearing, change)(self._channel(name))
                batch = [*islice(self._outbox, 100)]
                pipe = client.pipeline(transaction=False)
                if self._reason:
                    pipe.ping()
                for _, name, payload in batch:
                    pipe.publish(self._channel(name), payload)
                await pipe.execute()
                if self._reason:
                    facts = time.monotonic() - self._since, len(self._outbox), self.dropped
                    logger.info(_BACK, self.place, *facts)
                    self._reason = ""
                while self._outbox and batch and self._outbox[0][0] <= batch[-1][0]:
                    self._size -= len(self._outbox.popleft()[2])
                if not self._outbox:
                    await self._more.wait()

    def _change(self, name: str) -> None:
        self._changed.add(name)
        self._more.set()

    def _channel(self, name: str) -> bytes:
        return (self._prefix + name).encode()
