"""What a server's process has beside its workers: listeners, and what a reload may change.

Listeners come from the addresses of the settings, from systemd (LISTEN_FDS), or from the master
before this one, which has been replaced; those of all three are used and let go of alike.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from socket import socket

from bare_serve import sockets
from bare_serve.errors import BareServeError, UsageError
from bare_serve.privileges import Identity
from bare_serve.settings import BY_NAME, Settings
from bare_serve.supervision import Handover, Policy

log = logging.getLogger("bare_serve.supervision")

# Decided when the process starts; a reload goes on with what was.
_FIXED = (
    *("bind", "host", "port", "uds_mode", "reuse_port"),
    *("preload", "user", "group", "umask", "pid"),
)
_TLS = tuple(name for name in BY_NAME if name.startswith("ssl_"))


def addresses(chosen: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where to listen: what systemd hands over counts if nothing is said elsewhere."""
    if not {"bind", "host", "port"} & {*chosen.sources}:
        return sockets.from_systemd(environ) or chosen.addresses
    return chosen.addresses


@contextlib.contextmanager
def listening(
    chosen: Settings, where: tuple[str, ...], handover: Handover, identity: Identity | None
) -> Iterator[dict[socket, str]]:
    """Listen on all the addresses, and let go of them at the end, of none if one fails.

    Gives each listener with its role: tls, redirect or nothing.
    """
    inherited, handover.listeners = handover.listeners, {}
    owner = (identity.uid, identity.gid) if identity is not None else None
    access = sockets.Access(chosen.uds_mode, owner, chosen.reuse_port)
    with contextlib.ExitStack() as stack:
        listeners = {}
        for number, (text, role) in enumerate(_with_roles(chosen, where)):
            key = text if text not in handover.listeners else f"{text} ({number})"
            address = sockets.parse_address(text)
            if (fd := inherited.pop(key, -1)) >= 0:
                listener = socket(fileno=fd)
            else:
                try:
                    listener = sockets.bind(address, access=access)
                except BareServeError as error:
                    if not handover.received:
                        raise
                    # Workers serve already: one address less is better than no server.
                    log.error("%s The server goes on without it.", error)
                    continue
            stack.callback(sockets.release, address, listener)
            listeners[listener] = role
            handover.listeners[key] = listener.fileno()
        for key, fd in inherited.items():
            sockets.release(sockets.parse_address(key.partition(" (")[0]), socket(fileno=fd))
        yield listeners


def _with_roles(chosen: Settings, where: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each address, without its mark, and its role. Where none is marked tls, all others are it.

    Raises:
        UsageError: a role cannot be played.
    """
    roles = [sockets.parse_address(text).role for text in where]
    if chosen.ssl_certfile is None:
        for text, role in zip(where, roles, strict=True):
            if role:
                raise UsageError(f"--bind {text}: it needs TLS; give --ssl-certfile")
    elif "tls" not in roles:
        roles = [role or "tls" for role in roles]
        if "tls" not in roles:
            raise UsageError("--bind: all addresses redirect to https, and none serves it")
    return [(sockets.unmarked(text), role) for text, role in zip(where, roles, strict=True)]


def check_tls(chosen: Settings, where: tuple[str, ...]) -> None:
    """Refuse settings of TLS that make no sense together; UsageError says why."""
    _with_roles(chosen, where)
    if chosen.ssl_certfile is None:
        for name in _TLS:
            option = BY_NAME[name]
            if getattr(chosen, name) != option.default:
                raise UsageError(
                    f"{option.flag} says how to speak TLS; give --ssl-certfile as well"
                )
    elif chosen.ssl_cert_reqs != "none" and chosen.ssl_ca_certs is None:
        raise UsageError(
            f"--ssl-cert-reqs {chosen.ssl_cert_reqs}: give the authorities that clients' "
            "certificates come from as --ssl-ca-certs"
        )


def policy(chosen: Settings) -> Policy:
    """Compose the slice of the settings that the master needs."""
    return Policy(
        workers=chosen.workers,
        timeout_boot=chosen.timeout_boot,
        timeout_graceful_shutdown=chosen.timeout_graceful_shutdown,
        timeout_worker=chosen.timeout_worker,
        max_requests=chosen.max_requests,
        max_requests_jitter=chosen.max_requests_jitter,
        max_memory=chosen.max_memory,
        max_lifetime=chosen.max_lifetime,
        preload=chosen.preload,
    )


def changed(before: Settings, after: Settings) -> Settings:
    """What a reload goes on with: what is new, as far as a running process can take it over."""
    kept = {name: getattr(before, name) for name in _FIXED}
    refused = [BY_NAME[name].key for name in _FIXED if kept[name] != getattr(after, name)]
    if (before.ssl_certfile is None) is not (after.ssl_certfile is None):
        kept |= {name: getattr(before, name) for name in _TLS}
        refused.append("ssl-certfile")
    if (before.workers == 0) is not (after.workers == 0):
        kept["workers"] = before.workers
        refused.append("workers")
    if refused:
        log.warning("Only SIGUSR2 or a restart changes these: %s.", ", ".join(refused))
    return replace(after, **kept)


def differences(before: Settings, after: Settings) -> list[str]:
    """The names of the settings that are not what they were."""
    return [
        BY_NAME[each.name].key
        for each in fields(before)
        if each.name in BY_NAME and getattr(before, each.name) != getattr(after, each.name)
    ]
