"""A program that works by itself, and shows what it does: an embedded server beside other tasks.

Run: python examples/embedded/dashboard.py, and look at the address that it prints. Ctrl-C ends it:
requests are finished, then the work is ended as well.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import bare_serve


class Work:
    """What the program is for: here, it counts."""

    def __init__(self) -> None:
        self.done = 0

    async def go_on(self) -> None:
        """Work until cancelled."""
        while True:
            self.done += 1
            await asyncio.sleep(0.01)


class Dashboard:
    """An ASGI application that shows the work; the same loop runs both, so no lock is needed."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        body = json.dumps({"done": self._work.done}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def main(port: int) -> None:
    """Work, and show it on `port`, until a signal asks to stop."""
    work = Work()
    server = bare_serve.Server(Dashboard(work), port=port, signals=True)
    working = asyncio.create_task(work.go_on())
    try:
        async with server:
            print("showing the work on", *server.urls, flush=True)
            await server.stopped()
    finally:
        working.cancel()
    print("done:", work.done > 0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000))
