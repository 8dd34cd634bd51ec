"""An application with calls that hang in each way that `bare-serve stacks` has to show."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

MARK = Path("mark")


def wait_in_a_thread() -> None:
    MARK.touch()
    time.sleep(60)


async def wait_for_nothing() -> None:
    MARK.touch()
    await asyncio.sleep(60)


def hold_the_interpreter() -> None:
    MARK.touch()
    re.match(r"(a+)+$", "a" * 60 + "b")


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/sleep":
        wait_in_a_thread()
    elif path == "/regex":
        hold_the_interpreter()
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\n"]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    if scope["path"] == "/await":
        await wait_for_nothing()
    elif scope["path"] == "/regex":
        hold_the_interpreter()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok\n"})
