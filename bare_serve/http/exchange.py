"""What connections and exchanges show of themselves, whatever version of HTTP they speak.

What lives here: Protocols and types, nothing that runs. What must not: a version of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bare_serve.errors import RequestError
from bare_serve.http.fields import Field
from bare_serve.http.head import RequestHead

Output = bytes | tuple[bytes, ...]
"""What to write now. A tuple stands for pieces in a row, where joining them would copy a lot."""


class ServerExchange(Protocol):
    """One request and its answer: a connection of HTTP/1.1, or a stream of many on a connection.

    Bytes that a method gives back are to be written, in this order, to whatever carries them.
    """

    status: int
    """Of the answer; 0 before `start_response`."""

    @property
    def head(self) -> RequestHead | None:
        """The request's; None if no head was received."""

    @property
    def requests(self) -> int:
        """Changes when another request takes the place of this one."""

    @property
    def bytes_sent(self) -> int:
        """Bytes of body sent in this answer, without framing."""

    def take_body_received(self) -> int:
        """Return the bytes of the request's body that have come since this was asked last."""

    @property
    def answer_lines(self) -> Sequence[bytes]:
        """The header lines that the application gave for this answer."""

    @property
    def response_started(self) -> bool:
        """Whether the head of the answer has left."""

    @property
    def response_complete(self) -> bool:
        """Whether all of this answer was given to the transport."""

    @property
    def overrun(self) -> bool:
        """Whether the application sent more than its Content-Length; what was too much is cut."""

    @property
    def short(self) -> bool:
        """Whether it sent less, and ended the answer."""

    @property
    def open_ended(self) -> bool:
        """Whether the answer was started without a declared length."""

    @property
    def raw_files(self) -> bool:
        """Whether bytes of a file may be written as they are: no piece of body needs a frame.

        Then who owns the socket sends files; else they are read, and sent by `send_body`.
        """

    def continue_expected(self) -> bytes:
        """Return what tells a client that waits for leave to send its body (RFC 9110, 10.1.1)."""

    def probe(self) -> bytes:
        """Return what makes the system of a client that has left say so, if there is such a thing
        before the answer has started."""

    def informational(self, status: int, headers: Iterable[Field]) -> bytes:
        """Return an interim answer such as 103 (RFC 9110, 15.2); nothing where none is understood.

        Raises:
            ResponseError: the final answer has started, or the status is not 102 to 199.
        """

    def start_response(self, status: int, headers: Iterable[Field], reason: bytes = b"") -> None:
        """Take status and headers, which leave with the first piece of body.

        May be called again until then: the later call counts.

        Raises:
            ResponseError: the answer has started, or something in it must not be sent.
        """

    def send_body(self, data: bytes, more: bool) -> Output:
        """Return what to write now for the next piece of body; `more` is False for the last one.

        Raises:
            ResponseError: no response was started, or it is already complete.
        """

    def send_trailers(self, headers: Iterable[Field]) -> bytes:
        """End a body with a trailer section (RFC 9110, 6.5), as far as there is one.

        Raises:
            ResponseError: no body was sent, or a field must not be sent there.
        """

    def error_response(self, error: RequestError) -> bytes:
        """Return the answer to a request that is refused; nothing if an answer has started."""

    def break_off(self) -> bool:
        """End an answer that cannot be completed.

        Returns:
            Whether the client can tell that something is missing, if what carries the exchange
            ends in good order.
        """


class Timed(Protocol):
    """What deadlines ask of a connection (deadlines.py)."""

    @property
    def phase(self) -> int:
        """One of phases.py: what it is waiting for."""

    @property
    def requests(self) -> int:
        """Heads received so far."""

    @property
    def buffered(self) -> int:
        """Bytes received that are not yet part of an event."""

    @property
    def body_received(self) -> int:
        """Bytes of body received for all requests so far."""

    @property
    def bytes_sent(self) -> int:
        """Bytes of body sent in this answer, without framing."""

    @property
    def awaits_continue(self) -> bool:
        """Whether the client holds its body back until it is told to go on."""

    @property
    def response_complete(self) -> bool:
        """Whether all of this answer was given to the transport."""
