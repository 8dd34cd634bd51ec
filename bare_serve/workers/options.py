"""The slice of the settings that a worker needs, of whatever kind the worker is.

What lives here: one frozen record. What must not: how settings become the record
(server/compose.py), what a worker does with the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bare_serve.http import Limits, Timeouts
from bare_serve.logs.access_log import AccessLog
from bare_serve.net.forwarded import Trust
from bare_serve.websocket import WebSocketOptions

if TYPE_CHECKING:
    from bare_serve.tls.certificates import Certificates
    from bare_serve.xray.options import XrayOptions


class ServeOptions(NamedTuple):
    """What both kinds of worker need to serve; composed once from the settings."""

    parser: str = "auto"
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    root_path: str = ""
    trust: Trust | None = None
    """Proxies that are believed; None for no proxy."""
    proxy_protocol_peers: Trust | None = None
    """Proxies that begin each connection by a PROXY header; None for no proxy."""
    headers: tuple[tuple[str, str], ...] = ()
    """Fields that every answer gets."""
    access_log: AccessLog | None = None
    counts: bool = True
    """Count answers, bytes and durations, for whoever looks."""
    multiprocess: bool = False
    threads: int = 8
    wsgi_buffer_chunked: bool = True
    timeout_request: float = 0.0
    """How long a request may take, until its answer is complete; 0 for as long as it likes."""
    limit_concurrency: int = 0
    """The most requests an ASGI worker has in progress at once; 0 for as many as come."""
    limit_connections: int = 0
    """The most connections a worker has at once; 0 for as many as come."""
    limit_spool: int = 1 << 30
    """Bytes of request bodies that a WSGI worker has in temporary files at once."""
    warn_blocked: float = 0.0
    """Log what holds an ASGI worker's loop for longer than this; 0 for never."""
    log_slow: float = 0.0
    """Log requests that take longer than this; 0 for none, and nothing looks."""
    number: int = 0
    """The worker's place, as logs name it; 0 where there is no master."""
    loop: str = "auto"
    lifespan: str = "auto"
    websocket: WebSocketOptions | None = WebSocketOptions()
    """None: requests for a WebSocket are served as plain HTTP."""
    roles: Mapping[int, str] = MappingProxyType({})
    """What listeners are for, by their descriptors: tls, redirect, else plain HTTP."""
    certificates: Certificates | None = None
    """For those that speak TLS."""
    https_port: int = 443
    """Where redirects lead."""
    xray: XrayOptions | None = None
    """What is shown of each request; None for nothing, and nothing is imported for it."""

    @property
    def header_lines(self) -> bytes:
        """The fields of `headers` as lines of HTTP/1.1, each with its CRLF (RFC 9112, 5)."""
        return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in self.headers)
