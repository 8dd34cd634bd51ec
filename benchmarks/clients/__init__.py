"""The test clients beside others: `python -m benchmarks.clients`, CPU time of a JSON request.

What lives here: one small application for each interface, and a client of each kind. The CPU time
of the process is measured, in turns, and the best turn is shown beside the median: what else the
machine does makes both larger. So what counts is the ratio of two clients in one run.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import click

BODY = b'{"hello":"world"}'
LENGTH = b"%d" % len(BODY)

Turn = Callable[[], float]
"""Makes some requests, and returns the microseconds of each."""


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    headers = [("Content-Type", "application/json"), ("Content-Length", LENGTH.decode())]
    start_response("200 OK", headers)
    return [BODY]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", LENGTH)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def timed(get: Callable[[], Any], count: int) -> float:
    gc.collect()
    started = time.process_time()
    for _ in range(count):
        get()
    return (time.process_time() - started) / count * 1e6


async def timed_async(get: Callable[[], Awaitable[Any]], count: int) -> float:
    gc.collect()
    started = time.process_time()
    for _ in range(count):
        await get()
    return (time.process_time() - started) / count * 1e6


def clients(stack: Any) -> dict[str, Turn]:
    """Return a turn of each client; `stack` ends what they leave open."""
    import httpx
    from starlette.testclient import TestClient as StarletteClient

    from bare_serve.testing import AsyncTestClient, TestClient

    runner = stack.enter_context(asyncio.Runner())
    turns: dict[str, Turn] = {}
    for name, app in (("WSGI", wsgi), ("ASGI", asgi)):
        for lint in (False, True):
            client = stack.enter_context(TestClient(app, lint=lint))
            turns[f"TestClient, {name}{', lint' * lint}"] = _turn(client, 500)
    for lint in (False, True):
        turns[f"AsyncTestClient{', lint' * lint}"] = _async_turn(
            runner, AsyncTestClient(asgi, lint=lint)
        )
    transport = httpx.ASGITransport(app=asgi)
    other = httpx.AsyncClient(transport=transport, base_url="http://testserver")
    turns["httpx.ASGITransport"] = _async_turn(runner, other)
    starlette = stack.enter_context(StarletteClient(asgi))
    turns["starlette.testclient"] = _turn(starlette, 50)
    return turns


def _turn(client: Any, count: int) -> Turn:
    return lambda: timed(lambda: client.get("/").json(), count)


def _async_turn(runner: asyncio.Runner, client: Any) -> Turn:
    async def get() -> Any:
        return (await client.get("/")).json()

    return lambda: runner.run(timed_async(get, 500))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--turns", "count", type=click.IntRange(1), default=15, show_default=True)
def main(count: int) -> None:
    """CPU microseconds of a JSON request through each client, all in turn."""
    from contextlib import ExitStack

    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        turns = clients(stack)
        for _ in range(count):
            for name, turn in turns.items():
                found.setdefault(name, []).append(turn())
    click.echo(f"{'':<28}{'best':>9}{'median':>9}")
    for name, each in found.items():
        click.echo(f"{name:<28}{min(each):>9.1f}{statistics.median(each):>9.1f}")
