"""What the parts of an ASGI worker see of each other.

What lives here: Protocols only, each the slice of an object that another module needs, so that no
two modules have to know each other. What must not: anything that runs.

`Writable`, `Sink`, `Client` and `Answer` are a client and its answer, as exchanges, extensions and
files see them; a client may be a connection or one of many streams on one (`core` knows which).
`OpenConnection`, `Waiting`, `Request` and `RunningCall` are what the worker keeps and ends.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from bare_serve.asgi.wakeup import Wakeup
from bare_serve.http import Output, RequestHead, ServerExchange

# ------------------------------------------------------------------------- towards the client


class Writable(Protocol):
    """Where output goes, and whether more of it is taken."""

    @property
    def transport(self) -> asyncio.Transport:
        """What takes bytes; of a stream, that of its connection."""

    @property
    def drained(self) -> Wakeup:
        """Is woken when `write_paused` ends, and when the client is lost."""

    @property
    def write_paused(self) -> bool:
        """Whether the client takes less than it is sent."""

    @property
    def lost(self) -> bool:
        """Whether nobody takes anything any more."""


class Sink(Writable, Protocol):
    """A connection whose socket takes bytes of a file as they are."""

    file_left: int
    """Bytes of the file that the client has not taken."""


class Client(Writable, Protocol):
    """A connection or a stream, as the exchange on it sees it."""

    @property
    def client(self) -> str:
        """The address of the client, as observers of answers are told it."""

    @property
    def core(self) -> ServerExchange: ...

    def write(self, output: Output) -> None: ...

    async def send_file(self, file: int, start: int, count: int, *, last: bool) -> None:
        """Send `count` bytes of a regular file as a piece of body, from the byte `start` on.

        Asked only where `core.raw_files`. `last`: nothing but the end of the answer follows.

        Raises:
            ClientGone: the client takes no more.
            ResponseError: the file has become shorter meanwhile.
        """

    def pull(self) -> None: ...

    def adjust_reading(self) -> None: ...

    def answered(self) -> None: ...

    def break_off(self) -> None:
        """End an answer that cannot be completed, so that the client can tell."""


class Answer(Protocol):
    """An exchange, as the extensions see it."""

    state: int
    """One of states.py."""
    head: RequestHead
    core: ServerExchange
    trailers: list[tuple[bytes, bytes]] | None
    """Those gathered so far; None if none were announced."""

    @property
    def connection(self) -> Client: ...

    def begin_stream(self) -> None:
        """Set the state to STREAM: the head and a piece have left, and more comes."""

    async def send_body(self, data: bytes, more: bool) -> None: ...

    def complete(self) -> None: ...

    def break_off(self) -> None: ...


# ------------------------------------------------------------------------- towards the worker


class OpenConnection(Protocol):
    """A connection as the worker sees it."""

    def check(self, now: float) -> None: ...

    def fileno(self) -> int: ...

    def drain(self) -> None: ...

    def wind_down(self, *, fresh: bool) -> None: ...

    def cut(self) -> None: ...


class Waiting(Protocol):
    """A connection with a request that has not begun."""

    def go_on(self) -> None: ...


class Request(Protocol):
    """A request, as the queue in front of a busy worker and the clock over requests see it."""

    gone: int
    left: int
    timed: bool
    begun: float
    cancelled: float

    def start(self) -> None: ...

    def refuse(self) -> None: ...

    def cancel_late(self) -> None: ...

    def answer_late(self) -> None: ...


class EndedCall(Protocol):
    """A call that has ended without a complete answer, or been cancelled (failures.py)."""

    core: ServerExchange
    left: int
    cancelled: float

    @property
    def undone(self) -> str:
        """The clause that a call breaks by returning as it stands."""

    @property
    def unheard(self) -> bool:
        """See `RunningCall`."""

    def fail(self, status: int, text: bytes) -> None:
        """Answer in the application's place where no answer has begun; else break it off."""

    def answer_late(self) -> None: ...

    def break_off(self) -> None: ...


class RunningCall(Request, Protocol):
    """A call of the application that has not returned; `task` is None before its first pause."""

    task: asyncio.Task[None] | None
    started_at: float
    """When it began, by time.perf_counter(); 0.0 if nobody wants to know."""

    def never_ran(self) -> None: ...

    @property
    def unheard(self) -> bool:
        """Whether no client can receive what it sends."""

    @property
    def sent(self) -> int:
        """Bytes of its answer so far."""

    @property
    def may_be_endless(self) -> bool:
        """Whether an answer without length has begun, and does not wait for its client."""

    @property
    def may_be_unheard(self) -> bool:
        """Whether its client has closed its side, which most clients do only when they leave."""

    def probe(self) -> None:
        """Send what makes a client's system say that the client has left."""

    @property
    def only_listens_since(self) -> float | None:
        """Since when its own task waits in `receive`, if it has not begun to answer."""

    @property
    def is_futile(self) -> bool:
        """Whether it listens, and all that it may come to would be ended at once."""

    def tell_stop(self) -> None:
        """Have `receive` return the end."""
