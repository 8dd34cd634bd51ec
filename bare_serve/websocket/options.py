"""How WebSockets are to be spoken: one frozen record, and the bounds that are no option.

What lives here: the numbers with their units. What must not: the code that applies them; sizes
are held where the bytes are (session.py, deflate.py), times by the owner of the socket.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_FRAGMENTS: Final = 1 << 17
"""Frames of one message; beyond: 1008. A bound on work: their bytes are joined as they come."""

FEW_FRAGMENTS: Final = 1 << 12
LEAST_FRAGMENT: Final = 16
"""Beyond so few, fragments hold so many bytes on average; else 1008."""

MAX_CONTROLS: Final = 1 << 14
"""Control frames a second; beyond: 1008."""

HIGH_WATER: Final = 1 << 16
"""Bytes of messages, after inflating, that may wait for the application to take them."""

COMPRESS_FROM: Final = 256
"""Bytes below which a message is sent as it is: it would hardly shrink."""


class WebSocketOptions(NamedTuple):
    """The slice of the settings that WebSockets need."""

    engine: str = "auto"
    """auto reads whole frames by itself and leaves the rest to wsproto; wsproto reads them all."""
    max_size: int = 16 << 20
    """Bytes of a message, both as it comes and after inflating; beyond: 1009."""
    ping_interval: float = 20.0
    """Seconds between pings; 0 sends none."""
    ping_timeout: float = 20.0
    """Seconds that a pong may take; 0 waits for ever."""
    compression: bool = True
    """Whether permessage-deflate (RFC 7692) is accepted when a client offers it."""
