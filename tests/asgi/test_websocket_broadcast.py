"""Members who never read cost the others next to nothing: a broadcast to 2,000, timed."""

from __future__ import annotations

import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support import Server, eventually, serve
from tests.websocket.harness import TEXT, frame

APP = """
import asyncio

members = set()
# Sent to those who will not read: more than the kernel takes for them, so that they are stuck.
FLOOD, TIMES = "x" * 8000, 1000


async def application(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    queue = asyncio.Queue()
    writer = asyncio.create_task(write(queue, send))
    members.add(queue)
    while (message := await receive())["type"] == "websocket.receive":
        text = message["text"]
        if text == "flood":
            for _ in range(TIMES):
                queue.put_nowait(FLOOD)
        elif text == "waiting":
            await send({"type": "websocket.send", "text": f"{sum(m.qsize() for m in members):09}"})
        else:
            for member in members:
                member.put_nowait(text)
    members.discard(queue)
    writer.cancel()


async def write(queue, send):
    while True:
        await send({"type": "websocket.send", "text": await queue.get()})
"""

MEMBERS, DEAF, ROUNDS, SIZE = 2000, 50, 40, 8000

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def member(server: Server) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    made.settimeout(30)
    made.connect(server.address)
    made.sendall(HANDSHAKE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += made.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return made


@contextmanager
def company(server: Server) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(member(server)) for _ in range(MEMBERS)]


def waiting(made: socket.socket) -> int:
    """Messages that wait in the queues of all members."""
    made.sendall(frame(TEXT, b"waiting"))
    answer = b""
    while len(answer) < 2 + 9:
        answer += made.recv(2 + 9 - len(answer))
    return int(answer[2:])


def deafen(members: list[socket.socket], deaf: int) -> None:
    """The last so many members are sent more than they can take without reading."""
    for made in members[len(members) - deaf :]:
        made.sendall(frame(TEXT, b"flood"))
    before = -1

    def stuck() -> bool:
        nonlocal before
        now = waiting(members[0])
        same, before = now == before, now
        return same and now > deaf

    if deaf:
        eventually(stuck, "the deaf take no more", 60)


def broadcast(members: list[socket.socket], listening: int) -> float:
    """Seconds until the first `listening` members have all that the first of them says."""
    wanted = ROUNDS * (SIZE + 4)
    missing = {made.fileno(): wanted for made in members[:listening]}
    poll = select.epoll()
    for made in members[:listening]:
        poll.register(made, select.EPOLLIN)
    by_number = {made.fileno(): made for made in members}
    began = time.perf_counter()
    members[0].sendall(frame(TEXT, b"x" * SIZE) * ROUNDS)
    while missing:
        for number, _ in poll.poll(30):
            missing[number] -= len(by_number[number].recv(1 << 18))
            if not missing[number]:
                del missing[number]
    poll.close()
    return time.perf_counter() - began


@pytest.mark.long
@pytest.mark.timeout(300)
def test_members_who_do_not_read_do_not_hold_the_others_up() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    ratios = []
    for _ in range(3):  # the machine may be busy with something else
        times = []
        for deaf in (0, DEAF):
            with (
                serve("app:application", "--no-access-log", source=APP) as server,
                company(server) as members,
            ):
                deafen(members, deaf)
                times.append(broadcast(members, MEMBERS - deaf))
                assert waiting(members[0]) >= deaf * ROUNDS, "the deaf are stuck still"
        ratios.append(times[1] / times[0])
        if ratios[-1] < 2:
            break
    print(f"with {DEAF} deaf members of {MEMBERS}: {ratios[-1]:.2f} times as long")
    assert min(ratios) < 2, ratios
