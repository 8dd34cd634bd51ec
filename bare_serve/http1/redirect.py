"""The connection of a listener that only sends its clients on, to https.

What lives here: from a request's target to the same one elsewhere. What must not: who listens.

308 and not 301, so that a POST stays one (RFC 9110, 15.4.9). The connection ends with the answer:
nothing more is to be had here.
"""

from __future__ import annotations

import re
from typing import Any

from bare_serve.errors import RequestError
from bare_serve.http.head import RequestHead
from bare_serve.http.limits import Limits
from bare_serve.http1.connection import ServerConnection
from bare_serve.http1.parser import HeadParser

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]+)(?::[0-9]*)?")


class Redirecting(ServerConnection):
    """Refuses every request with the address at which it is to be repeated."""

    __slots__ = ("_port",)

    def __init__(self, parser: HeadParser, limits: Limits, extra_headers: bytes, port: int) -> None:
        """`port`: where https is served; the others as in `ServerConnection`."""
        super().__init__(parser, limits, extra_headers)
        self._port = port

    def next_event(self) -> Any:
        """As in `RequestReader`, but a head never comes out.

        Raises:
            RequestError: 308, or 400 for a request that does not say which host it wants.
        """
        event = super().next_event()
        if type(event) is RequestHead:
            raise _elsewhere(event, self._port)
        return event


def _elsewhere(head: RequestHead, port: int) -> RequestError:
    host = next((value for name, value in head.headers if name == b"host"), b"")
    found = _HOST.fullmatch(host)
    if found is None:
        return RequestError(400, "Use https:// in the address.")
    place = found[1].decode("ascii") + ("" if port == 443 else f":{port}")
    path = head.raw_path if head.raw_path.startswith(b"/") else b"/"
    query = b"?" + head.query if head.query else b""
    target = f"https://{place}{(path + query).decode('latin-1')}"
    return RequestError(308, f"See {target}", f"Location: {target}\r\n".encode("latin-1"))
