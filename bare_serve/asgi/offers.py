"""Which extensions of the ASGI specification a request is offered.

What lives here: functions from a head to `scope["extensions"]`. What must not: what an extension
does (extensions.py).

An extension is offered only where it does something: trailers to a client that takes them, debug
if debug messages are logged.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from bare_serve.asgi.shared import Shared
from bare_serve.http import RequestHead

PATHSEND: Final = "http.response.pathsend"
ZEROCOPYSEND: Final = "http.response.zerocopysend"
TRAILERS: Final = "http.response.trailers"
EARLY_HINT: Final = "http.response.early_hint"
DEBUG: Final = "http.response.debug"

logger = logging.getLogger("bare_serve.app")

_NO_DETAILS = Shared()
_ALWAYS: dict[str, dict[str, Any]] = dict.fromkeys(
    (PATHSEND, ZEROCOPYSEND, EARLY_HINT), _NO_DETAILS
)
_WITH_DEBUG: dict[str, dict[str, Any]] = {**_ALWAYS, DEBUG: _NO_DETAILS}


def offered() -> dict[str, dict[str, Any]]:
    """Return what every request is offered; copy it before an application may write into it."""
    return _WITH_DEBUG if logger.isEnabledFor(logging.DEBUG) else _ALWAYS


def offered_with(
    extensions: dict[str, dict[str, Any]], head: RequestHead
) -> dict[str, dict[str, Any]]:
    """Return the extensions that are offered with this head."""
    return {**extensions, TRAILERS: _NO_DETAILS} if takes_trailers(head) else extensions


def takes_trailers(head: RequestHead) -> bool:
    """Return whether the client says that it takes trailers (RFC 9110, 6.5.1 and 10.1.4)."""
    if head.is_http10 or not head.says_te:
        return False
    values = [value for name, value in head.headers if name == b"te"]
    return bool(values) and any(
        item.strip() == b"trailers" for item in b",".join(values).lower().split(b",")
    )
