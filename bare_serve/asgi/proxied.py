"""What a trusted proxy says, applied to an ASGI scope.

What lives here: the template of a connection and the headers of a head, as they are for a request
that a proxy passed on. What must not: whom to trust and what the fields mean (net/forwarded.py).
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.types import Address
from bare_serve.http1 import RequestHead
from bare_serve.net.forwarded import Forwarded, Trust, read
from bare_serve.net.proxy_protocol import ProxyHeader

Headers = list[tuple[bytes, bytes]]


def apply_proxy_header(
    server: Address | None, peer: Any, said: ProxyHeader | None
) -> tuple[Address | None, Any]:
    """Return our end and the other, or what a proxy has said of them."""
    if said is None or said.destination is None:
        return server, peer
    return said.destination, said.source


def trust_of(
    server: Address | None, client: Address | None, trust: Trust, said: ProxyHeader | None
) -> Trust | None:
    """`trust`, if it covers the other end of the connection; `told` by a proxy, if it was."""
    if said is not None and said.anonymous:
        return None
    if client is None and (server is None or server[1] is not None):
        return None  # a client that left before it could be asked its address
    return trust if trust.peer(client[0] if client else None) else None


def apply_forwarded(
    template: dict[str, Any], head: RequestHead, trust: Trust
) -> tuple[dict[str, Any], Headers]:
    """Return the template and the headers for this head, with what its proxy said.

    Raises:
        RequestError: 400, the proxy's word cannot be understood.
    """
    said = read(head.headers, trust, template["client"])
    if said is None:
        return template, head.headers
    return _applied(template, said), said.headers(head.headers)


def _applied(template: dict[str, Any], said: Forwarded) -> dict[str, Any]:
    scope = {**template, "client": said.client}
    if "tls" in scope["extensions"]:
        # The session, and a certificate in it, are the proxy's and not its client's.
        scope["extensions"] = {**scope["extensions"]}
        del scope["extensions"]["tls"]
    if said.scheme:
        scope["scheme"] = said.scheme
    if said.server is not None:
        scope["server"] = said.server
    if said.prefix is not None:
        scope["root_path"] = said.prefix
    return scope
