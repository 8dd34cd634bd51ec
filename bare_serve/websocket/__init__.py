"""WebSockets without I/O: handshake and frames, bytes in, messages and bytes out (RFC 6455, 7692).

Nothing in this package touches a socket, a thread, an event loop or a log. `session.py` is an
open connection; `handshake.py` says how it comes to be one. Those two are imported by their own
names: the master process needs the options, but not wsproto and OpenSSL's hashes (5 MiB).
"""

from bare_serve.websocket.options import HIGH_WATER, WebSocketOptions

__all__ = ["HIGH_WATER", "WebSocketOptions"]
