"""In each framework an event stream without an end, which tells when it has ended.

`/ticks` sends an event every millisecond; `/flood` sends as fast as it can; `/quiet` sends one and
then waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

EVENTS = "text/event-stream"
ended: list[str] = []


async def events(kind: str) -> AsyncIterator[bytes]:
    count = 0
    try:
        while True:
            yield b"data: %d\n\n" % count
            count += 1
            if kind == "quiet":
                await asyncio.Event().wait()
            elif kind == "ticks":
                await asyncio.sleep(0.001)
            else:
                await asyncio.sleep(0)
    finally:
        ended.append(kind)


def plain_events(kind: str) -> Iterator[bytes]:
    count = 0
    try:
        while True:
            yield b"data: %d\n\n" % count
            count += 1
            if kind != "flood":
                time.sleep(0.001)
    finally:
        ended.append(kind)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def stream(request: Any) -> Any:
        return StreamingResponse(events(request.path_params["kind"]), media_type=EVENTS)

    return Starlette(routes=[Route("/{kind}", stream)])


def fastapi() -> Any:
    from fastapi import FastAPI
    from sse_starlette import EventSourceResponse

    app = FastAPI()

    @app.get("/{kind}")
    async def stream(kind: str) -> Any:
        async def of_sse() -> AsyncIterator[dict[str, str]]:
            async for event in events(kind):
                yield {"data": event.decode().removeprefix("data: ").strip()}

        return EventSourceResponse(of_sse())

    return app


def quart() -> Any:
    from quart import Quart, Response

    app = Quart("site")

    async def stream(kind: str) -> Any:
        response = Response(events(kind), mimetype=EVENTS)
        response.timeout = None
        return response

    app.add_url_rule("/<kind>", "stream", stream)
    return app


def litestar() -> Any:
    from litestar import Litestar, get
    from litestar.response import Stream

    async def stream(kind: str) -> Stream:
        return Stream(events(kind), media_type=EVENTS)

    stream.__annotations__.update({"kind": str, "return": Stream})
    return Litestar([get("/{kind:str}")(stream)], logging_config=None)


def flask() -> Any:
    from flask import Flask, Response

    app = Flask("site")
    app.add_url_rule(
        "/<kind>", "stream", lambda kind: Response(plain_events(kind), mimetype=EVENTS)
    )
    return app
