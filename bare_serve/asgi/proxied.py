"""What a trusted proxy tells, applied to an ASGI scope.

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


def ends_as_told(
    server: Address | None, peer: Any, told: ProxyHeader | None
) -> tuple[Address | None, Any]:
    """Our end and the other, or what a proxy has said of them."""
    if told is None or told.destination is None:
        return server, peer
    return told.destination, told.source


def trust_of(
    server: Address | None, client: Address | None, trust: Trust, told: ProxyHeader | None
) -> Trust | None:
    """`trust`, if it covers the other end of the connection; `told` by a proxy, if it was."""
    if told is not None and told.anonymous:
        return None
    if client is None and (server is None or server[1] is not None):
        return None  # a client that left before it could be asked who it is
    return trust if trust.peer(client[0] if client else None) else None


def as_told(
    template: dict[str, Any], head: RequestHead, trust: Trust
) -> tuple[dict[str, Any], Headers]:
    """The template and the headers for this head, after its proxy's word.

    Raises:
        RequestError: 400, the proxy's word cannot be understood.
    """
    told = read(head.headers, trust, template["client"])
    if told is None:
        return template, head.headers
    return _applied(template, told), told.headers(head.headers)


def _applied(template: dict[str, Any], told: Forwarded) -> dict[str, Any]:
    scope = {**template, "client": told.client}
    if "tls" in scope["extensions"]:
        # The session, and a certificate in it, are the proxy's and not its client's.
        scope["extensions"] = {**scope["extensions"]}
        del scope["extensions"]["tls"]
    if told.scheme:
        scope["scheme"] = told.scheme
    if told.server is not None:
        scope["server"] = told.server
    if told.prefix is not None:
        scope["root_path"] = told.prefix
    return scope
