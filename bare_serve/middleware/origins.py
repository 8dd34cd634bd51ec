"""Origins as browsers write them (RFC 6454, 6.2), and whether one is the host that is asked.

What lives here: what a text has to be, and the comparison with a host. What must not: who is let in
(cors.py, and handlers of WebSockets).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHAPE = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_USUAL_PORTS = {"http": ":80", "https": ":443"}


def check_origins(
    origins: Iterable[str], words: tuple[str, ...] = ("same", "*", "null")
) -> tuple[str, ...]:
    """Return `origins` in lower case.

    Raises:
        ValueError: one of them is neither an origin nor one of `words`.
    """
    found = tuple(map(str.lower, (origins,) if isinstance(origins, str) else origins))
    for each in found:
        if each not in words and not is_origin(each):
            raise ValueError(
                f"origins: {each!r} is none; write scheme, host and a port other than the usual "
                "one, such as https://example.com or http://localhost:3000"
            )
    return found


def is_origin(text: str) -> bool:
    """Return whether `text` is one: lower case, no path, no port that is usual with the scheme."""
    usual = _USUAL_PORTS.get(text.partition(":")[0])
    return bool(_SHAPE.fullmatch(text)) and not (usual and text.endswith(usual))


def is_same(origin: str, host: str, scheme: str) -> bool:
    """Return whether a page of `origin` is one of the host that is asked.

    Args:
        origin: as the request has it, in lower case.
        host: the request's Host.
        scheme: the request's. Behind a proxy that ends TLS it may be "ws" for pages of https; a
            page of http never opens a "wss".
    """
    kind, _, place = origin.partition("://")
    if kind not in _USUAL_PORTS or not is_origin(origin) or (kind, scheme) == ("http", "wss"):
        return False
    return place == host.lower().removesuffix(_USUAL_PORTS[kind])
