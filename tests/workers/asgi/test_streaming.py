"""Streams on real loops and sockets: what an application has sent arrives before it goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.workers.asgi.threads import GET, Scope, Serve, body, serve_on, start

__all__ = ["serve_on"]

EVENTS = 20


@pytest.mark.parametrize("pieces", [1, 3], ids=["alone", "bursts"])
@pytest.mark.parametrize("ask", [GET, GET.replace(b"1.1", b"1.0")], ids=["chunks", "http10"])
def test_what_is_sent_arrives_before_the_next_is_made(
    serve_on: Serve, pieces: int, ask: bytes
) -> None:
    seen = threading.Semaphore(0)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send(start((b"content-type", b"text/event-stream")))
        for number in range(EVENTS):
            for piece in range(pieces):
                await send(body(b"data: %d.%d\n\n" % (number, piece), more=True))
            await asyncio.to_thread(seen.acquire)
        await send(body())

    with serve_on(app, lifespan="off") as worker, worker.client() as client:
        client.send(ask)
        for number in range(EVENTS):
            client.read_until(b"data: %d.%d\n\n" % (number, pieces - 1))
            seen.release()
        if b"1.0" in ask:
            assert client.read_to_eof() == b""
        else:
            client.read_until(b"0\r\n\r\n")


def test_a_stop_in_the_middle_of_bursts(serve_on: Serve) -> None:
    """An endless stream is told, and what it then says of that arrives whole."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        gone = asyncio.ensure_future(receive())
        await send(start())
        while not gone.done():
            for piece in (b"one", b"two", b"three"):
                await send(body(piece, more=True))
            await asyncio.sleep(0.001)
        await send(body(b"the", more=True))
        await send(body(b"end", more=True))
        await send(body())

    with serve_on(app, lifespan="off", graceful_shutdown=4.0) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"three")
        worker.stop()
        assert client.read_to_eof().endswith(b"0\r\n\r\n")
        worker.join()
