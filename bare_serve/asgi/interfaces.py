"""What the parts of an ASGI worker see of each other.

What lives here: Protocols only, each the slice of an object that another module needs, so that no
two modules have to know each other. What must not: anything that runs.

`Sink`, `Client` and `Answer` are a client and its answer, as exchanges and extensions see them;
`OpenConnection`, `Waiting`, `Request` and `RunningCall` are what the worker keeps and ends.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from bare_serve.asgi.wakeup import Wakeup
from bare_serve.http1 import Output, RequestHead, ServerConnection

# ------------------------------------------------------------------------- towards the client


class Sink(Protocol):
    """A connection that a file is sent to."""

    transport: asyncio.Transport
    drained: Wakeup
    write_paused: bool
    file_left: int
    """Bytes of the file that the client has not taken."""
    lost: bool


class Client(Sink, Protocol):
    """A connection, as the exchange on it sees it."""

    core: ServerConnection
    client: str
    """The address of the client, as the access log names it."""

    def write(self, output: Output) -> None: ...

    def pull(self) -> None: ...

    def adjust_reading(self) -> None: ...

    def answered(self) -> None: ...

    def break_off(self) -> None: ...


class Answer(Protocol):
    """An exchange, as the extensions see it."""

    state: int
    """One of states.py."""
    head: RequestHead
    core: ServerConnection
    trailers: list[tuple[bytes, bytes]] | None
    """Those gathered so far; None if none were announced."""

    @property
    def connection(self) -> Client: ...

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


class RunningCall(Request, Protocol):
    """A call of the application that has not returned; `task` is None before its first pause."""

    task: asyncio.Task[None] | None

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
