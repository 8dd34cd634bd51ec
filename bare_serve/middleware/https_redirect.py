"""Sends clients that came by http to the same place by https.

The status keeps method and body (308, RFC 9110, 15.4.9). The host is the one that was asked for, so
`trusted-host` belongs in front. Behind a proxy that ends TLS the scheme is known only if the proxy
is trusted (--forwarded-allow-ips); else clients would be sent on again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bare_serve.middleware.policy import Answer, Head
from bare_serve.middleware.values import paths, plain

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{0,5})?").fullmatch

_TARGET = re.compile(r"/[!-~]*").fullmatch


class HttpsRedirect:
    """`https-redirect`: sends clients to https."""

    def __init__(self, port: int = 443, exclude: Iterable[str] = ()) -> None:
        """Say where to.

        Args:
            port: the port of https.
            exclude: paths, decoded and exact, that are served by http as well.

        Raises:
            ValueError: `port` is none.
        """
        if not 0 < port < 65536:
            raise ValueError(f"port is from 1 to 65535, not {port}")
        self._port = "" if port == 443 else f":{port}"
        self._excluded = paths("exclude", exclude)

    def begin(self, request: Head) -> Answer | None:
        """Look at the scheme."""
        if request.scheme in ("https", "wss") or request.path in self._excluded:
            return None
        match = _HOST(request.header("host") or "")
        if match is None:
            return plain(400, "The host is missing.")
        target = request.target
        where = f"https://{match[1]}{self._port}{target if _TARGET(target) else '/'}"
        return plain(308, "This is served over https.", ("Location", where))
