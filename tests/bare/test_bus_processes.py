"""Rooms of two servers with two workers each, over a real Redis that dies in the middle."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support import Server, eventually, serve
from tests.support.redis_server import RedisServer, needs_redis, redis_server

pytestmark = [needs_redis, pytest.mark.xdist_group("redis")]

APP = """
import os
from bare_serve.bare import Bare, RedisBus, Rooms, WebSocket

rooms = Rooms(bus=RedisBus(os.environ["REDIS_URL"]))
app = Bare()
app.on_shutdown(rooms.close)

@app.websocket("/{room}")
async def chat(ws: WebSocket, room: str):
    await ws.accept()
    async with rooms.join(room, ws):
        await ws.send(f"pid {os.getpid()}")
        async for message in ws:
            rooms.send(room, message)

@app.post("/say/{room}")
def say(room: str, body: bytes):
    rooms.send(room, body.decode())
    return "said"
"""


class Member:
    """A client in a room, and all it has heard."""

    def __init__(self, server: Server, room: str = "tea") -> None:
        self.heard: list[str | bytes] = []
        self._stack = ExitStack()
        place = f"ws://{server.host}:{server.port}/{room}"
        self.link: ClientConnection = self._stack.enter_context(connect(place))
        self.pid = int(str(self.link.recv(20)).removeprefix("pid "))
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def say(self, message: str) -> None:
        self.link.send(message)

    def leave(self) -> None:
        self._stack.close()
        self._reader.join(20)

    def _read(self) -> None:
        try:
            for message in self.link:
                self.heard.append(message)
        except ConnectionClosed:
            pass


@contextmanager
def members(servers: list[Server], room: str = "tea") -> Iterator[list[Member]]:
    """One in each worker of each server."""
    with ExitStack() as stack:
        found: dict[int, Member] = {}
        for server in servers:
            here: set[int] = set()
            while len(here) < 2:
                member = Member(server, room)
                if member.pid in found:
                    member.leave()
                    continue
                stack.callback(member.leave)
                found[member.pid] = member
                here.add(member.pid)
        yield list(found.values())


def all_hear(found: list[Member], number: int, timeout: float = 30) -> list[list[str | bytes]]:
    eventually(
        lambda: all(len(member.heard) >= number for member in found),
        f"{number} messages, not {[len(member.heard) for member in found]}",
        timeout,
    )
    return [member.heard for member in found]


def by_sender(heard: list[str | bytes]) -> dict[str, list[int]]:
    senders: dict[str, list[int]] = {}
    for message in heard:
        sender, _, number = str(message).partition(" ")
        senders.setdefault(sender, []).append(int(number))
    return senders


@contextmanager
def run(redis: RedisServer, directory: Path, count: int) -> Iterator[list[Server]]:
    """Servers with the application above and two workers."""
    with ExitStack() as stack:
        servers = []
        for number in range(count):
            place = directory / str(number)
            place.mkdir()
            server = serve(
                "app:app", "--workers", "2", cwd=place, source=APP, env={"REDIS_URL": redis.url}
            )
            servers.append(stack.enter_context(server))
        yield servers


def test_workers_hear_each_other(tmp_path: Path) -> None:
    """And a plain handler speaks to all of them; a stop is as quick as without a bus."""
    with redis_server() as redis, run(redis, tmp_path, 1) as (server,):
        with members([server]) as (one, two):
            one.say("1 0")
            two.say("2 0")
            assert sorted(all_hear([one, two], 2)[0]) == ["1 0", "2 0"]
            answer = httpx.post(f"{server.url}/say/tea", content="3 0", timeout=20)
            assert answer.text == "said"
            for heard in all_hear([one, two], 3):
                assert heard[2:] == ["3 0"]
        assert server.stop() == 0
        assert "Traceback" not in server.output


@pytest.mark.long
def test_redis_dies_in_the_middle(tmp_path: Path) -> None:
    """Each member hears each message once, and those of each member in order."""
    with (
        redis_server() as redis,
        run(redis, tmp_path, 2) as servers,
        members(servers) as found,
        members(servers, "coffee") as others,
    ):
        numbers = itertools.count()

        def speak(rounds: int) -> int:
            for _ in range(rounds):
                number = next(numbers)
                for index, member in enumerate(found):
                    member.say(f"{index} {number}")
            return number + 1

        said = speak(50)
        all_hear(found, 4 * said)
        redis.kill()
        eventually(lambda: all("until it is back" in each.output.lower() for each in servers))
        said = speak(50)
        for index, member in enumerate(found):  # those in the same process hear it now
            eventually(lambda m=member, i=index: len(by_sender(m.heard)[str(i)]) == said)
        redis.start()
        for heard in all_hear(found, 4 * said):
            assert by_sender(heard) == {str(index): [*range(said)] for index in range(4)}
        redis.do("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: sum(each.output.count("is back after") for each in servers) >= 8)
        said = speak(10)
        for heard in all_hear(found, 4 * said):
            assert by_sender(heard) == {str(index): [*range(said)] for index in range(4)}
        others[0].say("0 0")
        for heard in all_hear(others, 1):
            assert heard == ["0 0"]


@pytest.mark.long
def test_a_worker_that_is_killed_takes_no_room_along(tmp_path: Path) -> None:
    with (
        redis_server() as redis,
        run(redis, tmp_path, 1) as (server,),
        members([server]) as (one, two),
    ):
        os.kill(one.pid, signal.SIGKILL)
        eventually(lambda: len(set(server.workers) - {one.pid}) == 2)
        two.say("2 0")
        all_hear([two], 1)
        with members([server]) as newcomers:
            newcomers[0].say("3 0")
            for heard in all_hear([two, *newcomers], 1):
                assert heard[-1] == "3 0"
