"""Opening a browser, and the address by which other machines reach this one.

What must not live here: when it is done. Nothing here waits for anything: a browser is started by a
shell that ends at once, and no packet is sent.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Final

_OPENERS: Final = ("xdg-open", "wslview", "sensible-browser", "x-www-browser", "gio")
_NOWHERE: Final = ("192.0.2.1", 9)
"""An address of documentation (RFC 5737): only the way to it is asked for."""


def browser(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the command to which an address is added; empty if there is no browser to be seen."""
    for wanted in filter(None, environ.get("BROWSER", "").split(os.pathsep)):
        if "%" not in wanted and (path := shutil.which(wanted)):
            return [path]
    if sys.platform == "darwin":
        return ["/usr/bin/open"]
    if not any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")):
        return []
    for name in _OPENERS:
        if path := shutil.which(name):
            return [path, "open"] if name == "gio" else [path]
    return []


def open_browser(url: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Open this address; False if there is no browser, or it cannot be started."""
    command = browser(environ)
    if not command:
        return False
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", *command, url],
            environ,
            setpgroup=0,  # Ctrl-C is for the server
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores them
        )
        os.waitpid(pid, 0)
    except OSError:
        return False
    return True


def own_address() -> str:
    """Return this machine's address in its network; empty if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            return ""
