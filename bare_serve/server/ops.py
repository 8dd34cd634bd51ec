"""The ops process from settings: its listener, its rules, and the work that keeps it alive.

What lives here: what is refused, which socket, whose token. What must not: answering (ops/), the
process (supervision/ops_process.py). Imported only where there is --ops.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from socket import socket

from bare_serve.config.settings import Settings
from bare_serve.errors import BareServeError, UsageError
from bare_serve.net import sockets
from bare_serve.net.bind_address import Address, parse_address, url_of
from bare_serve.ops.guard import is_loopback
from bare_serve.ops.rules import Rules
from bare_serve.supervision import Handover
from bare_serve.system.privileges import Identity

logger = logging.getLogger("bare_serve.supervision")

_BACKLOG = 128
_ONLY_OWNER = 0o600
_SHORTEST, _LONGEST = 16, 4096
"""Characters of a token."""


def address_of(settings: Settings) -> Address:
    """Return where the ops process is to listen.

    Raises:
        UsageError: not there.
    """
    assert settings.ops is not None
    if not hasattr(os, "memfd_create"):
        raise UsageError("--ops: this needs Linux")
    address = parse_address(settings.ops)
    if address.role:
        raise UsageError(f"--ops {settings.ops}: it speaks plain HTTP; leave out {address.role}:")
    if address.kind == "fd" or address.abstract:
        raise UsageError(f"--ops {settings.ops}: give HOST:PORT or unix:PATH")
    return address


def rules_of(settings: Settings, identity: Identity | None) -> Rules:
    """Return whom the ops process answers.

    Raises:
        UsageError: more would be open than the settings can mean, or the token cannot be used.
    """
    address = address_of(settings)
    token = _token(settings.ops_token_file)
    exposed = address.kind == "tcp" and not is_loopback(address.host)
    if exposed and not token:
        raise UsageError(
            f"--ops {settings.ops}: other machines can connect there; give --ops-token-file with a "
            "token for them to show, or listen on 127.0.0.1 or a unix socket"
        )
    if settings.ops_control and address.kind == "tcp" and not token:
        raise UsageError(
            f"--ops-control: everybody on this machine can connect to {settings.ops}; give "
            "--ops-token-file with a token to show, or listen on a unix socket"
        )
    uids = {0, os.geteuid()}
    become = None
    if identity is not None:
        uids.add(identity.uid)
        become = (identity.uid, identity.gid, identity.groups)
    hosts = tuple(name.strip("[]") if name.startswith("[") else name for name in settings.ops_host)
    return Rules(settings.ops_control, token, hosts, tuple(sorted(uids)), exposed, become)


def _token(path: str | None) -> str:
    """Read the token; refuse one that others could have read, or guess."""
    if path is None:
        return ""
    flag = f"--ops-token-file {path}"
    try:
        with Path(path).open("rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(_LONGEST + 2).decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(f"{flag}: cannot read it: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{flag}: it is no file")
    # Kubernetes' secrets and systemd's credentials are root's, who lets us read by our group.
    others = 0o037 if found.st_uid == 0 and os.geteuid() != 0 else 0o077
    if found.st_mode & others:
        raise UsageError(f"{flag}: other users may open it; run chmod 600 {path}")
    if not _SHORTEST <= len(text) <= _LONGEST or not all("!" <= each <= "~" for each in text):
        raise UsageError(
            f"{flag}: a token is {_SHORTEST} to {_LONGEST} letters, digits and signs without "
            "blanks, such as `openssl rand -hex 32` makes"
        )
    return text


def access_of(identity: Identity | None) -> sockets.Access:
    """Return who may connect to a unix socket: its owner, who is the user that workers are."""
    owner = None if identity is None else (identity.uid, identity.gid)
    return sockets.Access(_ONLY_OWNER, owner)


@contextlib.contextmanager
def listening(
    settings: Settings, handover: Handover, identity: Identity | None
) -> Iterator[socket | None]:
    """Listen, on the socket of the master before if it is the same address.

    Gives None where that fails and there was a master before: workers serve, and go on.
    """
    address = address_of(settings)
    inherited, handover.ops = handover.ops, {}
    text = str(address)
    fd = inherited.pop(text, -1)
    for old, other in inherited.items():
        sockets.release(parse_address(old), socket(fileno=other))
    try:
        listener = (
            socket(fileno=fd) if fd >= 0 else sockets.bind(address, _BACKLOG, access_of(identity))
        )
    except BareServeError as error:
        if not handover.received:
            raise
        logger.error("%s The server goes on without its ops process.", error)
        yield None
        return
    listener.setblocking(False)
    handover.ops[text] = listener.fileno()
    try:
        yield listener
    finally:
        sockets.release(address.anchored(), listener)


def row(listener: socket, settings: Settings) -> tuple[str, str]:
    """For the banner."""
    control = ", takes orders" if settings.ops_control else ""
    return "ops", url_of(listener) + control
