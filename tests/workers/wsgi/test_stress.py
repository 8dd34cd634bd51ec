"""Hundreds of keep-alive connections, views of every temper, clients that leave at random.

Every request is accounted for: each answer is the right one, each request that was answered was
served once, none was served twice, and whoever stayed was answered.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import RawClient, Server, eventually, serve

KINDS = ("instant", "sleep", "compute", "crash", "stream", "upload")
WEIGHTS = (80, 5, 3, 4, 4, 4)


@dataclass
class Request:
    """One request: what is sent, and what is to come back."""

    kind: str
    name: str
    size: int = 0
    chunked: bool = False

    @property
    def sent(self) -> bytes:
        method = "POST" if self.kind == "upload" else "GET"
        lines = [f"{method} /{self.kind}/{self.name} HTTP/1.1", "Host: test"]
        body = b"x" * self.size
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (self.size, body)
        elif body:
            lines.append(f"Content-Length: {self.size}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    @property
    def expected(self) -> tuple[int, bytes]:
        name = self.name.encode()
        if self.kind == "crash":
            return 500, b"Internal Server Error\n"
        if self.kind == "stream":
            return 200, name + b" " + b"x" * 100_000
        if self.kind == "upload":
            return 200, name + b" %d" % self.size
        return 200, name


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ")[1])
    if b"content-length: " in head:
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        return status, await reader.readexactly(length)
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, body


@dataclass
class Crowd:
    """The clients, and what became of their requests."""

    address: tuple[str, int]
    dice: random.Random
    answered: dict[str, str] = field(default_factory=dict)  # name to kind
    left: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def run(self, clients: int, requests: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self.client(number, requests))

    async def client(self, number: int, requests: int) -> None:
        reader, writer = await asyncio.open_connection(*self.address)
        for turn in range(requests):
            request = self.make(f"{number}-{turn}")
            writer.write(request.sent)
            if self.dice.random() < 0.03:
                self.left.add(request.name)
                await self.leave(reader, writer)
                reader, writer = await asyncio.open_connection(*self.address)
                continue
            try:
                answer = await asyncio.wait_for(read_answer(reader), 50)
            except (EOFError, OSError, TimeoutError) as error:
                self.wrong.append(f"{request.kind} {request.name}: {error!r}")
                break
            self.answered[request.name] = request.kind
            if answer != request.expected:
                self.wrong.append(f"{request.kind} {request.name}: {answer[0]} {answer[1][:50]!r}")
        writer.close()

    def make(self, name: str) -> Request:
        kind = self.dice.choices(KINDS, WEIGHTS)[0]
        if kind != "upload":
            return Request(kind, name)
        size = self.dice.choice((10, 1000, 70_000))
        return Request(kind, name, size, chunked=self.dice.random() < 0.5)

    async def leave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Before the answer or in the middle of it, politely or not."""
        if self.dice.random() < 0.5:
            await reader.read(self.dice.randrange(1, 200))
        if self.dice.random() < 0.5:
            writer.transport.abort()
        writer.close()


def report_of(server: Server) -> dict[str, Any]:
    with RawClient(server.address) as client:
        report: dict[str, Any] = json.loads(client.request("GET", "/report").body)
        return report


def stress(threads: int, poller: str, clients: int, requests: int, sleep: float) -> None:
    source = (Path(__file__).parent / "stress_app.py").read_text(encoding="utf-8")
    env = {"STRESS_POLLER": poller, "STRESS_SLEEP": str(sleep)}
    options = ("--wsgi", "--threads", str(threads), "--no-access-log")
    with serve("app:app", *options, source=source, env=env) as server:
        crowd = Crowd(server.address, random.Random(f"{threads} {poller}"))
        asyncio.run(crowd.run(clients, requests))
        assert crowd.wrong == []
        assert len(crowd.answered) + len(crowd.left) == clients * requests
        assert len(crowd.left) > clients * requests / 100
        # Those who left may have a call that still runs.
        report = eventually(lambda: settled(server))
        calls = report["calls"]
        assert {name: count for name, count in calls.items() if count != 1} == {}
        assert crowd.answered.keys() <= calls.keys() <= crowd.answered.keys() | crowd.left
        assert report["mixed_up"] == []
        serving = [name for name in report["threads"] if name.startswith("bare-serve-")]
        # And one that leads while all others are in calls.
        assert len(serving) <= (threads + 1 if threads > 1 else 0)
        crashed = sum(kind == "crash" for kind in crowd.answered.values())
        assert crashed <= server.stderr.count("RuntimeError: asked for by") <= len(calls)
        assert "fault of the server" not in server.stderr
        assert server.stop() == 0
        assert "Given up" not in server.stderr


def settled(server: Server) -> dict[str, Any] | None:
    """The report, once two in a row are the same."""
    first, second = report_of(server), report_of(server)
    return second if first == second else None


@pytest.mark.parametrize(
    ("threads", "poller"), [(1, "epoll"), (2, "epoll"), (8, "epoll"), (8, "selectors")]
)
def test_every_request_is_accounted_for(threads: int, poller: str) -> None:
    stress(threads, poller, clients=200, requests=15, sleep=0.005 if threads < 8 else 0.02)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("threads", "poller"), [(2, "epoll"), (8, "epoll"), (8, "selectors"), (64, "epoll")]
)
def test_every_request_of_thousands_is_accounted_for(threads: int, poller: str) -> None:
    stress(threads, poller, clients=2000, requests=20, sleep=0.005 if threads < 8 else 0.02)
