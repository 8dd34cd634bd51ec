"""Server-sent events: a stream of text that a browser's `EventSource` reads (HTML, 9.2).

What lives here: how an event is written, and pings while there is none. What must not: how a stream
reaches the client, or is closed when the client has left (`StreamResponse`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping
from typing import Any

from bare_serve.bare.calls import inline
from bare_serve.bare.jsons import dump_json
from bare_serve.bare.stream import StreamResponse, close_pieces

_LINE_END = re.compile(r"\r\n|\r|\n").split  # and no other, unlike splitlines()
_BREAKS = re.compile(r"[\r\n\0]").search
_PING = ": ping\n\n"  # a comment: clients ignore it, and proxies see that the stream lives


class Event(str):
    """An event as it is sent."""

    __slots__ = ()


def event(
    data: Any,
    *,
    id: object = None,  # noqa: A002 - the name of the field
    event: str | None = None,
    retry: int | None = None,
) -> Event:
    """Return one event.

    Args:
        data: text, of several lines too; any other value as JSON.
        id: what the browser sends as Last-Event-ID when it connects again.
        event: what the browser's listeners listen to; "message" without it.
        retry: milliseconds that the browser waits until it connects again.

    Raises:
        ValueError: `id` or `event` has a line break or NUL, `retry` is negative.
    """
    text = data if isinstance(data, str) else dump_json(data).decode()
    head = ""
    for name, value in (("event", event), ("id", id)):
        if value is not None:
            if _BREAKS(str(value)):
                raise ValueError(f"the {name} of an event has no line breaks: {value!r}")
            head += f"{name}: {value}\n"
    if retry is not None:
        if retry < 0:
            raise ValueError(f"retry is a number of milliseconds, not {retry!r}")
        head += f"retry: {retry:d}\n"
    lines = "".join(f"data: {line}\n" for line in _LINE_END(text))
    return Event(f"{head}{lines}\n")


class EventStream(StreamResponse):
    """A stream of events: what `event` returns, or data of its own."""

    __slots__ = ()

    def __init__(
        self,
        events: Iterable[Any] | AsyncIterable[Any],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        ping: float | None = 15.0,
    ) -> None:
        """Make the answer; the generator is closed when the client leaves.

        Args:
            events: an iterable, best asynchronous, of events or of their data.
            status: see `Response`.
            headers: see `Response`.
            ping: seconds without an event after which a comment is sent, so that no proxy takes
                the stream for dead; None for never. A plain iterable cannot be waited for, and has
                no pings.

        Raises:
            ValueError: `ping` is not positive.
        """
        if ping is not None and ping <= 0:
            raise ValueError(f"ping is a number of seconds above 0, not {ping!r}")
        pieces: Iterable[str] | AsyncIterable[str]
        if not isinstance(events, AsyncIterable):
            pieces = _plain(events)
        elif ping is None:
            pieces = _without_pings(events)
        else:
            pieces = _with_pings(events, ping)
        super().__init__(pieces, status, headers, "text/event-stream")
        given = {name for name, _ in self.headers}
        if "cache-control" not in given:
            self.set_header("cache-control", "no-store")
        if "x-accel-buffering" not in given:
            self.set_header("x-accel-buffering", "no")  # nginx would collect events


def _text(value: Any) -> str:
    return value if isinstance(value, Event) else event(value)


def _plain(events: Iterable[Any]) -> Iterator[str]:
    try:
        for each in events:
            yield _text(each)
    finally:
        inline(close_pieces(events))


async def _without_pings(events: AsyncIterable[Any]) -> AsyncGenerator[str, None]:
    try:
        async for each in events:
            yield _text(each)
    finally:
        await close_pieces(events)


async def _with_pings(events: AsyncIterable[Any], ping: float) -> AsyncGenerator[str, None]:
    """Give events, and comments between them.

    One task runs the iterator from its first step to its last: timeouts and context variables of a
    generator would not survive a task for each step.
    """
    import asyncio

    ready: asyncio.Queue[str] = asyncio.Queue(1)

    async def run() -> None:
        try:
            async for each in events:
                await ready.put(_text(each))
        finally:
            await close_pieces(events)

    running = asyncio.create_task(run(), name="events")
    getting: asyncio.Task[str] | None = None
    try:
        while not running.done() or not ready.empty():
            if getting is None and not ready.empty():
                yield ready.get_nowait()  # a burst costs no task for each event
                continue
            getting = getting or asyncio.create_task(ready.get())
            await asyncio.wait(
                (getting, running), timeout=ping, return_when=asyncio.FIRST_COMPLETED
            )
            if getting.done():
                piece, getting = getting.result(), None
                yield piece
            elif not running.done():
                yield _PING
        await running  # raises what the iterator has raised
    finally:
        if getting is not None:
            getting.cancel()
        running.cancel()
        await asyncio.wait([running])
