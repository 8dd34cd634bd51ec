"""One client floods a worker with what is cheap to send and dear to take; another one is answered.

The waits asserted are generous, for a machine that is busy with other things: without the
bounds they are many seconds, or the worker is killed as stuck.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.hurt.conftest import Pki
from tests.hurt.crowd import Process
from tests.hurt.floods import flood, worst_wait
from tests.hurt.test_hurt import WEBSOCKET
from tests.support import Server, serve

APP = """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            if message.get("text"):
                await send({"type": "websocket.send", "text": "x"})
    elif scope["type"] == "http":
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
    else:
        raise NotImplementedError
"""
MIB = 1 << 20
LONGEST_WAIT = 2.0
MASK = b"\0\0\0\0"
EMPTY, ONE = b"\x00\x80" + MASK, b"\x00\x81" + MASK + b"x"
BLOCKS = {
    "pings": b"\x89\x80" + MASK,
    "pings with a payload": b"\x89\xfd" + MASK + b"x" * 125,
    "pongs": b"\x8a\x80" + MASK,
    "empty fragments": b"\x01\x80" + MASK + EMPTY * 4000 + b"\x80\x80" + MASK,
    "one-byte fragments": b"\x01\x81" + MASK + b"x" + ONE * 4000 + b"\x80\x81" + MASK + b"x",
    "empty messages": b"\x81\x80" + MASK,
    "one-byte messages": b"\x81\x81" + MASK + b"x",
}


Connect = Callable[[], socket.socket]


@contextlib.contextmanager
def serving(
    *options: str, context: ssl.SSLContext | None = None
) -> Iterator[tuple[Connect, Process]]:
    """How to connect to a server that is warm, with TLS where there is a context; its worker."""
    with serve("app:app", "--no-access-log", *options, source=APP) as server:
        connect = connecting(server, context)
        worker = Process(server.workers[0])
        with websocket(connect):  # what serves WebSockets is imported late
            worst_wait(connect, 0.3)
        yield connect, worker
        assert server.workers == [int(worker._proc.name)], "the worker has outlived it all"


def connecting(server: Server, context: ssl.SSLContext | None) -> Connect:
    def connect() -> socket.socket:
        client = socket.create_connection(server.address, timeout=60)
        return context.wrap_socket(client, server_hostname="localhost") if context else client

    return connect


def websocket(connect: Connect) -> socket.socket:
    client = connect()
    client.sendall(WEBSOCKET)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1000)
    assert b" 101 " in answer
    return client


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("engine", ["auto", pytest.param("wsproto", marks=pytest.mark.long)])
def test_small_websocket_frames_keep_nobody_waiting(loop: str, engine: str) -> None:
    with serving("--ws", engine, "--loop", loop) as (connect, worker):
        for kind in BLOCKS:
            flood_with(kind, connect, worker)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_small_websocket_frames_behind_tls_keep_nobody_waiting(loop: str, pki: Pki) -> None:
    context = pki.ca.client()
    with serving("--loop", loop, *pki.options, context=context) as (connect, worker):
        for kind in ("pings", "empty fragments", "one-byte fragments"):
            flood_with(kind, connect, worker)


def flood_with(kind: str, connect: Connect, worker: Process) -> None:
    piece = BLOCKS[kind]
    before = worker.memory
    worker.forget_peak()
    block = piece if len(piece) > 1000 else piece * 10_000
    with flood(lambda: websocket(connect), block):
        wait = worst_wait(connect, 0.7)
    assert wait < LONGEST_WAIT, f"{kind}: {wait:.3f} s"
    assert worker.peak - before < 8 * MIB, kind


def test_pongs_that_nobody_reads_fill_no_memory() -> None:
    with serving() as (connect, worker):
        before = worker.memory
        worker.forget_peak()
        block = BLOCKS["pings with a payload"] * 5000
        with flood(lambda: websocket(connect), block, reads=False, count=3):
            wait = worst_wait(connect, 2)
        assert wait < LONGEST_WAIT
        assert worker.peak - before < 8 * MIB
