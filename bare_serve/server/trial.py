"""Whether a new master could take the place of the one that runs: asked before it does.

What lives here: looking for what would fail, in a process of its own, which leaves nothing behind.
What must not: taking the place (supervision/handover.py).
"""

from __future__ import annotations

import contextlib
import os
from importlib import import_module

from bare_serve.config.settings import Settings
from bare_serve.errors import UsageError
from bare_serve.net import sockets
from bare_serve.server.listeners import access_of, address_of, keys_of
from bare_serve.supervision import Trial, pid_file
from bare_serve.supervision.pidfile import is_held
from bare_serve.system.privileges import Identity


def check_succession(
    trial: Trial, settings: Settings, where: tuple[str, ...], identity: Identity | None
) -> None:
    """Find out whether this process could take the place of its parent; leaves nothing behind.

    Raises:
        BareServeError: it could not; the message says why.
    """
    if settings.workers == 0:
        raise UsageError(
            "--workers 0: a server that runs cannot begin to serve in its own process; "
            "stop it and start it anew"
        )
    if trial.inherited is None:
        return
    if not is_held(settings.pid, trial.pid_file, os.getppid()):
        with pid_file(settings.pid):
            pass
    access = access_of(settings, identity)
    with contextlib.ExitStack() as stack:
        for key in keys_of(settings, where):
            if key not in trial.inherited:
                address = address_of(key)
                stack.callback(sockets.release, address, sockets.bind(address, access=access))
        if settings.ops is not None:
            ops = import_module("bare_serve.server.ops")  # few have one
            address = ops.address_of(settings)
            if str(address) not in trial.ops:
                sock = sockets.bind(address, access=ops.access_of(identity))
                stack.callback(sockets.release, address, sock)
