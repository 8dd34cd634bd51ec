"""Rooms: what one member says, all members hear, and nobody waits for anybody.

What lives here: who is in which room, how many rooms and members there may be, and what is said.
What must not: how a member gets messages (member.py), other processes (bus.py, redis_bus.py).

A room exists while somebody is in it. All that comes from outside is bounded: names, rooms,
members, messages, and the queue of each member. A room belongs to one event loop; `send` may be
called from any thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from bare_serve.bare.bus import Bus
from bare_serve.bare.closing import CloseWebSocket
from bare_serve.bare.jsons import dump_json
from bare_serve.bare.member import Data, Member, RawSend, Slow, Socket

_POLICY_VIOLATION, _NOT_TEXT, _TOO_BIG, _TRY_AGAIN_LATER = 1008, 1007, 1009, 1013


class RoomError(CloseWebSocket):
    """What a room refuses. A handler that does not catch it closes its WebSocket with `code`."""


class Room:
    """Members that hear each other. Made by `Rooms`, or alone: `room = Room()`."""

    def __init__(
        self,
        name: str = "",
        *,
        limit: int = 100,
        slow: Slow = "close",
        max_members: int = 10_000,
        max_message: int = 65_536,
        rooms: Rooms | None = None,
    ) -> None:
        """Make an empty room.

        Args:
            name: for the application.
            limit: messages that wait for a member whose client does not read.
            slow: what happens to such a member: "close" with code 1013, or "drop-oldest", which
                loses the member's oldest messages.
            max_members: in this process.
            max_message: bytes.
            rooms: those that the room is one of.
        """
        if slow not in ("close", "drop-oldest"):
            raise ValueError(f'slow is "close" or "drop-oldest", not {slow!r}')
        if limit < 1:
            raise ValueError(f"limit is at least 1 message, not {limit}")
        self.name = name
        self._limit, self._slow = limit, slow
        self._max_members, self._max_message = max_members, max_message
        self._rooms = rooms
        self._members: dict[Socket | RawSend, Member] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """Those in this process, in the order they came; each has `who` and `socket`."""
        if self._rooms is not None:
            return self._rooms.members(self.name)
        return tuple(self._members.values())

    @asynccontextmanager
    async def join(self, socket: Socket | RawSend, who: Any = None) -> AsyncIterator[Room]:
        """Be a member inside `async with`.

        Args:
            socket: a `WebSocket` that was accepted, or the `send` of an ASGI WebSocket.
            who: what the application wants to know the member by, such as a name.

        Raises:
            RoomError: 1013, the room is full.
            RuntimeError: the WebSocket was not accepted, or is in the room already.
        """
        member = self._enter(socket, who)
        try:
            yield self
        except BaseException:
            self._forget(member)
            member.vanish()
            raise
        self._forget(member)
        await member.leave()

    def send(self, message: Data, but: Socket | RawSend | None = None) -> None:
        """Tell all members, never wait.

        Args:
            message: text or bytes, as each member's client gets it.
            but: the socket of a member who is not told, mostly the one who speaks.

        Raises:
            RoomError: 1009, larger than `max_message`; 1007, text that is no Unicode.
        """
        if self._rooms is not None:
            self._rooms.send(self.name, message, but)
            return
        check(message, self._max_message)
        on_loop(self._loop, self._tell, message, but)

    def send_json(self, value: Any, but: Socket | RawSend | None = None) -> None:
        """Tell all members `value`, as JSON in a text message."""
        self.send(dump_json(value).decode(), but)

    def _enter(self, socket: Socket | RawSend, who: Any) -> Member:
        if getattr(socket, "accepted", True) is False:
            raise RuntimeError("join a room after `await ws.accept()`, not before")
        if socket in self._members:
            raise RuntimeError(f"this WebSocket is in the room {self.name!r} already")
        if len(self._members) >= self._max_members:
            raise RoomError(_TRY_AGAIN_LATER, "The room is full.")
        self._loop = asyncio.get_running_loop()
        member = Member(socket, who, self._limit, self._slow, self._forget)
        self._members[socket] = member
        return member

    def _forget(self, member: Member) -> None:
        """Let a member go; more than once means nothing."""
        if self._members.get(member.socket) is member:
            del self._members[member.socket]
            if not self._members and self._rooms is not None:
                self._rooms.forget(self)

    def _tell(self, message: Data, but: Socket | RawSend | None = None) -> None:
        for member in tuple(self._members.values()):
            if but is None or member.socket != but:
                member.tell(message)


class Rooms:
    """Rooms by name: they come with the first member and go with the last.

    `async with rooms` (or `start` and `close`) in a lifespan says goodbye to the bus; without a
    bus it is not needed.
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        slow: Slow = "close",
        max_rooms: int = 10_000,
        max_members: int = 10_000,
        max_name: int = 200,
        max_message: int = 65_536,
        bus: Bus | None = None,
    ) -> None:
        """Make rooms, none of them occupied.

        Args:
            limit, slow, max_members, max_message: of each room, see `Room`.
            max_rooms: with members in this process.
            max_name: bytes of a room's name in UTF-8.
            bus: joins the rooms of several processes, see `RedisBus`.
        """
        self._options: dict[str, Any] = {
            "limit": limit,
            "slow": slow,
            "max_members": max_members,
            "max_message": max_message,
        }
        Room(**self._options)  # wrong options are refused here
        self._max_rooms, self._max_name, self._max_message = max_rooms, max_name, max_message
        self._bus = bus
        self._rooms: dict[str, Room] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._rooms)

    def __contains__(self, name: object) -> bool:
        return name in self._rooms

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._rooms))

    def members(self, name: str) -> tuple[Member, ...]:
        """Return the members of a room in this process; none if there is no such room."""
        room = self._rooms.get(name)
        return tuple(room._members.values()) if room is not None else ()

    @asynccontextmanager
    async def join(
        self, name: str, socket: Socket | RawSend, who: Any = None
    ) -> AsyncIterator[Room]:
        """Be a member of the room `name` inside `async with`; see `Room.join`.

        With a bus, it waits until what others say is heard here, a second at most.

        Raises:
            RoomError: 1008, no name of a room; 1013, too many rooms, or the room is full.
            RuntimeError: as `Room.join`.
        """
        self._check_name(name)
        self.start()
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self._max_rooms:
                raise RoomError(_TRY_AGAIN_LATER, "There are too many rooms.")
            room = Room(name, rooms=self, **self._options)
        async with room.join(socket, who):
            if self._rooms.setdefault(name, room) is room and self._bus is not None:
                await self._bus.subscribe(name)
            yield room

    def send(self, name: str, message: Data, but: Socket | RawSend | None = None) -> None:
        """Tell all members of the room `name`, never wait; see `Room.send`.

        Raises:
            RoomError: 1008, no name of a room; and as `Room.send`.
        """
        self._check_name(name)
        check(message, self._max_message)
        if self._bus is not None and self._loop is None:
            self.start()
        on_loop(self._loop, self._tell, name, message, but)

    def send_json(self, name: str, value: Any, but: Socket | RawSend | None = None) -> None:
        """Tell all members of the room `name` a `value`, as JSON in a text message."""
        self.send(name, dump_json(value).decode(), but)

    def start(self) -> None:
        """Begin on the running event loop, with the bus. `join` does it, too.

        Raises:
            RuntimeError: there is no running event loop, or members are on another one.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._rooms and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("these Rooms have members on another event loop")
        self._rooms.clear()  # what an event loop that was closed has left behind
        self._loop = loop
        if self._bus is not None:
            self._bus.start(self._deliver)

    async def close(self) -> None:
        """Leave the bus; members stay in their rooms."""
        if self._bus is not None and self._loop is asyncio.get_running_loop():
            await self._bus.stop()
        self._loop = None

    async def __aenter__(self) -> Rooms:
        self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def forget(self, room: Room) -> None:
        """Let a room go that is empty."""
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            if self._bus is not None:
                self._bus.unsubscribe(room.name)

    def _tell(self, name: str, message: Data, but: Socket | RawSend | None) -> None:
        if self._bus is not None:
            self._bus.publish(name, message)
        room = self._rooms.get(name)
        if room is not None:
            room._tell(message, but)

    def _deliver(self, name: str, message: Data) -> None:
        """Take what another process has said."""
        room = self._rooms.get(name)
        if room is not None and len(message) <= self._max_message:
            room._tell(message)

    def _check_name(self, name: str) -> None:
        try:
            size = len(name.encode("utf-8"))
        except UnicodeEncodeError:
            size = 0
        if not 0 < size <= self._max_name:
            reason = f"A room's name has 1 to {self._max_name} bytes of UTF-8."
            raise RoomError(_POLICY_VIOLATION, reason)


def check(message: Any, max_message: int) -> None:
    """Refuse what cannot be sent, before it is in anybody's queue.

    Raises:
        RoomError: see `Room.send`.
        TypeError: neither text nor bytes.
    """
    if not isinstance(message, (str, bytes)):
        kind = type(message).__name__
        raise TypeError(f"a message to a room is str or bytes, not {kind}: see send_json()")
    try:
        size = len(message if isinstance(message, bytes) else message.encode("utf-8"))
    except UnicodeEncodeError:
        raise RoomError(_NOT_TEXT, "A message is no Unicode text.") from None
    if size > max_message:
        raise RoomError(_TOO_BIG, f"A message has more than {max_message} bytes.")


def on_loop(
    loop: asyncio.AbstractEventLoop | None, call: Callable[..., None], *arguments: Any
) -> None:
    """Call on the event loop of the members: now, or soon if this is another thread."""
    if loop is None or loop.is_closed():
        return  # nobody is there
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        call(*arguments)
    else:
        loop.call_soon_threadsafe(call, *arguments)
