"""An answer that a test reads while the application makes it.

What lives here: pieces, lines and events, for tests with and without `await`. What must not: where
the pieces come from (wsgi_call.py, asgi_call.py).

Each of the iterators is one and the same, however often it is asked for: `next(answer.events())`
goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Protocol

from bare_serve.http import Field
from bare_serve.testing.events import Event, EventParser, LineSplitter
from bare_serve.testing.headers import Headers
from bare_serve.testing.request import Request
from bare_serve.testing.response import Head


class Answered(Protocol):
    """What is known of an answer that has begun."""

    status: int
    reason: str
    fields: list[Field]
    trailers: list[Field]
    early_hints: list[Headers]


class Source(Protocol):
    """Where a stream comes from."""

    @property
    def call(self) -> Answered: ...

    def open(self) -> None:
        """Return when status and headers are known."""

    def piece(self) -> bytes | None:
        """Return the next piece, None at the end."""

    def leave(self) -> None:
        """Take no more."""


class AsyncSource(Protocol):
    """The same, to be awaited."""

    @property
    def call(self) -> Answered: ...

    async def open(self) -> None:
        """See `Source`."""

    async def piece(self) -> bytes | None:
        """See `Source`."""

    async def leave(self) -> None:
        """See `Source`."""


Opened = Callable[[Head], None]
"""What is told that status and headers are known."""


class _Stream(Head):
    """What both kinds of stream share: the head, known once the stream is entered."""

    __slots__ = ("_call",)

    def __init__(self, request: Request) -> None:
        super().__init__(request, 0, "", [])

    def _begin(self, call: Answered) -> None:
        self._call = call
        self.status, self.reason, self.fields = call.status, call.reason, call.fields
        self.early_hints = call.early_hints

    @property
    def trailers(self) -> Headers:
        """The fields behind the content, when it has been read to its end."""
        return Headers(self._call.trailers)


class StreamedResponse(_Stream):
    """A context manager; leaving it early is what a client does that closes its connection."""

    __slots__ = ("_events", "_lines", "_opened", "_pieces", "_source")

    def __init__(self, request: Request, source: Source, opened: Opened) -> None:
        super().__init__(request)
        self._source = source
        self._opened = opened
        self._pieces = self._make_pieces()
        self._lines = self._make_lines()
        self._events = self._make_events()

    def __enter__(self) -> StreamedResponse:
        self._source.open()
        self._begin(self._source.call)
        self._opened(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, frames: TracebackType | None
    ) -> None:
        try:
            self._source.leave()
        except Exception:
            if kind is None:
                raise  # else the test's own failure is the one to show

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def pieces(self) -> Iterator[bytes]:
        """Return the iterator over pieces, as the application sends them."""
        return self._pieces

    def lines(self) -> Iterator[str]:
        """Return the iterator over lines, without their ends."""
        return self._lines

    def events(self) -> Iterator[Event]:
        """Return the iterator over server-sent events."""
        return self._events

    def read(self) -> bytes:
        """Return all of the content that has not been taken yet."""
        return b"".join(self._pieces)

    def _make_pieces(self) -> Iterator[bytes]:
        while (piece := self._source.piece()) is not None:
            yield piece

    def _make_lines(self) -> Iterator[str]:
        splitter = LineSplitter()
        for piece in self._pieces:
            yield from splitter.feed(piece)
        yield from splitter.end()

    def _make_events(self) -> Iterator[Event]:
        parser = EventParser()
        for line in self._lines:
            if (event := parser.feed(line)) is not None:
                yield event


class AsyncStreamedResponse(_Stream):
    """The same, to be awaited."""

    __slots__ = ("_events", "_lines", "_opened", "_pieces", "_source")

    def __init__(self, request: Request, source: AsyncSource, opened: Opened) -> None:
        super().__init__(request)
        self._source = source
        self._opened = opened
        self._pieces = self._make_pieces()
        self._lines = self._make_lines()
        self._events = self._make_events()

    async def __aenter__(self) -> AsyncStreamedResponse:
        await self._source.open()
        self._begin(self._source.call)
        self._opened(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, frames: TracebackType | None
    ) -> None:
        try:
            await self._source.leave()
        except Exception:
            if kind is None:
                raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    def pieces(self) -> AsyncIterator[bytes]:
        """See `StreamedResponse`."""
        return self._pieces

    def lines(self) -> AsyncIterator[str]:
        """See `StreamedResponse`."""
        return self._lines

    def events(self) -> AsyncIterator[Event]:
        """See `StreamedResponse`."""
        return self._events

    async def read(self) -> bytes:
        """See `StreamedResponse`."""
        return b"".join([piece async for piece in self._pieces])

    async def _make_pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._source.piece()) is not None:
            yield piece

    async def _make_lines(self) -> AsyncIterator[str]:
        splitter = LineSplitter()
        async for piece in self._pieces:
            for line in splitter.feed(piece):
                yield line
        for line in splitter.end():
            yield line

    async def _make_events(self) -> AsyncIterator[Event]:
        parser = EventParser()
        async for line in self._lines:
            if (event := parser.feed(line)) is not None:
                yield event
