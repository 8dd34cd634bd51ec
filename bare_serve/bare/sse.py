"""Server-sent events: a stream of text that a browser's `EventSource` reads (HTML, 9.2).

What lives here: how an event is written, and pings while there is none. What must not: how a stream
reaches the client, or is closed when the client has left (`StreamResponse`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import Any

from bare_serve.bare.response import dump_json
from bare_serve.bare.stream import StreamResponse, close_pieces, in_one_task

Events = Iterable[Any] | AsyncIterable[Any]
Fields = Mapping[str, str] | None
_LINE_END = re.compile(r"\r\n|\r|\n").split  # and no other, unlike splitlines()
_BREAKS = re.compile(r"[\r\n\0]").search
_PING = ": ping\n\n"  # a comment: clients ignore it, and proxies see that the stream lives


class Event(str):
    """An event as it is sent."""

    __slots__ = ()


def event(
    data: Any, *, id: object = None, event: str | None = None, retry: int | None = None
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
    if retry is not None and retry < 0:
        raise ValueError(f"retry is a number of milliseconds, not {retry!r}")
    head = ""
    for name, value in (("event", event), ("id", id), ("retry", retry)):
        if value is not None:
            if _BREAKS(str(value)):
                raise ValueError(f"the {name} of an event has no line breaks: {value!r}")
            head += f"{name}: {value}\n"
    lines = _LINE_END(data if isinstance(data, str) else dump_json(data).decode())
    return Event(head + "".join([f"data: {line}\n" for line in lines]) + "\n")


class EventStream(StreamResponse):
    """A stream of events: what `event` returns, or data of its own."""

    def __init__(
        self, events: Events, status: int = 200, headers: Fields = None, *, ping: float | None = 15
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
        # nginx would collect events
        usual = {"cache-control": "no-store", "x-accel-buffering": "no"}
        given = {name.lower(): value for name, value in dict(headers or {}).items()}
        super().__init__(events, status, usual | given, "text/event-stream")
        if not self.is_async:
            self._iterator = map(_text, self._iterator)
        else:
            texts = _texts(self._iterator)
            self._iterator = texts if ping is None else in_one_task(texts, ping, _PING)


def _text(value: Any) -> str:
    return value if isinstance(value, Event) else event(value)


async def _texts(events: Any) -> AsyncGenerator[str, None]:
    try:
        async for each in events:
            yield _text(each)
    finally:
        await close_pieces(events)
