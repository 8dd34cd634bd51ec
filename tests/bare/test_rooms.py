"""Rooms: what one says all hear, nobody waits for anybody, and all is bounded."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bare_serve.bare import CloseWebSocket, Room, RoomError, Rooms
from bare_serve.bare import rooms as module
from tests.bare.sockets import FakeSocket, turns, until


@pytest.fixture(autouse=True)
def short_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps tests of members that leave behind a slow client short."""
    monkeypatch.setattr(module, "_FLUSH", 0.05)


def scene(play: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Makes a test of a coroutine function; what is left running afterwards is a failure."""

    async def checked() -> None:
        await play()
        await turns()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    def test() -> None:
        asyncio.run(checked())

    test.__doc__ = play.__doc__
    return test


@scene
async def test_all_members_hear_what_one_says() -> None:
    rooms = Rooms()
    ann, bob, eve = FakeSocket(), FakeSocket(), FakeSocket()
    async with rooms.join("tea", ann) as room, rooms.join("tea", bob), rooms.join("coffee", eve):
        room.send("to all")
        room.send("to the others", but=ann)
        room.send(b"\xff\0")
        room.send_json({"a": [1, None]})
        room.send("")
        await turns()
    assert bob.got == ["to all", "to the others", b"\xff\0", '{"a":[1,null]}', ""]
    assert ann.got == [each for each in bob.got if each != "to the others"]
    assert eve.got == []


@scene
async def test_empty_room_forgotten() -> None:
    rooms = Rooms()
    ann, bob = FakeSocket(), FakeSocket()
    async with rooms.join("tea", ann) as room:
        gone = weakref.ref(room)
        async with rooms.join("tea", bob):
            assert list(rooms) == ["tea"]
        assert "tea" in rooms
    assert (len(rooms), "tea" in rooms) == (0, False)
    del room
    gc.collect()
    assert gone() is None


@scene
async def test_a_room_that_was_left_still_reaches_those_who_came_since() -> None:
    """A handler says "Ann has left" behind its `async with`."""
    rooms = Rooms()
    ann, bob = FakeSocket(), FakeSocket()
    async with rooms.join("tea", ann) as room:
        pass
    room.send("to nobody")
    async with rooms.join("tea", bob):
        room.send("Ann has left")
        assert [each.socket for each in room.members] == [bob]
        await turns()
    assert bob.got == ["Ann has left"]


@scene
async def test_members_are_known_by_what_they_gave() -> None:
    rooms = Rooms()
    ann, bob = FakeSocket(), FakeSocket()
    async with rooms.join("tea", ann, who="Ann") as room, rooms.join("tea", bob, who="Bob"):
        assert [each.who for each in room.members] == ["Ann", "Bob"]
        assert [each.socket for each in rooms.members("tea")] == [ann, bob]
    assert rooms.members("tea") == ()


@scene
async def test_a_room_alone() -> None:
    room = Room()
    ann = FakeSocket()
    async with room.join(ann):
        room.send("hi")
        assert len(room.members) == 1
        await turns()
    assert ann.got == ["hi"]
    room.send("to nobody")


@scene
async def test_slow_member_1013_others_unhurt() -> None:
    rooms = Rooms(limit=3)
    slow, fast = FakeSocket(reads=False), FakeSocket()
    async with rooms.join("tea", slow, "slow"), rooms.join("tea", fast, "fast") as room:
        for number in range(10):
            room.send(str(number))
            await turns()
        assert [each.who for each in room.members] == ["fast"]
        assert slow.closed == [(1013, "You read too slowly.")], "once"
        assert slow.got == ["0"]
    assert fast.got == [str(number) for number in range(10)]


@scene
async def test_slow_member_loses_the_oldest() -> None:
    rooms = Rooms(limit=3, slow="drop-oldest")
    slow = FakeSocket(reads=False)
    async with rooms.join("tea", slow) as room:
        for number in range(10):
            room.send(str(number))
            await turns()
        assert room.members[0].missed == 6
        slow.reads = True
        await turns()
        room.send("last")
    assert slow.got == ["0", "7", "8", "9", "last"]
    assert slow.closed == []


@pytest.mark.parametrize("slow", ["close", "drop-oldest"])
def test_a_burst_makes_nobody_slow(slow: Any) -> None:
    """What is said in one turn of the loop leaves members no time: no fault of theirs."""

    async def play() -> None:
        rooms = Rooms(limit=10, slow=slow)
        fast = FakeSocket()
        async with rooms.join("tea", fast) as room:
            for number in range(100):
                room.send(str(number))
        assert fast.got == [str(number) for number in range(100)]
        assert fast.closed == []

    asyncio.run(play())


@scene
async def test_a_burst_is_bounded() -> None:
    rooms = Rooms(limit=10)
    fast = FakeSocket()
    async with rooms.join("tea", fast) as room:
        for number in range(101):
            room.send(str(number))
        assert room.members == ()
        await turns()
    assert [code for code, _ in fast.closed] == [1013]


@scene
async def test_who_leaves_in_peace_gets_what_was_said_before() -> None:
    rooms = Rooms()
    ann = FakeSocket()
    async with rooms.join("tea", ann) as room:
        room.send("1")
        room.send("2")
    room.send("3")
    assert ann.got == ["1", "2"]


@scene
async def test_who_leaves_does_not_wait_for_a_client_that_does_not_read() -> None:
    rooms = Rooms()
    slow = FakeSocket(reads=False)
    async with asyncio.timeout(20):
        async with rooms.join("tea", slow) as room:
            room.send("1")
            room.send("2")
        assert slow.got == ["1"]


@scene
async def test_leaving_by_an_exception_is_at_once() -> None:
    rooms = Rooms()
    slow = FakeSocket(reads=False)

    async def handler() -> None:
        async with rooms.join("tea", slow) as room:
            room.send("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await handler()
    assert len(rooms) == 0
    assert slow.got == []


@scene
async def test_leaving_by_cancellation() -> None:
    rooms = Rooms()

    async def handler() -> None:
        async with rooms.join("tea", FakeSocket(reads=False)) as room:
            room.send("1")
            await asyncio.Event().wait()

    task = asyncio.create_task(handler())
    await turns()
    assert len(rooms) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rooms) == 0


@scene
async def test_cancellation_while_the_last_messages_leave() -> None:
    rooms = Rooms()

    async def handler() -> None:
        async with rooms.join("tea", FakeSocket(reads=False)) as room:
            room.send("1")

    task = asyncio.create_task(handler())
    await turns()
    assert not task.done(), "it waits for the client"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rooms) == 0


@scene
async def test_a_client_that_left_is_no_member() -> None:
    rooms = Rooms()
    gone, ann = FakeSocket(), FakeSocket()
    gone.left = BrokenPipeError()
    async with rooms.join("tea", gone), rooms.join("tea", ann) as room:
        room.send("1")
        await turns()
        assert [each.socket for each in room.members] == [ann]
        room.send("2")
        await turns()
    assert gone.closed == []
    assert ann.got == ["1", "2"]


def test_a_send_that_fails_is_logged_and_closes(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        rooms = Rooms()
        odd, ann = FakeSocket(), FakeSocket()
        odd.left = ValueError("odd")
        async with rooms.join("tea", odd), rooms.join("tea", ann) as room:
            room.send("1")
            await turns()
            assert len(room.members) == 1
        assert odd.closed == [(1011, "")]
        assert ann.got == ["1"]

    asyncio.run(play())
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("bare_serve.bare", logging.ERROR)
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "odd"


class Breaking(FakeSocket):
    """Cannot even be closed."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        raise RuntimeError("closed twice")


@scene
async def test_a_close_that_fails_hurts_nobody() -> None:
    rooms = Rooms(limit=1)
    slow, ann = Breaking(reads=False), FakeSocket()
    async with rooms.join("tea", slow), rooms.join("tea", ann) as room:
        for _ in range(4):
            room.send("x")
            await turns()
        assert len(room.members) == 1
    assert len(ann.got) == 4


@scene
async def test_the_last_member_is_dropped_while_it_is_in_the_room() -> None:
    rooms = Rooms(limit=1)
    slow, ann = FakeSocket(reads=False), FakeSocket()
    async with rooms.join("tea", slow) as room:
        for _ in range(4):
            room.send("x")
            await turns()
        assert len(rooms) == 0
        async with rooms.join("tea", ann):
            room.send("from who was dropped")
            await turns()
        assert len(rooms) == 0
    assert ann.got == ["from who was dropped"]


# ---------------------------------------------------------------------- bounds

NAMES = {
    "": 1008,
    "x" * 201: 1008,
    "\u00e4" * 101: 1008,
    "\ud800": 1007,
    "x" * 200: None,
    "\u00e4" * 100: None,
    "a/b \0": None,
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_are_bounded(name: str) -> None:
    async def play() -> int | None:
        rooms = Rooms()
        try:
            async with rooms.join(name, FakeSocket()):
                assert list(rooms) == [name]
                rooms.send(name, "hi")
        except RoomError as error:
            assert len(rooms) == 0
            with pytest.raises(RoomError):
                rooms.send(name, "hi")
            return error.code
        return None

    assert asyncio.run(play()) == NAMES[name]


MESSAGES: dict[Any, int | None] = {
    "x" * 101: 1009,
    b"x" * 101: 1009,
    "\u00e4" * 51: 1009,
    "\ud800": 1007,  # as a client may write it in JSON: "\ud800"
    "x" * 100: None,
    "\u00e4" * 50: None,
    b"\xff" * 100: None,
}


@pytest.mark.parametrize("message", MESSAGES, ids=ascii)
def test_messages_are_bounded(message: Any) -> None:
    """What cannot be sent fails for who says it, not for those who would hear it."""

    async def play() -> int | None:
        rooms = Rooms(max_message=100)
        room = Room(max_message=100)
        ann, bob = FakeSocket(), FakeSocket()
        code = None
        async with rooms.join("tea", ann) as tea, room.join(bob):
            for send in (tea.send, room.send, lambda text: rooms.send("tea", text)):
                try:
                    send(message)
                except CloseWebSocket as error:
                    code = error.code
        assert ann.got == ([] if code else [message, message])
        assert bob.got == ([] if code else [message])
        return code

    assert asyncio.run(play()) == MESSAGES[message]


@scene
async def test_a_message_is_text_or_bytes() -> None:
    rooms = Rooms()
    async with rooms.join("tea", FakeSocket()) as room:
        for wrong in (None, 1, {"a": 1}, bytearray(b"x")):
            with pytest.raises(TypeError, match=r"str or bytes, not .*: see send_json\(\)"):
                room.send(wrong)  # type: ignore[arg-type]


@scene
async def test_lone_surrogates_in_json_are_escaped() -> None:
    room = Room()
    ann = FakeSocket()
    async with room.join(ann):
        room.send_json({"text": "\ud800"})
        await turns()
    assert ann.got == ['{"text":"\\ud800"}']


@scene
async def test_rooms_are_bounded() -> None:
    rooms = Rooms(max_rooms=2)
    async with rooms.join("a", FakeSocket()), rooms.join("b", FakeSocket()):
        with pytest.raises(RoomError, match="too many rooms") as caught:
            async with rooms.join("c", FakeSocket()):
                pass
        assert caught.value.code == 1013
        async with rooms.join("b", FakeSocket()):
            pass
    async with rooms.join("c", FakeSocket()):
        assert len(rooms) == 1


@scene
async def test_members_are_bounded() -> None:
    rooms = Rooms(max_members=1)
    ann = FakeSocket()
    async with rooms.join("tea", ann) as room:
        with pytest.raises(RoomError, match="full") as caught:
            async with rooms.join("tea", FakeSocket()):
                pass
        assert caught.value.code == 1013
        assert [each.socket for each in room.members] == [ann]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"slow": "wait"}, 'slow is "close" or "drop-oldest"'), ({"limit": 0}, "at least 1 message")],
)
def test_wrong_options_are_refused_where_they_are_given(
    options: dict[str, Any], message: str
) -> None:
    for kind in (Room, Rooms):
        with pytest.raises(ValueError, match=message):
            kind(**options)


# ---------------------------------------------------------------------- who joins how


class Unaccepted(FakeSocket):
    """A WebSocket before its handshake is over."""

    accepted = False


@scene
async def test_join_after_accept() -> None:
    rooms = Rooms()
    early = Unaccepted()
    with pytest.raises(RuntimeError, match=r"after `await ws.accept\(\)`"):
        async with rooms.join("tea", early):
            pass
    assert len(rooms) == 0
    early.accepted = True
    async with rooms.join("tea", early) as room:
        room.send("now")
    assert early.got == ["now"]


@scene
async def test_nobody_joins_a_room_twice() -> None:
    rooms = Rooms()
    ann = FakeSocket()
    async with rooms.join("tea", ann) as room, rooms.join("coffee", ann):
        with pytest.raises(RuntimeError, match="is in the room 'tea' already"):
            async with rooms.join("tea", ann):
                pass
        room.send("once")
        rooms.send("coffee", "hot")
    assert sorted(map(str, ann.got)) == ["hot", "once"]


@scene
async def test_other_threads_may_speak() -> None:
    rooms = Rooms()
    room = Room()
    ann, bob = FakeSocket(), FakeSocket()

    def speak() -> None:
        rooms.send("tea", "hi")
        rooms.send("nowhere", "hi")
        room.send("ho")
        with pytest.raises(RoomError):
            rooms.send("", "hi")

    async with rooms.join("tea", ann), room.join(bob):
        thread = threading.Thread(target=speak)
        thread.start()
        await until(lambda: ann.got and bob.got)
        thread.join()
    assert (ann.got, bob.got) == (["hi"], ["ho"])


def test_without_an_event_loop_nobody_hears() -> None:
    Rooms().send("tea", "hi")
    Room().send("hi")


def test_rooms_outlive_event_loops() -> None:
    """As those of a module do, in tests."""
    rooms = Rooms()

    async def play() -> None:
        ann = FakeSocket()
        async with rooms.join("tea", ann) as room:
            room.send("hi")
        assert ann.got == ["hi"]

    asyncio.run(play())
    rooms.send("tea", "to nobody")
    asyncio.run(play())


def test_rooms_do_not_span_event_loops() -> None:
    rooms = Rooms()
    errors: list[BaseException] = []

    async def join() -> None:
        async with rooms.join("tea", FakeSocket()):
            pass

    def elsewhere() -> None:
        try:
            asyncio.run(join())
        except RuntimeError as error:
            errors.append(error)

    async def play() -> None:
        async with rooms.join("tea", FakeSocket()):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()

    asyncio.run(play())
    assert "another event loop" in str(errors)


# ---------------------------------------------------------------------- many


@scene
async def test_200_slow_members_and_a_fast_one() -> None:
    rooms = Rooms()
    slow = [FakeSocket(reads=False) for _ in range(200)]
    fast = FakeSocket()
    async with AsyncExitStack() as stack:
        for socket in slow:
            await stack.enter_async_context(rooms.join("tea", socket))
        room = await stack.enter_async_context(rooms.join("tea", fast))
        behind = 0
        for number in range(300):
            room.send(str(number))
            await turns(2 if number else 20)  # the first one goes to all of them
            behind = max(behind, number + 1 - len(fast.got))
        assert behind == 0, "the fast one hears it two turns later, whatever the others do"
        assert [each.socket for each in room.members] == [fast]
    assert {tuple(socket.closed) for socket in slow} == {((1013, "You read too slowly."),)}
    assert {len(socket.got) for socket in slow} == {1}


@scene
async def test_a_message_to_many_leaves_others_their_turns() -> None:
    """No turn of the loop sends to all: what was sent leaves in between."""
    room = Room()
    sockets = [FakeSocket() for _ in range(100)]
    async with AsyncExitStack() as stack:
        for socket in sockets:
            await stack.enter_async_context(room.join(socket))
        room.send("hi")
        most = heard = 0
        while heard < 100:
            await asyncio.sleep(0)
            before, heard = heard, sum(len(socket.got) for socket in sockets)
            most = max(most, heard - before)
    assert most == module._AT_ONCE


# ---------------------------------------------------------------------- with a bus


class Hub:
    """What buses of a test share."""

    def __init__(self) -> None:
        self.buses: list[HubBus] = []

    def bus(self) -> HubBus:
        self.buses.append(HubBus(self))
        return self.buses[-1]


class HubBus:
    """A bus within a process."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.log: list[str] = []
        self.slow: asyncio.Event | None = None

    def start(self, deliver: Callable[[str, Any], None]) -> None:
        self.log.append("start")
        self.deliver = deliver

    async def ready(self) -> None:
        if self.slow is not None:
            await self.slow.wait()

    def publish(self, name: str, message: Any) -> None:
        for bus in self.hub.buses:
            if bus is not self:
                bus.deliver(name, message)

    async def stop(self) -> None:
        self.log.append("stop")


@scene
async def test_a_bus_joins_rooms() -> None:
    hub = Hub()
    one, two = Rooms(bus=hub.bus()), Rooms(bus=hub.bus(), max_message=100)
    ann, bob, eve = FakeSocket(), FakeSocket(), FakeSocket()
    two.start()
    async with one.join("tea", ann) as room, two.join("tea", bob), two.join("coffee", eve):
        room.send("to all")
        room.send(b"but me", but=ann)
        room.send("x" * 101)  # more than the others take
        two.send("tea", "back")
        one.send("coffee", "hot")  # nobody is in that room here
        two.send("nowhere", "x")
        await turns()
    assert ann.got == ["to all", "x" * 101, "back"]
    assert bob.got == ["to all", b"but me", "back"]
    assert eve.got == ["hot"]
    await one.close()
    await two.close()
    await two.close()
    assert [bus.log for bus in hub.buses] == [["start", "stop"], ["start", "stop"]]


@scene
async def test_who_is_cancelled_while_joining_is_no_member() -> None:
    hub = Hub()
    rooms = Rooms(bus=hub.bus())
    hub.buses[0].slow = asyncio.Event()

    async def handler() -> None:
        async with rooms.join("tea", FakeSocket()):
            raise AssertionError("joined")

    task = asyncio.create_task(handler())
    await turns()
    assert len(rooms) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rooms) == 0


@scene
async def test_a_process_without_members_speaks_on_the_bus() -> None:
    hub = Hub()
    one, two = Rooms(bus=hub.bus()), Rooms(bus=hub.bus())
    ann = FakeSocket()
    async with two.join("tea", ann):
        one.send("tea", "from a plain handler")
        await turns()
    assert ann.got == ["from a plain handler"]


def test_a_thread_without_an_event_loop_cannot_begin_a_bus() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        Rooms(bus=Hub().bus()).send("tea", "hi")
