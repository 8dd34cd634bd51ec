"""What a stop asks of a running call, answered for a request and its answer.

What lives here: the questions of `RunningCall` that stopping.py asks before it tells or cancels a
call. What must not: whom a stop tells, and when (stopping.py); messages of the application
(exchange.py).

Nothing is kept for a stop: all is read off the state that an exchange has anyway.
"""

from __future__ import annotations

import asyncio

from bare_serve.asgi.interfaces import Client
from bare_serve.asgi.states import HELD, HERE, LEFT, START, STOPPING, STREAM
from bare_serve.asgi.wakeup import Listening
from bare_serve.http import ServerExchange


class StoppableCall:
    """The part of an exchange that a stop sees; the exchange sets the attributes."""

    __slots__ = (
        "_body_taken",
        "_kept_size",
        "_wakeup",
        "body_complete",
        "connection",
        "core",
        "gone",
        "left",
        "state",
        "task",
    )  # fmt: skip

    body_complete: bool
    connection: Client
    core: ServerExchange
    gone: int
    left: int
    state: int
    task: asyncio.Task[None] | None
    _body_taken: bool
    _kept_size: int
    """Bytes of pieces that are kept (streaming.py); set once the state is STREAM."""
    _wakeup: Listening | None

    @property
    def unheard(self) -> bool:
        """See `RunningCall`. Of an endless stream nobody can know whether it is still taken."""
        return self.gone > 0 or (
            self.left == LEFT and self.streams_on and not self.connection.write_paused
        )

    @property
    def sent(self) -> int:
        """See `RunningCall`."""
        sent = self.core.bytes_sent
        return sent + self._kept_size if self.state == STREAM else sent

    @property
    def streams_on(self) -> bool:
        """An answer without length has begun, endless as far as anybody knows."""
        return (self.state == HELD or self.state == STREAM) and self.core.open_ended

    @property
    def may_be_endless(self) -> bool:
        """See `RunningCall`."""
        return self.streams_on and self.body_complete and not self.connection.write_paused

    @property
    def may_be_unheard(self) -> bool:
        """See `RunningCall`."""
        return self.left == LEFT and self.state == START and not self.gone

    def probe(self) -> None:
        """See `RunningCall`."""
        if output := self.core.probe():
            self.connection.write(output)

    @property
    def only_listens_since(self) -> float | None:
        """See `RunningCall`."""
        wakeup = self._wakeup
        if self.state != START or self.left or not self._body_taken or wakeup is None:
            return None
        return wakeup.since if wakeup.task is self.task else None

    @property
    def is_futile(self) -> bool:
        """See `RunningCall`."""
        return False

    def tell_stop(self) -> None:
        """See `RunningCall`."""
        if self.left == HERE:
            self.left = STOPPING
            if self._wakeup is not None:
                self._wakeup.wake()
