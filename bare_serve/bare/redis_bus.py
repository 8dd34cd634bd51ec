"""A bus on Redis: rooms of several workers and machines are one.

What lives here: what is said to Redis and heard from it, and what becomes of it while Redis is
away. What must not: rooms and members (rooms.py), the protocol of Redis (the package `redis`).

Nothing that rooms ask for waits for Redis. One task has two connections; when one of them fails, it
begins anew, and subscribes to all rooms there are. What is said meanwhile is kept, up to a bound. A
message has the sender's name and a number: so one that is sent again, since its answer got lost, is
heard once, and a process does not hear itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from bare_serve.bare.member import Data

logger = logging.getLogger("bare_serve.bare")

_MARK = b"\0bare1"
_HEAD = len(_MARK) + 8 + 8 + 1  # the mark, the sender, the number, "t" or "b"
_BATCH = 100  # messages sent to Redis at once
_SENDERS = 4096  # whose last numbers are remembered

_LONGEST_PAUSE = 1.0  # seconds between two attempts to connect
_SETTLE = 1.25  # seconds that kept messages wait for the others to be back as well
_PROVEN = 5.0  # seconds after which a connection was a good one
_PATIENCE = 5.0  # seconds for an answer of Redis
_SILENCE = 10.0  # seconds without a message, after which Redis is asked if it is there
_GOODBYE = 1.0  # seconds for what is left when the bus stops
_HEARD_SOON = 1.0  # seconds that `subscribe` waits


class RedisBus:
    """Carries messages between processes by publish and subscribe; see `Rooms`.

    Who may publish in Redis may speak in the rooms: a message without our mark is taken as text,
    so `redis-cli publish bare:room:tea hello` says hello in the room "tea".
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        prefix: str = "bare:room:",
        buffer: int = 10_000,
        buffer_bytes: int = 8 << 20,
    ) -> None:
        """Say where Redis is; nothing connects before the first member joins.

        Args:
            url: redis://user:password@host:port, rediss:// for TLS, or unix:///path.
            prefix: of the channels; programs that share a Redis need different ones.
            buffer: messages kept while Redis is away; then the oldest are lost.
            buffer_bytes: bytes of messages kept.

        Raises:
            ValueError: `url` is none.
            ImportError: the package `redis` is not installed.
        """
        try:
            import redis.asyncio
        except ImportError:
            raise ImportError(
                "RedisBus needs the package redis: pip install 'bare-serve[bus]'"
            ) from None
        try:
            parts = urlsplit(url)
            self._client(url).connection_pool.make_connection()
            self.place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        except (ValueError, TypeError):
            raise ValueError(
                "RedisBus needs an URL such as redis://user:password@host:6379, rediss://... "
                "(TLS) or unix:///run/redis.sock"
            ) from None  # not showing the URL, which may have a password
        self._known = redis.asyncio
        self._url = url
        self._prefix = prefix.encode()
        self._buffer, self._buffer_bytes = buffer, buffer_bytes
        self.dropped = 0  # messages lost while Redis was away
        self._reset()

    def _client(self, url: str) -> Any:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        return Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),  # when to try again is decided here
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
        )

    def _reset(self) -> None:
        """Begin with nothing: no connection, no rooms, nothing to say."""
        self._task: asyncio.Task[None] | None = None
        self._sender = secrets.token_bytes(8)  # not before a fork, or workers would be one
        self._number = 0
        self._seen: dict[bytes, int] = {}  # sender -> the last number
        self._rooms: set[str] = set()
        self._touched: set[str] = set()  # rooms that have come or gone
        self._heard: set[str] = set()  # rooms that Redis has confirmed
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._outbox: deque[tuple[bytes, bytes]] = deque()  # channel, payload
        self._outbox_bytes = 0
        self._batch: list[tuple[bytes, bytes]] = []  # was sent, and may not have arrived
        self._changed, self._more, self._silent = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._silent.set()
        self._away_since: float | None = None
        self._told = ""  # the last failure that was logged
        self._overflowed = False
        self._kept = 0  # messages, when Redis was back
        self._hears = asyncio.Event()  # the first subscription was confirmed

    # ------------------------------------------------------------------ for rooms

    def start(self, deliver: Callable[[str, Data], None]) -> None:
        """See `Bus`."""
        self._reset()
        self._deliver = deliver
        self._task = asyncio.create_task(self._run(), name="RedisBus")

    async def subscribe(self, name: str) -> None:
        """See `Bus`. While Redis is away it does not wait."""
        self._rooms.add(name)
        self._touched.add(name)
        self._changed.set()
        if name not in self._heard and self._away_since is None:
            if name not in self._waiters:
                self._waiters[name] = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._waiters[name]], timeout=_HEARD_SOON)

    def unsubscribe(self, name: str) -> None:
        """See `Bus`."""
        self._rooms.discard(name)
        self._touched.add(name)
        self._changed.set()

    def publish(self, name: str, message: Data) -> None:
        """See `Bus`. What is too much while Redis is away pushes out the oldest."""
        self._number += 1
        text = isinstance(message, str)
        body = message.encode() if isinstance(message, str) else message
        head = _MARK + self._sender + self._number.to_bytes(8) + (b"t" if text else b"b")
        self._outbox.append((self._prefix + name.encode(), head + body))
        self._outbox_bytes += len(body)
        while len(self._outbox) > self._buffer or self._outbox_bytes > self._buffer_bytes:
            self._outbox_bytes -= len(self._outbox.popleft()[1]) - _HEAD
            self.dropped += 1
            if not self._overflowed:
                self._overflowed = True
                logger.warning(
                    "Rooms: %d messages wait for Redis at %s. From now on the oldest are lost.",
                    len(self._outbox),
                    self.place,
                )
        self._silent.clear()
        self._more.set()

    async def stop(self) -> None:
        """See `Bus`."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._away_since is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._silent.wait(), _GOODBYE)
        await _end([task])

    # ------------------------------------------------------------------ with Redis

    async def _run(self) -> None:
        """Have connections, again and again."""
        time = asyncio.get_running_loop().time
        failures = 0
        while True:
            began = time()
            try:
                await self._session(settle=failures > 1)
            except Exception as error:  # noqa: BLE001 - of any kind: nobody would start the bus again
                self._lost(error)
            failures = 1 if time() - began > _PROVEN else failures + 1
            if failures > 1:  # the first time it tries again at once
                pause = min(_LONGEST_PAUSE, 0.05 * 2**failures)
                await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def _session(self, *, settle: bool) -> None:
        """Have two connections until one of them fails; `settle` before the first message."""
        client = self._client(self._url)
        hearing = client.pubsub()
        tasks: list[asyncio.Task[None]] = []
        try:
            self._hears.clear()
            # A room without a name, so that there is something to hear in any case.
            await hearing.subscribe(self._prefix)
            work: list[Coroutine[Any, Any, None]] = [
                self._hear(hearing),
                self._follow(hearing),
                self._say(client, settle=settle),
            ]
            tasks += [asyncio.create_task(each) for each in work]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            await _end(tasks)
            with suppress(Exception):
                await hearing.aclose()
                await client.aclose()

    async def _hear(self, hearing: Any) -> None:
        asked = False
        count = 0
        while True:
            message = await hearing.get_message(timeout=_SILENCE)
            if message is None:
                if asked:
                    raise TimeoutError
                asked = True
                await hearing.ping()
                continue
            asked = False
            if message["type"] == "message":
                self._take(message["channel"], message["data"])
            elif message["type"] == "subscribe":
                self._confirm(self._name(message["channel"]))
            count += 1
            if count % 32 == 0:
                await asyncio.sleep(0)  # members and others have their turn

    async def _follow(self, hearing: Any) -> None:
        """Subscribe to the rooms that there are."""
        subscribed: set[str] = set()
        self._touched = set(self._rooms)
        while True:
            self._changed.clear()
            touched, self._touched = self._touched, set()
            come = (touched & self._rooms) - subscribed
            gone = (touched & subscribed) - self._rooms
            subscribed = (subscribed | come) - gone
            if come:
                await hearing.subscribe(*map(self._channel, come))
            self._heard -= gone
            if gone:
                await hearing.unsubscribe(*map(self._channel, gone))
            await self._changed.wait()

    async def _say(self, client: Any, *, settle: bool) -> None:
        if settle:
            await asyncio.sleep(_SETTLE)
        await self._hears.wait()
        await client.ping()
        self._kept = len(self._outbox) + len(self._batch)
        while True:
            while self._outbox and len(self._batch) < _BATCH:
                self._batch.append(self._outbox.popleft())
                self._outbox_bytes -= len(self._batch[-1][1]) - _HEAD
            if not self._batch:
                self._back()
                self._overflowed = False
                self._silent.set()
                self._more.clear()
                await self._more.wait()
                continue
            pipe = client.pipeline(transaction=False)
            for channel, payload in self._batch:
                pipe.publish(channel, payload)
            await pipe.execute()
            self._batch.clear()

    def _take(self, channel: bytes, data: bytes) -> None:
        if data.startswith(_MARK) and len(data) >= _HEAD:
            sender, number = data[6:14], int.from_bytes(data[14:22])
            if sender == self._sender or number <= self._seen.get(sender, 0):
                return  # our own, or heard before
            self._seen.pop(sender, None)  # the one heard last goes to the end
            self._seen[sender] = number
            if len(self._seen) > _SENDERS:
                del self._seen[next(iter(self._seen))]
            text, data = data[22:23] == b"t", data[_HEAD:]
        else:
            text = True  # of another program
        try:
            self._deliver(self._name(channel), data.decode() if text else data)
        except UnicodeDecodeError:
            logger.debug("Rooms: a message from Redis is no text")

    def _confirm(self, name: str) -> None:
        if not name:
            self._hears.set()
        if name in self._rooms:
            self._heard.add(name)
        self._release(name)

    def _release(self, name: str) -> None:
        waiter = self._waiters.pop(name, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _channel(self, name: str) -> bytes:
        return self._prefix + name.encode()

    def _name(self, channel: bytes) -> str:
        return channel[len(self._prefix) :].decode()

    # ------------------------------------------------------------------ what is logged

    def _lost(self, error: Exception) -> None:
        self._heard.clear()
        for name in [*self._waiters]:
            self._release(name)
        reason = self._reason(error)
        if reason != self._told:
            logger.warning(
                "Rooms: Redis at %s %s. Until it is back, members hear only those in the same "
                "process, and %d messages at most are kept for the others.",
                self.place,
                reason,
                self._buffer,
            )
        self._told = reason
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()

    def _back(self) -> None:
        if self._away_since is not None:
            logger.info(
                "Rooms: Redis at %s is back after %.1f s; %d messages were kept, %d lost so far.",
                self.place,
                asyncio.get_running_loop().time() - self._away_since,
                self._kept,
                self.dropped,
            )
        self._away_since, self._told = None, ""

    def _reason(self, error: Exception) -> str:
        """Say what is wrong, and what to do."""
        known = self._known
        if isinstance(error, known.AuthenticationError):
            return f"does not take the user and password of the URL ({error})"
        if type(error).__name__ == "NoPermissionError":
            needs = f"+ping, +publish, +subscribe, +unsubscribe and &{self._prefix.decode()}*"
            return f"forbids this user what the bus does ({error}): it needs {needs}"
        if isinstance(error, (TimeoutError, known.TimeoutError)):
            return "does not answer in time"
        if isinstance(error, (OSError, known.RedisError)):
            return f"cannot be used ({str(error).rstrip('.') or type(error).__name__})"
        logger.error("Rooms: the bus on Redis failed; it begins anew.", exc_info=error)
        return f"cannot be used ({type(error).__name__})"


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    `asyncio.wait_for`, which the package `redis` waits by, loses a cancellation that comes as its
    work is done (Python 3.11).
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # one of them was raised; the others need not be told
