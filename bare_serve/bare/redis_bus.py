"""A bus on Redis: rooms of several workers and machines are one.

What lives here: the two connections, and what becomes of them. What must not: rooms (rooms.py),
what is kept while Redis is away (bus.py) and logged (redis_reports.py), the protocol of Redis (the
package `redis`).

Nothing that rooms ask for waits for Redis. When a connection fails, both begin anew, and all rooms
there are subscribed to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from bare_serve.bare.bus import Inbox, Outbox
from bare_serve.bare.member import Data
from bare_serve.bare.redis_reports import Reports

_LONGEST_PAUSE = 1.0  # seconds between two attempts to connect
_SETTLE = 1.25  # seconds that kept messages wait for the others to be back as well
_PROVEN = 5.0  # seconds after which a connection was a good one
_PATIENCE = 5.0  # seconds for an answer of Redis
_SILENCE = 10.0  # seconds without a message, after which Redis is asked if it is there
_GOODBYE = 1.0  # seconds for what is left when the bus stops
_INSTALL = "pip install 'bare-serve[bus]'"
_HEARD_SOON = 1.0  # seconds that `subscribe` waits


class RedisBus:
    """Carries messages between processes by publish and subscribe; see `Rooms`.

    Who may publish in Redis may speak in the rooms: `redis-cli publish bare:room:tea hello` says
    hello in the room "tea".
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
            raise ImportError(f"RedisBus needs the package redis: {_INSTALL}") from None
        self._known = redis.asyncio
        self._url = url
        try:
            parts = urlsplit(url)
            self.place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
            self._client().connection_pool.make_connection()
        except (ValueError, TypeError):
            raise ValueError(
                "RedisBus needs an URL such as redis://user:password@host:6379, rediss://... "
                "(TLS) or unix:///run/redis.sock"
            ) from None  # not showing the URL, which may have a password
        self._prefix = prefix.encode()
        self._buffer = buffer, buffer_bytes
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing: no connection, no rooms, nothing to say."""
        # Not before a fork, or all workers would be one sender.
        self._reports = Reports(self.place, self._prefix.decode(), self._buffer[0])
        self._outbox = Outbox(*self._buffer, self._reports.full)
        self._inbox = Inbox(self._outbox.sender)
        self._task: asyncio.Task[None] | None = None
        self._rooms: set[str] = set()
        self._touched: set[str] = set()  # rooms that have come or gone
        self._heard: set[str] = set()  # rooms that Redis has confirmed
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._changed, self._more, self._silent = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._silent.set()
        self._stopping = asyncio.Event()

    @property
    def dropped(self) -> int:
        """Messages that were lost since the start, for there were too many."""
        return self._outbox.lost

    def _client(self) -> Any:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        never = Retry(NoBackoff(), 0)  # when to try again is decided here
        times: dict[str, Any] = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}
        return self._known.Redis.from_url(self._url, retry=never, **times)

    # ------------------------------------------------------------------ for rooms

    def start(self, deliver: Callable[[str, Data], None]) -> None:
        """See `Bus`."""
        self._reset()
        self._deliver = deliver
        self._task = asyncio.create_task(self._run(), name="RedisBus")

    async def subscribe(self, name: str) -> None:
        """See `Bus`. While Redis is away it does not wait."""
        self._rooms.add(name)
        self._touch(name)
        if name not in self._heard and not self._reports.away:
            if name not in self._waiters:
                self._waiters[name] = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._waiters[name]], timeout=_HEARD_SOON)

    def unsubscribe(self, name: str) -> None:
        """See `Bus`."""
        self._rooms.discard(name)
        self._touch(name)

    def _touch(self, name: str) -> None:
        self._touched.add(name)
        self._changed.set()

    def publish(self, name: str, message: Data) -> None:
        """See `Bus`. What is too much while Redis is away pushes out the oldest."""
        self._outbox.put(self._channel(name), message)
        self._silent.clear()
        self._more.set()

    async def stop(self) -> None:
        """See `Bus`."""
        task, self._task = self._task, None
        if task is None:
            return
        if not self._reports.away:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._silent.wait(), _GOODBYE)
        self._stopping.set()  # cancelled while it connects, it would leave a connection open
        await _end([task], _GOODBYE)

    # ------------------------------------------------------------------ with Redis

    async def _run(self) -> None:
        """Have connections, again and again."""
        time = asyncio.get_running_loop().time
        failures = 0
        while not self._stopping.is_set():
            began = time()
            try:
                await self._session(settle=failures > 1)
            except Exception as error:  # noqa: BLE001 - of any kind: nobody would start it again
                self._reports.lost(error)
                self._heard.clear()
                for name in [*self._waiters]:
                    self._release(name)
            failures = 1 if time() - began > _PROVEN else failures + 1
            if failures > 1:  # the first time it tries again at once
                pause = min(_LONGEST_PAUSE, 0.05 * 2**failures)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.5, 1))

    async def _session(self, *, settle: bool) -> None:
        """Have two connections until one fails, or the bus stops; `settle` before all messages."""
        client = self._client()
        hearing = client.pubsub()
        hears = asyncio.Event()
        tasks: list[asyncio.Task[Any]] = []
        try:
            rooms, self._touched = set(self._rooms), set()
            # The last one has no name: so there is something to hear in any case, and when it is
            # confirmed, all of them are.
            await hearing.subscribe(*map(self._channel, rooms), self._prefix)
            work = self._hear(hearing, hears), self._follow(hearing, rooms)
            tasks += map(asyncio.create_task, (*work, self._say(client, hears, settle)))
            tasks.append(asyncio.create_task(self._stopping.wait()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            await _end(tasks)
            await _end([asyncio.create_task(each.aclose()) for each in (hearing, client)], _GOODBYE)

    async def _hear(self, hearing: Any, hears: asyncio.Event) -> None:
        asked = False
        while True:
            message = await hearing.get_message(timeout=_SILENCE)
            if message is None:
                if asked:
                    raise TimeoutError
                asked = True
                await hearing.ping()
                continue
            asked = False
            name = (message["channel"] or b"")[len(self._prefix) :].decode("utf-8", "replace")
            if message["type"] == "message":
                said = self._inbox.read(message["data"])
                if said is not None:
                    self._deliver(name, said)
            elif message["type"] == "subscribe":
                if not name:
                    hears.set()
                self._heard |= {name} & self._rooms
                self._release(name)
            await asyncio.sleep(0)  # members and others have their turn

    async def _follow(self, hearing: Any, subscribed: set[str]) -> None:
        """Subscribe to the rooms that come, and no more to those that go."""
        while True:
            self._changed.clear()
            touched, self._touched = self._touched, set()
            come = (touched & self._rooms) - subscribed
            gone = (touched & subscribed) - self._rooms
            subscribed = (subscribed | come) - gone
            self._heard -= gone
            if come:
                await hearing.subscribe(*map(self._channel, come))
            if gone:
                await hearing.unsubscribe(*map(self._channel, gone))
            await self._changed.wait()

    async def _say(self, client: Any, hears: asyncio.Event, settle: bool) -> None:
        if settle:
            await asyncio.sleep(_SETTLE)
        await hears.wait()
        await client.ping()
        kept = len(self._outbox)
        while True:
            batch = self._outbox.batch()
            if not batch:
                self._reports.back(kept, self.dropped)
                self._silent.set()
                self._more.clear()
                await self._more.wait()
                continue
            pipe = client.pipeline(transaction=False)
            for channel, payload in batch:
                pipe.publish(channel, payload)
            await pipe.execute()
            self._outbox.confirm()

    def _channel(self, name: str) -> bytes:
        return self._prefix + name.encode()

    def _release(self, name: str) -> None:
        waiter = self._waiters.pop(name, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


async def _end(tasks: list[asyncio.Task[Any]], patience: float = 0.0) -> None:
    """Wait until tasks have ended; after `patience` seconds they are cancelled.

    They are cancelled again and again: `asyncio.wait_for`, which the package `redis` waits by,
    loses a cancellation that comes as its work is done (Python 3.11).
    """
    if tasks and patience:
        await asyncio.wait(tasks, timeout=patience)
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # one of them was raised; the others need not be told
