"""WebSockets without I/O: handshake and frames, bytes in, messages and bytes out (RFC 6455, 7692).

Nothing in this package touches a socket, a thread, an event loop or a log. `session.py` is an
open connection; `handshake.py` says how it comes to be one.
"""

from .deflate import Deflate
from .frames import may_be_sent
from .handshake import Handshake
from .options import HIGH_WATER, WebSocketOptions
from .session import CLOSED, CLOSING, OPEN, Session

__all__ = [
    "CLOSED",
    "CLOSING",
    "HIGH_WATER",
    "OPEN",
    "Deflate",
    "Handshake",
    "Session",
    "WebSocketOptions",
    "may_be_sent",
]
