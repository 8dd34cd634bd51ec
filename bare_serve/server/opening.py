"""The addresses by which people reach a server: for their browser, and for their telephone.

What lives here: which of the listeners that is. What must not: starting a browser and drawing codes
(dev/). Imported only where one of them is asked for.
"""

from __future__ import annotations

import logging
import socket

from bare_serve.dev import opening
from bare_serve.net.bind_address import url_of
from bare_serve.server.listeners import Listeners

logger = logging.getLogger("bare_serve.supervision")

_EVERYWHERE = ("0.0.0.0", "::")


def _url(listener: socket.socket, role: str, host: str) -> str:
    name = listener.getsockname()
    return url_of(listener, role).replace(
        f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0], host, 1
    )


def for_browser(listeners: Listeners, root_path: str = "") -> str:
    """Return where a browser on this machine finds the application; empty for nowhere."""
    for listener, role in listeners.sockets.items():
        if listener.family == socket.AF_UNIX or role == "redirect":
            continue
        everywhere = listener.getsockname()[0] in _EVERYWHERE
        here = _url(listener, role, "localhost") if everywhere else url_of(listener, role)
        return f"{here}{root_path}/"
    return ""


def for_network(listeners: Listeners) -> str:
    """Return where other machines of the network find it; empty if it does not listen there."""
    for listener, role in listeners.sockets.items():
        if listener.family != socket.AF_UNIX and listener.getsockname()[0] in _EVERYWHERE:
            address = opening.own_address()
            return _url(listener, role, address) if address else ""
    return ""


def open_for(listeners: Listeners, root_path: str = "") -> None:
    """Open the browser, or say why not."""
    url = for_browser(listeners, root_path)
    if not url:
        logger.warning("--open: there is no address that a browser could open.")
    elif not opening.open_browser(url):
        logger.warning("--open: there is no browser to be seen here. The address is %s", url)
