"""Who may open a WebSocket: pages of the origins that the application names.

What lives here: how an Origin (RFC 6454) is compared. What must not: what is answered
(websocket.py).

Browsers let each page open a WebSocket to each server and send the cookies along, so without this
check any page could act for its visitor. A request without an Origin is no browser's, and passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """Return what may stand in `origins`, in lower case.

    Args:
        origins: "same" for pages of the host that is asked; "*" for all, which is safe only where
            no cookie says who somebody is; "null" for pages without an origin; or origins such as
            "https://a.example".

    Raises:
        ValueError: an origin is none, such as one with a path.
    """
    given = (origins,) if isinstance(origins, str) else origins
    found = tuple(each.lower() for each in given)
    for each in found:
        if each not in ("same", "*", "null") and each != _origin(each):
            raise ValueError(
                f"{each!r} is no origin: it is a scheme, a host and a port other than the usual "
                'one, such as "https://a.example" or "http://localhost:3000"'
            )
    return found


def is_allowed(origin: str, origins: tuple[str, ...], host: str, scheme: str) -> bool:
    """Return whether a page of `origin` may connect.

    Args:
        origin: the request's Origin, or "" without one.
        origins: as `check_origins` returns them.
        host: the request's Host.
        scheme: "ws" or "wss". Behind a proxy that ends TLS it may be "ws" for pages of https; a
            page of http never opens a "wss".
    """
    if not origin or "*" in origins:
        return True
    origin = origin.lower()
    if origin in origins:
        return True
    if "same" not in origins or origin != _origin(origin):
        return False
    kind, _, place = origin.partition("://")
    if kind == "http" and scheme == "wss":
        return False
    return place == host.lower().removesuffix(_DEFAULT_PORTS[kind])


def _origin(text: str) -> str | None:
    """Return `text` as browsers write origins, None if it is nothing like it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    tail = "" if port is None or f":{port}" == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{tail}"
