"""What a call of the application sees of its client.

What lives here: Protocols only: a connection of HTTP/1.1, or a stream of many on one connection, as
the answer (response.py) and the service (service.py) use it. What must not: anything that runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import Output, RequestHead, ServerExchange
from bare_serve.net.forwarded import Trust

if TYPE_CHECKING:
    from bare_serve.wsgi.upgraded import UpgradedSocket


class Transport(Protocol):
    """Where the bytes go."""

    def transmit(self, output: Output, last: bool) -> None:
        """Write `output`; wait where the client is slow and more is to come.

        Raises:
            ClientGone: the client takes it no more.
        """

    def send_piece(self, data: bytes) -> None:
        """Write a piece of body behind which more comes: at once, or a moment later with others.

        Raises:
            ClientGone: the client takes it no more.
            ResponseError: no response was started.
        """

    def take_kept(self) -> bytes:
        """Return the pieces that were not written yet; whoever asks is to send them first."""

    def release(self) -> None:
        """Write the end of the answer, if it was held until the call is over.

        Raises:
            ClientGone: the client takes it no more.
        """

    def send_file(self, fd: int, offset: int, count: int) -> None:
        """Send `count` bytes of a regular file as the body of an answer that has not begun, or as
        many as its Content-Length says. Asked only where the exchange has `raw_files`.

        Raises:
            ClientGone: the client takes it no more.
            OSError: the file cannot be read.
        """


class Client(Transport, Protocol):
    """The client of one call, as the service sees it."""

    client: str
    """Its address, as observers of answers are told it; empty for a unix socket."""
    started: float
    """When its call began, by time.perf_counter(); 0.0 if nobody wants to know."""
    environ: dict[str, Any]
    """What is the same for each of its requests."""
    last_head: RequestHead | None
    last_environ: dict[str, Any]
    """The head before, and the environ made of it: a client that repeats its head gets a copy."""
    at_end: Callable[[], None] | None
    """Called once the client has taken the file that is sent to it, or has left."""

    @property
    def failure(self) -> ClientGone | RequestError | None:
        """Why nothing more can be sent or received, if that is so."""

    @property
    def http(self) -> ServerExchange:
        """The request and its answer."""

    @property
    def trust(self) -> Trust | None:
        """Whose forwarded fields are taken; None if not this client's."""

    @property
    def collected(self) -> Any:
        """A body that is gathered before the call; None if there is none."""

    @property
    def given_up(self) -> bool:
        """Whether another thread has answered in the place of the call."""

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client."""

    @property
    def sends_file(self) -> bool:
        """Whether the rest of a file waits for the client."""

    @property
    def upgraded(self) -> UpgradedSocket | None:
        """The socket, if the application has taken the connection for itself."""

    def socket_for_upgrade(self) -> UpgradedSocket | None:
        """Return the socket for an application that is asked for a WebSocket; None if it cannot
        have one."""

    def abort(self) -> None:
        """Let the client see that its answer is not complete."""

    def drop_output(self) -> None:
        """Forget what the client has not taken."""

    def forget_collected(self) -> None:
        """Forget a body that was gathered."""

    def mark_given_up(self, why: str) -> None:
        """Have the call's thread receive and send nothing more; `why` is what it is told."""

    def give_up(self, answer: bytes, *, reset: bool) -> None:
        """Send `answer` in the place of the call's, the last one; `reset`: only that tells."""
