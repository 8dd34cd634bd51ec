"""The bus on a real Redis: what is said is heard once and in order, whatever becomes of Redis."""

from __future__ import annotations

import asyncio
import builtins
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_serve.bare import RedisBus, Rooms, redis_bus
from tests.bare.sockets import FakeSocket, turns, until
from tests.support.redis_server import RedisServer, needs_redis, redis_server

pytestmark = [needs_redis, pytest.mark.xdist_group("redis")]

Play = Callable[[RedisServer], Awaitable[None]]


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """One that lives; tests do not share its channels."""
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds in life takes tenths here."""
    for name, seconds in {"_LONGEST_PAUSE": 0.1, "_SETTLE": 0.5, "_AT_ONCE": 5}.items():
        monkeypatch.setattr(redis_bus, name, seconds)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What was logged."""
    with caplog.at_level(logging.INFO, "bare_serve.bare"):
        yield lambda: [record.getMessage() for record in caplog.records]


class Pair:
    """Two processes' rooms, and a member in the room "tea" of each."""

    def __init__(self, url: str, prefix: str = "", **options: Any) -> None:
        self.buses = [RedisBus(url, prefix=prefix or f"{id(self)}:", **options) for _ in range(2)]
        self.one, self.two = (Rooms(bus=bus) for bus in self.buses)
        self.ann, self.bob = FakeSocket(), FakeSocket()

    async def __aenter__(self) -> Pair:
        self.joined = [self.one.join("tea", self.ann), self.two.join("tea", self.bob)]
        for each in self.joined:
            await each.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        for each in self.joined:
            await each.__aexit__(None, None, None)
        await self.one.close()
        await self.two.close()

    def say(self, *messages: str | bytes) -> None:
        """As one of the first process."""
        for message in messages:
            self.one.send("tea", message)

    async def bob_heard(self, number: int) -> list[str | bytes]:
        """Waits for what has come by the bus."""
        await until(lambda: len(self.bob.got) >= number)
        await asyncio.sleep(0.05)
        return self.bob.got


def play(scene: Awaitable[None]) -> None:
    """Runs a scene; a task that is left over is a failure."""

    async def checked() -> None:
        await scene
        await turns()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(checked())


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


def test_processes_hear_each_other(shared: RedisServer) -> None:
    async def scene() -> None:
        async with Pair(shared.url) as pair:
            eve = FakeSocket()
            async with pair.two.join("coffee", eve):
                pair.say("hi", b"\xff\0", "\u00e4\U0001f600", "")
                assert await pair.bob_heard(4) == ["hi", b"\xff\0", "\u00e4\U0001f600", ""]
                pair.two.send("tea", "back")
                await until(lambda: len(pair.ann.got) >= 5)
                await asyncio.sleep(0.05)
                assert pair.ann.got[4:] == ["back"], "no echo of what was said here"
                assert pair.bob.got[4:] == ["back"]
                pair.one.send("coffee", "hot")
                await until(lambda: eve.got)
                assert eve.got == ["hot"]

    play(scene())


def test_order_is_kept_in_each_direction(shared: RedisServer) -> None:
    async def scene() -> None:
        async with Pair(shared.url) as pair:
            for number in range(0, 500, 10):
                pair.say(*numbers(number, number + 10))
                await asyncio.sleep(0)
            assert await pair.bob_heard(500) == numbers(0, 500)

    play(scene())


def test_a_room_is_heard_from_the_first_moment(shared: RedisServer) -> None:
    """`join` waits until Redis has confirmed; so does one that comes back at once."""

    async def scene() -> None:
        async with Pair(shared.url) as pair:
            for number in range(20):
                eve = FakeSocket()
                began = time.monotonic()
                async with pair.two.join("new", eve):
                    pair.one.send("new", str(number))
                    await until(lambda eve=eve: eve.got)
                assert eve.got == [str(number)]
                assert time.monotonic() - began < 20

    play(scene())


def test_a_prefix_is_taken_as_it_is(shared: RedisServer) -> None:
    """What are wildcards of Redis are none in a prefix, and one that begins alike is another."""

    async def scene() -> None:
        async with Pair(shared.url, prefix="[a]*?:") as pair, Pair(shared.url, prefix="ax:") as ax:
            ax.say("elsewhere")
            shared.do("PUBLISH", "a?:tea", "elsewhere")
            pair.say("here")
            assert await pair.bob_heard(1) == ["here"]
            assert await ax.bob_heard(1) == ["elsewhere"]

    play(scene())


def test_other_programs_may_speak(shared: RedisServer) -> None:
    async def scene() -> None:
        async with Pair(shared.url, prefix="others:") as pair:
            for message in (b"\xff", "x" * 65_537, "hello", redis_bus._MARK + b"short"):
                shared.do("PUBLISH", "others:tea", message)
            shared.do("PUBLISH", "others:", "to no room")
            expected = ["\ufffd", "hello", (redis_bus._MARK + b"short").decode()]
            assert await pair.bob_heard(3) == pair.ann.got == expected

    play(scene())


def test_what_is_sent_twice_is_heard_once(shared: RedisServer) -> None:
    """A connection may break after Redis has taken messages, and before it has said so."""

    async def scene() -> None:
        async with Pair(shared.url, prefix="twice:") as pair:
            head = redis_bus._HEAD
            for number in (1, 2, 1, 2, 3, 3):
                shared.do(
                    "PUBLISH",
                    "twice:tea",
                    head.pack(redis_bus._MARK, b"somebody", number, True) + b"%d" % number,
                )
            assert await pair.bob_heard(3) == ["1", "2", "3"]

    play(scene())


def test_senders_are_remembered_up_to_a_bound(shared: RedisServer) -> None:
    async def scene() -> None:
        bus, heard = RedisBus(shared.url, prefix="senders:"), []
        bus.start(lambda name, message: heard.append((name, message)))
        for number in range(10_000):
            head = redis_bus._HEAD.pack(redis_bus._MARK, number.to_bytes(8), 1, True)
            bus._take({"channel": b"senders:tea", "data": head + b"hi"})
            bus._take({"channel": b"senders:tea", "data": head + b"again"})
        await bus.stop()
        assert heard == [("tea", "hi")] * 10_000
        assert len(bus._last) < 5000

    play(scene())


def test_connections_that_are_killed_come_back(told: Callable[[], list[str]]) -> None:
    async def scene(server: RedisServer) -> None:
        async with Pair(server.url) as pair:
            pair.say("before")
            await pair.bob_heard(1)
            server.do("CLIENT", "KILL", "TYPE", "pubsub")
            server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await until(lambda: sum("is back after" in text for text in told()) == 2)
            pair.say("after")
            assert await pair.bob_heard(2) == ["before", "after"]

    with redis_server() as server:
        play(scene(server))
    assert [text for text in told() if "cannot be used" in text]


def test_redis_is_killed_and_starts_again(told: Callable[[], list[str]]) -> None:
    """What is said meanwhile is heard afterwards, in each room; members here are told at once."""

    async def scene(server: RedisServer) -> None:
        async with Pair(server.url) as pair:
            eve = FakeSocket()
            pair.say("before")
            await pair.bob_heard(1)
            server.kill()
            await until(lambda: sum("cannot be used" in text for text in told()) >= 2)
            pair.say(*numbers(0, 50))
            await turns()
            assert pair.ann.got == ["before", *numbers(0, 50)], "here they are heard at once"
            assert pair.bob.got == ["before"]
            pair.two.send("tea", "back")
            async with pair.two.join("new", eve):  # while Redis is away, without waiting for it
                pair.one.send("new", "hi")
                server.start()
                assert await pair.bob_heard(52) == ["before", "back", *numbers(0, 50)]
                await until(lambda: "back" in pair.ann.got and eve.got)
                pair.say("after")
                assert (await pair.bob_heard(53))[-1] == "after"
                assert eve.got == ["hi"]

    with redis_server() as server:
        play(scene(server))
    back = [text for text in told() if "is back after" in text]
    assert len(back) == 2
    assert sum("51 messages were kept, 0 lost" in text for text in back) == 1
    assert sum("1 messages were kept, 0 lost" in text for text in back) == 2  # 51, too


def test_what_is_kept_is_bounded(told: Callable[[], list[str]]) -> None:
    async def scene(server: RedisServer) -> None:
        server.kill()
        async with Pair(server.url, buffer=250) as pair:
            await until(lambda: sum("cannot be used" in text for text in told()) >= 2)
            pair.say(*numbers(0, 25))
            await turns()
            assert pair.buses[0].dropped == 15
            server.start()
            assert await pair.bob_heard(10) == numbers(15, 25)
            await until(lambda: any("10 messages were kept, 15 lost" in text for text in told()))

    with redis_server() as server:
        play(scene(server))


def test_redis_that_does_not_answer(
    told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it, and what it was asked is not heard twice when it wakes."""
    monkeypatch.setattr(redis_bus, "_PATIENCE", 0.3)

    async def scene(server: RedisServer) -> None:
        async with Pair(server.url) as pair:
            pair.say("before")
            await pair.bob_heard(1)
            server.pause()
            pair.say(*numbers(0, 5))
            await until(lambda: any("Timeout" in text or "no answer" in text for text in told()))
            pair.say(*numbers(5, 10))
            server.go_on()
            assert await pair.bob_heard(11) == ["before", *numbers(0, 10)]

    with redis_server() as server:
        play(scene(server))


def test_silence_is_asked_about(
    told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that vanishes without a word is noticed also by who says nothing."""
    monkeypatch.setattr(redis_bus, "_SILENCE", 0.5)

    async def scene(server: RedisServer) -> None:
        async with Pair(server.url) as pair:
            server.pause()
            await until(lambda: any("Timeout" in text or "no answer" in text for text in told()))
            server.go_on()
            await until(lambda: any("is back after" in text for text in told()))
            # A busy machine may be silent for longer: then the other one is away meanwhile.
            await until(lambda: pair.bob.got or pair.say("hi"))
            assert pair.bob.got[0] == "hi"

    with redis_server() as server:
        play(scene(server))


REFUSALS = {
    "no password": ("", "AuthenticationError"),
    "wrong password": (":wrong-secret@", "invalid username-password pair"),
    "no permission": ("reader:secret@", "has no permissions to run the 'psubscribe' command"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_told_once(case: str, told: Callable[[], list[str]]) -> None:
    user, message = REFUSALS[case]

    async def scene(server: RedisServer) -> None:
        url = server.url.replace("//", f"//{user}")
        rooms = Rooms(bus=RedisBus(url))
        ann = FakeSocket()
        async with rooms.join("tea", ann) as room:
            room.send("hi")
            await until(told)
            await asyncio.sleep(0.5)  # some more attempts
            assert ann.got == ["hi"]
        await rooms.close()

    with redis_server(
        "--requirepass", "secret", "--user", "reader", "on", ">secret", "+ping"
    ) as server:
        play(scene(server))
    assert len(told()) == 1
    assert f"Redis at 127.0.0.1:{server.port} cannot be used" in told()[0]
    assert message in told()[0]
    assert "secret" not in told()[0]


def test_the_right_password() -> None:
    async def scene(server: RedisServer) -> None:
        async with Pair(server.url.replace("//", "//:secret@")) as pair:
            pair.say("hi")
            assert await pair.bob_heard(1) == ["hi"]

    with redis_server("--requirepass", "secret") as server:
        play(scene(server))


def test_the_permissions_that_the_documents_name() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rooms.md").read_text("utf-8")
    rights = re.findall(r"`(\+publish [^`]+)` and the channels `(&[^`]+)`", text)[0]

    async def scene(server: RedisServer) -> None:
        url = server.url.replace("//", "//speaker:secret@")
        async with Pair(url, prefix="bare:room:") as pair:
            pair.say("hi")
            assert await pair.bob_heard(1) == ["hi"]

    options = " ".join(["--user speaker on >secret resetchannels", *rights]).split()
    with redis_server(*options) as server:
        play(scene(server))


def test_the_last_words_are_said(shared: RedisServer) -> None:
    async def scene() -> None:
        async with Pair(shared.url) as pair:
            pair.say(*numbers(0, 500))
            await pair.one.close()
            assert await pair.bob_heard(500) == numbers(0, 500)

    play(scene())


def test_a_bus_may_stop_and_start_while_redis_is_away() -> None:
    async def scene(server: RedisServer) -> None:
        server.kill()
        pair = Pair(server.url)
        for _ in range(2):
            began = time.monotonic()
            async with pair:
                pair.say("hi")
            assert time.monotonic() - began < 10
        server.start()
        async with pair:
            pair.say("now")
            assert await pair.bob_heard(1) == ["now"]

    with redis_server() as server:
        play(scene(server))


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost", "localhost:6379", "http://:secret@localhost", "redis://:secret@h:abc"),
        *("redis://:secret@h/?nonsense=1", "redis://h/?socket_timeout=soon"),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs an URL such as redis://") as caught:
        RedisBus(url)
    assert caught.value.__suppress_context__
    assert ":secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:secret@redis.example/3", "redis.example:6379"),
        ("rediss://redis.example:7000", "redis.example:7000"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
    ],
)
def test_where_redis_is(url: str, place: str) -> None:
    assert RedisBus(url).place == place


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "redis":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'bare-serve\[bus\]'"):
        RedisBus()
