"""What a connection shows of itself to the rest of the server, whatever version of HTTP it speaks.

What lives here: Protocols and types, nothing that runs. What must not: a version of HTTP.
"""

from __future__ import annotations

from typing import Protocol

Output = bytes | tuple[bytes, ...]
"""What to write now. A tuple stands for pieces in a row, where joining them would copy a lot."""


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
