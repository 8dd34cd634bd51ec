"""Rooms: what one member says, all members hear, and nobody waits for anybody.

What lives here: who is in which room, the queue of each member, and the bounds of all that comes
from outside. What must not: other processes (redis_bus.py).

A room exists while somebody is in it. Rooms belong to one event loop; `send` may be called from any
thread. A member is slow when the queue is full while the client does not take what was sent last.
What is said in one turn of the loop finds no member who could have taken any of it: so a queue may
meanwhile have ten times its length, and a burst makes nobody slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from bare_serve.bare.response import dump_json
from bare_serve.bare.websocket import CloseWebSocket, Data, logger

_BURST = 10
_AT_ONCE = 20  # members that are sent to in one turn of the loop
_FLUSH = 1.0  # seconds for what is queued for a member who leaves in peace

_closing: set[asyncio.Task[None]] = set()
"""Closes under way. The event loop holds tasks weakly, and the member may be gone before."""


class RoomError(CloseWebSocket):
    """What a room refuses. A handler that does not catch it closes its WebSocket with `code`."""


class Member:
    """One socket in one room, its queue, and the task that empties the queue.

    Attributes:
        socket, who: as `join` got them.
        missed: messages that the member has lost, with "drop-oldest".
    """

    def __init__(self, rooms: Rooms, room: str, socket: Any, who: Any) -> None:
        """Have an empty queue."""
        self.socket, self.who, self.room, self.missed = socket, who, room, 0
        self.task: asyncio.Task[None] | None = None
        self._rooms = rooms
        self._queue: deque[Data] = deque()
        self._sending = False

    def tell(self, message: Data) -> None:
        """Put a message into the queue, for which `wake` is called soon; never wait."""
        bound = self._rooms.limit if self._sending else self._rooms.limit * _BURST
        while len(self._queue) >= bound:
            if self._rooms.slow == "close":
                self._dismiss(1013, "You read too slowly.")
                return
            self._queue.popleft()
            self.missed += 1
        self._queue.append(message)

    def wake(self) -> None:
        """Send what is queued, unless that is under way."""
        if self._queue and self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._write())

    def leave(self) -> None:
        """End now; more than once means nothing."""
        self._rooms.forget(self)
        self._queue.clear()
        if self.task is not None:
            self.task.cancel()

    async def _write(self) -> None:
        try:
            while self._queue:
                self._sending = True
                await self.socket.send(self._queue.popleft())
                self._sending = False
            self.task = None
        except OSError:  # the client has left, which the handler is told as well
            self._rooms.forget(self)
        except Exception:  # noqa: BLE001 - of any server
            logger.exception("A message could not be sent to a member of a room.")
            self._dismiss(1011, "")

    def _dismiss(self, code: int, reason: str) -> None:
        """Have the client leave: the handler sees a disconnect."""
        self.leave()
        task = asyncio.create_task(self._close(code, reason), name="member, leaving")
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    async def _close(self, code: int, reason: str) -> None:
        with suppress(Exception):  # of any server
            await self.socket.close(code, reason)


@dataclass(kw_only=True, eq=False, repr=False)
class Rooms(dict[str, dict[Any, Member]]):
    """Rooms by name: they come with the first member and go with the last.

    Attributes:
        limit: messages that wait for a member whose client does not read.
        slow: what happens to such a member: "close" with code 1013, or "drop-oldest", which loses
            the member's oldest messages.
        max_rooms: with members in this process.
        max_members: of a room, in this process.
        max_name: bytes of a room's name in UTF-8.
        max_message: bytes.
        bus: joins the rooms of several processes: a `RedisBus`, or what has its methods for rooms.

    Raises:
        ValueError: `limit` or `slow` is none of these.
    """

    limit: int = 100
    slow: Literal["close", "drop-oldest"] = "close"
    max_rooms: int = 10_000
    max_members: int = 10_000
    max_name: int = 200
    max_message: int = 65_536
    bus: Any = None
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.slow not in ("close", "drop-oldest") or self.limit < 1:
            raise ValueError('slow is "close" or "drop-oldest", and limit at least 1 message')

    def members(self, name: str) -> tuple[Member, ...]:
        """Return the members of a room in this process, in the order they came."""
        return tuple(self.get(name, {}).values())

    @asynccontextmanager
    async def join(self, name: str, socket: Any, who: Any = None) -> AsyncIterator[Room]:
        """Be a member of the room `name` inside `async with`.

        With a bus, it waits until what others say is heard here, a second at most.

        Args:
            name: of the room.
            socket: a `WebSocket` that was accepted.
            who: what the application wants to know the member by, such as a name.

        Raises:
            RoomError: 1008, no name of a room; 1013, too many rooms, or the room is full.
            RuntimeError: the WebSocket was not accepted, or is in the room already.
        """
        self._check(name)
        if not socket.accepted:
            raise RuntimeError("join a room after `await ws.accept()`, not before")
        self.start()
        members = self.get(name, {})
        if socket in members:
            raise RuntimeError(f"this WebSocket is in the room {name!r} already")
        if len(members) >= self.max_members:
            raise RoomError(1013, "The room is full.")
        if not members and len(self) >= self.max_rooms:
            raise RoomError(1013, "There are too many rooms.")
        member = self.setdefault(name, {})[socket] = Member(self, name, socket, who)
        try:
            if self.bus is not None:
                await self.bus.ready()
            yield Room(name, rooms=self)
            self.forget(member)
            member.wake()
            if member.task is not None:
                await asyncio.wait([member.task], timeout=_FLUSH)
        finally:
            member.leave()

    def send(self, name: str, message: Data, but: Any = None) -> None:
        """Tell all members of the room `name`, never wait.

        Args:
            name: of the room.
            message: text or bytes, as each member's client gets it.
            but: the socket of a member who is not told, mostly the one who speaks.

        Raises:
            RoomError: 1008, no name of a room; 1009, larger than `max_message`; 1007, text that is
                no Unicode.
            TypeError: neither text nor bytes.
        """
        self._check(name, message)
        if self.bus is not None and self._loop is None:
            self.start()
        if asyncio._get_running_loop() is self._loop:
            self._tell(name, message, but)
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, name, message, but)

    def start(self) -> None:
        """Begin on the running event loop, with the bus. `join` does it, too.

        Raises:
            RuntimeError: there is no running event loop, or members are on another one.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self and self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("these Rooms have members on another event loop")
            self.clear()  # what an event loop that was closed has left behind
            self._loop = loop
            if self.bus is not None:
                self.bus.start(self._deliver)

    async def close(self) -> None:
        """Leave the bus; members stay in their rooms."""
        if self.bus is not None and self._loop is asyncio.get_running_loop():
            await self.bus.stop()
        self._loop = None

    def forget(self, member: Member) -> None:
        """Let a member go, and a room that is empty; more than once means nothing."""
        members = self.get(member.room, {})
        if members.get(member.socket) is member:
            del members[member.socket]
            if not members:
                del self[member.room]

    def _tell(self, name: str, message: Data, but: Any) -> None:
        if self.bus is not None:
            self.bus.publish(name, message)
        self._deliver(name, message, but)

    def _deliver(self, name: str, message: Data, but: Any = None) -> None:
        if len(message) <= self.max_message:  # other processes may allow more
            told = [each for each in self.members(name) if but is None or each.socket != but]
            for member in told:
                member.tell(message)
            self._wake([member for member in told if member.task is None])

    def _wake(self, members: list[Member]) -> None:
        """Wake members, some in each turn of the loop: what was sent leaves between two turns."""
        for member in members[:_AT_ONCE]:
            member.wake()
        if self._loop is not None and members[_AT_ONCE:]:
            self._loop.call_soon(self._wake, members[_AT_ONCE:])

    def _check(self, name: str, message: Data = "") -> None:
        if not 0 < _size(name) <= self.max_name:
            raise RoomError(1008, f"A room's name has 1 to {self.max_name} bytes of UTF-8.")
        if _size(message) > self.max_message:
            raise RoomError(1009, f"A message has more than {self.max_message} bytes.")


def _size(data: Any) -> int:
    """Return the number of bytes, in UTF-8."""
    if not isinstance(data, (str, bytes)):
        raise TypeError(f"a message is str or bytes, not {data!r:.40}: see send_json()")
    try:
        return len(data.encode() if isinstance(data, str) else data)
    except UnicodeEncodeError:
        raise RoomError(1007, "This is no Unicode text.") from None


class Room:
    """Members that hear each other: one of `Rooms`, or alone: `room = Room()`."""

    def __init__(self, name: str = "room", *, rooms: Rooms | None = None, **options: Any) -> None:
        """Name a room of `rooms`, or of new ones with these options of `Rooms`."""
        self.name = name
        self._rooms = Rooms(**options) if rooms is None else rooms

    @property
    def members(self) -> tuple[Member, ...]:
        """Those in this process, in the order they came; each has `who` and `socket`."""
        return self._rooms.members(self.name)

    def join(self, socket: Any, who: Any = None) -> AbstractAsyncContextManager[Room]:
        """Be a member inside `async with`: see `Rooms.join`."""
        return self._rooms.join(self.name, socket, who)

    def send(self, message: Data, but: Any = None) -> None:
        """Tell all members, never wait: see `Rooms.send`."""
        self._rooms.send(self.name, message, but)

    def send_json(self, value: Any, but: Any = None) -> None:
        """Tell all members `value`, as JSON in a text message."""
        self.send(dump_json(value).decode(), but)
