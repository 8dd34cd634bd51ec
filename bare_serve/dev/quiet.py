"""The access log of a server under development: without the requests of its own pages.

A page asks twice a second which version serves, so that its lines would hide those of the
application. The x-ray leaves the same requests out (server/compose.py).
"""

from __future__ import annotations

from typing import Final

from bare_serve.dev.live import OWN
from bare_serve.logs.access_format import LoggedRequest, LoggedResponse
from bare_serve.logs.access_log import AccessLog

_OWN: Final = OWN.encode("ascii")


class QuietAccessLog(AccessLog):
    """Makes no line of a request whose path is one of the development loop."""

    __slots__ = ()

    def record(
        self,
        client: str,
        request: LoggedRequest,
        response: LoggedResponse,
        seconds: float,
        note: str = "",
    ) -> None:
        """See `AccessLog.record`."""
        if _OWN not in request.target.partition(b"?")[0]:
            super().record(client, request, response, seconds, note)
