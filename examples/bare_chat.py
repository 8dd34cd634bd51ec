"""A chat with rooms: `bare-serve examples/bare_chat.py:app`, then open two browsers.

It has the page of chat.py, which does all this in plain ASGI: a queue for each member, so that who
speaks waits for nobody, and a member who does not read is asked to leave (close code 1013). Only
pages of this host may connect.

With REDIS_URL=redis://127.0.0.1:6379 in the environment the rooms are those of all workers and
machines with the same Redis; without it, serve it with one worker.
"""

import json
import os
from pathlib import Path
from typing import Any

from bare_serve.bare import Bare, HTMLResponse, RedisBus, Rooms, WebSocket

PAGE = Path(__file__).with_name("chat.html").read_text("utf-8")
LONGEST_QUEUE = 100

redis = os.environ.get("REDIS_URL")
rooms = Rooms(limit=LONGEST_QUEUE, bus=RedisBus(redis) if redis else None)
app = Bare()
app.on_startup(rooms.start)
app.on_shutdown(rooms.close)


@app.get("/")
def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.websocket("/rooms/{name}")
async def chat(ws: WebSocket, name: str) -> None:
    await ws.accept()
    async with rooms.join(name, ws) as room:
        room.send_json({"name": "system", "text": "somebody came in"})
        async for message in ws:
            if said := understood(message):
                room.send_json(said)
    room.send_json({"name": "system", "text": "somebody left"})


def understood(message: str | bytes) -> dict[str, Any] | None:
    """Return what a member says, or None for nonsense."""
    try:
        said = json.loads(message)
        return {"name": str(said["name"])[:40], "text": str(said["text"])[:2000]}
    except (TypeError, ValueError, KeyError):
        return None
