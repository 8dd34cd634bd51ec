"""Random joins, leaves, words and clients that stop reading: what holds of rooms in each case."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bare_serve.bare import RoomError, Rooms
from bare_serve.bare import rooms as module
from tests.bare.sockets import FakeSocket, turns

NAMES = ("tea", "coffee")
LIMIT = 3
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from(NAMES), st.booleans()),
        st.tuples(
            st.sampled_from(["leave", "fail", "cancel", "read", "stop reading", "vanish"]),
            st.integers(0, 9),
            st.none(),
        ),
        st.tuples(st.just("say"), st.sampled_from(NAMES), st.integers(1, 5)),
        st.tuples(st.just("turn"), st.none(), st.none()),
    ),
    max_size=40,
)


class Visitor:
    """A socket, and the handler that is in a room with it."""

    def __init__(self, rooms: Rooms, name: str, reads: bool) -> None:
        self.name = name
        self.socket = FakeSocket(reads=reads)
        self.reads_all = reads
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard: list[str] = []  # what was said while it was in the room
        self.task = asyncio.create_task(self.handle(rooms))

    async def handle(self, rooms: Rooms) -> None:
        async with rooms.join(self.name, self.socket):
            await self.end

    @property
    def inside(self) -> bool:
        return not (self.task.done() or self.end.done())


async def play(slow: Any, actions: list[tuple[str, Any, Any]]) -> None:
    rooms = Rooms(limit=LIMIT, slow=slow, max_rooms=2)
    visitors: list[Visitor] = []
    said = 0
    for action, what, how in actions:
        if action == "join":
            visitors.append(Visitor(rooms, what, how))
            await turns(1)
        elif action == "say":
            for _ in range(how):
                for each in rooms.members(what):
                    (visitor,) = (one for one in visitors if one.socket is each.socket)
                    visitor.heard.append(str(said))
                rooms.send(what, str(said))
                said += 1
        elif action == "turn":
            await turns()
        elif visitors:
            act(visitors[what % len(visitors)], action)
        check(rooms, visitors)
    await turns()
    for visitor in visitors:
        check_heard(visitor, slow)
        visitor.socket.reads = True
        if not visitor.end.done():
            visitor.end.set_result(None)
    results = await asyncio.gather(*(each.task for each in visitors), return_exceptions=True)
    for result in results:
        assert result is None or isinstance(
            result, (ZeroDivisionError, asyncio.CancelledError, RoomError)
        )
    await turns()
    assert len(rooms) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


def act(visitor: Visitor, action: str) -> None:
    if action == "leave" and visitor.inside:
        visitor.end.set_result(None)
    elif action == "fail" and visitor.inside:
        visitor.end.set_exception(ZeroDivisionError())
    elif action == "cancel":
        visitor.task.cancel()
    elif action == "vanish":
        visitor.socket.left = BrokenPipeError()
    elif action in ("read", "stop reading"):
        visitor.socket.reads = action == "read"
    if action not in ("leave", "read"):
        visitor.reads_all = False


def check(rooms: Rooms, visitors: list[Visitor]) -> None:
    """No room is empty, each member is a visitor of it, once, and no queue is longer than said."""
    assert set(rooms) <= set(NAMES)
    for name in rooms:
        members = rooms.members(name)
        assert members
        sockets = [each.socket for each in members]
        assert len({id(socket) for socket in sockets}) == len(sockets)
        here = [one.socket for one in visitors if one.name == name and not one.task.done()]
        assert all(any(socket is one for one in here) for socket in sockets)
        for each in members:
            assert len(each._queue) <= LIMIT * module._BURST


def check_heard(visitor: Visitor, slow: Any) -> None:
    """Who reads hears all, in order, once; others a part of it, in order; 1013 at most once."""
    got = [str(each) for each in visitor.socket.got]
    rest = iter(visitor.heard)
    assert all(any(each == other for other in rest) for each in got), "in order, and once"
    if visitor.reads_all:
        assert got == visitor.heard
        assert visitor.socket.closed == []
    assert len(visitor.socket.closed) <= (slow == "close")


@settings(max_examples=75, deadline=None)
@given(st.sampled_from(["close", "drop-oldest"]), ACTIONS)
def test_rooms_hold_in_any_order_of_events(slow: Any, actions: list[tuple[str, Any, Any]]) -> None:
    before, module._FLUSH = module._FLUSH, 0.01
    try:
        asyncio.run(play(slow, actions))
    finally:
        module._FLUSH = before
