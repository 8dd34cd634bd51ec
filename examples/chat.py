"""A chat with rooms, in plain ASGI: `bare-serve examples/chat.py:app`, then open two browsers.

A room is a path: whoever is connected to /rooms/tea hears what is said there. Each member has a
queue of its own, of at most 100 messages, and a task that empties it. So nobody waits for anybody:
speaking only puts into queues, and a member who does not read fills its own. **The policy for slow
members**: whose queue is full is asked to leave (close code 1013, "try again later"). The page
connects again by itself, and has missed what was said meanwhile.

Rooms live in the memory of one process: serve it with one worker.
"""

import asyncio
import json
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).with_suffix(".html").read_bytes()
LONGEST_QUEUE = 100
LONGEST_MESSAGE = 2000

rooms = defaultdict(set)  # path -> its members


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await chat(scope["path"], receive, send)
    elif scope["type"] == "http":
        await page(scope["path"], send)


async def page(path, send):
    status, body = (200, PAGE) if path == "/" else (404, b"Not here.\n")
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Member:
    """One client in a room."""

    def __init__(self, send):
        self._send = send
        self._queue = asyncio.Queue(LONGEST_QUEUE)
        self._writer = asyncio.create_task(self._write())
        self._goodbye = None

    def tell(self, text):
        """Never waits. Who cannot keep up is shown the door."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.leave()
            goodbye = {"type": "websocket.close", "code": 1013, "reason": "You read too slowly."}
            self._goodbye = self._goodbye or asyncio.create_task(self._send(goodbye))

    def leave(self):
        self._writer.cancel()

    async def _write(self):
        try:
            while True:
                await self._send({"type": "websocket.send", "text": await self._queue.get()})
        except OSError:
            pass  # the client has gone; receive() says so as well


async def chat(path, receive, send):
    if not path.startswith("/rooms/"):
        await send({"type": "websocket.close"})  # before accept: an HTTP 403
        return
    await send({"type": "websocket.accept"})
    room = rooms[path]
    member = Member(send)
    room.add(member)
    announce(room, "system", f"{len(room)} in this room")
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            if said := understood(message.get("text")):
                announce(room, *said)
    finally:
        member.leave()
        room.discard(member)
        announce(room, "system", f"{len(room)} in this room")
        if not room:
            rooms.pop(path, None)


def understood(message):
    """Return the name and the words in a member's message, or None."""
    try:
        said = json.loads(message)
        return str(said["name"])[:40], str(said["text"])[:LONGEST_MESSAGE]
    except (TypeError, ValueError, KeyError):
        return None


def announce(room, name, text):
    """To all members of a room, whoever they are."""
    line = json.dumps({"name": name, "text": text})
    for member in list(room):
        member.tell(line)
