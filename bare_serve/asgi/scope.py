"""The ASGI scope: what a request looks like to the application.

What lives here: a template per connection, and from it the scope of one request head. What must
not: the life of a request (exchange.py).

Facts of the connection (`connection_scope`) and of a head (`head_scope`) make a scope. While a
keep-alive client repeats its head, or all but the request line (`retarget`), one is kept and
copied. Each request has a header list,
state and extensions of its own, since applications write into them; the dictionaries
inside `asgi` and `extensions` are common to all, and cannot be written into (shared.py).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import unquote_to_bytes

from bare_serve.asgi.offers import offered, offered_with
from bare_serve.asgi.shared import Shared
from bare_serve.asgi.types import Address
from bare_serve.http import RequestHead
from bare_serve.net.addresses import own_end, plain_end

ASGI_VERSION = "3.0"
# Not 2.4 or later: by these Starlette and FastAPI take it that `send` raises for a client that has
# left, and listen no more. A stream that waits sends nothing, so it would never know. What those
# versions ask of a server (`send` raises) holds nevertheless.
SPEC_VERSION = "2.3"
_ASGI = Shared(version=ASGI_VERSION, spec_version=SPEC_VERSION)


def connection_scope(
    root_path: str,
    server: Address | None,
    client: Address | None,
    tls: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the keys that all requests of a connection share; `tls` is that extension."""
    return {
        "type": "http",
        "asgi": _ASGI,
        "scheme": "http" if tls is None else "https",
        "root_path": root_path,
        "client": client,
        "server": server,
        "extensions": offered() if tls is None else {**offered(), "tls": Shared(tls)},
    }


def head_scope(scope: dict[str, Any], head: RequestHead) -> dict[str, Any]:
    """Add the facts of `head`; what may be changed is copied for each request."""
    scope["http_version"] = head.version
    scope["extensions"] = offered_with(scope["extensions"], head)
    retarget(scope, head)
    return scope


def retarget(scope: dict[str, Any], head: RequestHead) -> None:
    """Put the method and the target of `head` into a scope, whose fields may be another head's.

    `path` holds the root path as well, because applications build URLs from it: a proxy that
    strips the prefix and one that passes it on lead to the same scope. `raw_path` is as sent.
    """
    raw_path = head.raw_path
    unquoted = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    scope["method"] = head.method
    # The specification wants characters. Bytes that are not UTF-8 become U+FFFD: a lone surrogate,
    # as in PEP 3333's strings, is none, and applications fail when they encode it.
    path = unquoted.decode("utf-8", "replace")
    root_path = scope["root_path"]
    scope["path"] = under_root(path, root_path) if root_path else path
    scope["raw_path"] = raw_path
    scope["query_string"] = head.query


def under_root(path: str, root_path: str) -> str:
    """`path` with `root_path` in front, unless it is there already."""
    if not root_path or path == root_path or path.startswith(root_path + "/") or path == "*":
        return path
    return root_path + path


def listening_address(listener: socket.socket) -> Address | None:
    """`server` for all connections of a listener; None where it differs between them."""
    name = listener.getsockname()
    if listener.family == getattr(socket, "AF_UNIX", None):
        # An abstract name is bytes and starts with NUL.
        path = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
        return path or "", None
    return own_end(name)


def own_address(transport: asyncio.BaseTransport) -> Address | None:
    """`server` for one connection, by its own word."""
    return host_and_port(transport.get_extra_info("sockname"))


def host_and_port(name: Any) -> Address | None:
    """Return an address as ASGI wants it: two of IPv6's four parts, None for unix clients."""
    if isinstance(name, tuple) and len(name) >= 2:
        return plain_end(name)
    return None
