"""A member of a room: one queue and one task that empties the queue into the member's socket.

What lives here: who waits for whom (nobody who speaks), and what becomes of a member whose client
does not read. What must not: who is in which room (rooms.py).

A member is slow when the queue is full while the client does not take what was sent last. What is
said in one turn of the event loop finds no member who could have taken any of it: so a queue may
meanwhile have ten times its length, and a burst makes nobody slow.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

logger = logging.getLogger("bare_serve.bare")

Slow = Literal["close", "drop-oldest"]
Data = str | bytes

_TRY_AGAIN_LATER, _INTERNAL_ERROR = 1013, 1011  # RFC 6455, 7.4.1, and IANA's registry
_BURST = 10
_FLUSH = 1.0  # seconds for what is queued for a member who leaves in peace

_closing: set[asyncio.Task[None]] = set()
"""Closes under way. The event loop holds tasks weakly, and the member may be gone before."""


class Socket(Protocol):
    """What a room needs of a member's WebSocket."""

    async def send(self, data: Data, /) -> None:
        """Send one message; raise an OSError when the client has left."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; mean nothing when closed already."""


RawSend = Callable[[dict[str, Any]], Awaitable[None]]


class _RawSocket:
    """The `send` of an ASGI WebSocket that the application has accepted."""

    def __init__(self, send: RawSend) -> None:
        self._send = send

    async def send(self, data: Data) -> None:
        """See `Socket`."""
        key = "text" if isinstance(data, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", key: data})
        except Exception as error:
            # Frameworks have exceptions of their own for a client that has left.
            if "Disconnect" in type(error).__name__:
                raise ConnectionError("the client has left") from error
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Socket`."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


class Member:
    """One socket in one room. It begins when made, and needs a running event loop."""

    __slots__ = (
        *("_gone", "_limit", "_link", "_peaceful", "_queue", "_sending", "_slow", "_task"),
        *("_woken", "missed", "socket", "who"),
    )

    def __init__(
        self,
        socket: Socket | RawSend,
        who: Any,
        limit: int,
        slow: Slow,
        gone: Callable[[Member], None],
    ) -> None:
        """Take a place.

        Args:
            socket: as `join` got it.
            who: what the application wants to know the member by.
            limit: messages that may wait for a client which does not read.
            slow: what then happens to the member.
            gone: is called as soon as nothing more can be sent to the member.
        """
        self.socket = socket
        self.who = who
        self.missed = 0  # messages that the member has lost, with "drop-oldest"
        self._link: Socket = _RawSocket(socket) if callable(socket) else socket
        self._limit = limit
        self._slow = slow
        self._gone = gone
        self._queue: deque[Data] = deque()
        self._woken = asyncio.Event()
        self._sending = False
        self._peaceful = False  # ends when the queue is empty
        self._task = asyncio.create_task(self._write(), name="member of a room")

    def tell(self, message: Data) -> None:
        """Put a message into the queue; never wait."""
        queue = self._queue
        bound = self._limit if self._sending else self._limit * _BURST
        if len(queue) >= bound:
            if self._slow == "close":
                self._dismiss(_TRY_AGAIN_LATER, "You read too slowly.")
                return
            while len(queue) >= bound:
                queue.popleft()
                self.missed += 1
        queue.append(message)
        self._woken.set()

    async def leave(self) -> None:
        """End after what is queued was sent, a second later at most."""
        self._peaceful = True
        self._woken.set()
        try:
            await asyncio.wait([self._task], timeout=_FLUSH)
        finally:
            self._task.cancel()

    def vanish(self) -> None:
        """End now."""
        self._task.cancel()

    async def _write(self) -> None:
        queue, send = self._queue, self._link.send
        try:
            while True:
                while queue:
                    self._sending = True
                    await send(queue.popleft())
                    self._sending = False
                if self._peaceful:
                    return
                self._woken.clear()
                await self._woken.wait()
        except OSError:
            pass  # the client has left, which the handler is told as well
        except Exception:
            logger.exception("A message could not be sent to a member of a room.")
            self._dismiss(_INTERNAL_ERROR, "")
        finally:
            self._gone(self)

    def _dismiss(self, code: int, reason: str) -> None:
        """Have the client leave: the handler sees a disconnect."""
        self._gone(self)
        self._task.cancel()
        task = asyncio.create_task(self._close(code, reason), name="member of a room, leaving")
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._link.close(code, reason)
        except Exception as error:  # noqa: BLE001 - of any server and framework
            logger.debug("A member of a room could not be closed: %r", error)
