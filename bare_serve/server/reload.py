"""What a server's process has beside its workers: listeners, pid file, variables; and what a
reload may change of them, or a trial finds out before.

Listeners come from the addresses of the settings, from systemd (LISTEN_FDS), or from the master
before this one, which has been replaced; those of all three are used and let go of alike.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from socket import socket

from bare_serve.config.settings import BY_NAME, OPTIONS, Settings, shown
from bare_serve.errors import BareServeError, UsageError
from bare_serve.net import sockets
from bare_serve.supervision import Handover, Policy, Trial, pid_file, pidfile
from bare_serve.system.privileges import Identity

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

    Those that were handed over and are no longer wanted are let go of, unless one that is wanted
    fails: it may be the same place by another name. Gives each listener with its role: tls,
    redirect or nothing.
    """
    inherited, handover.listeners = handover.listeners, {}
    roles, handover.roles = handover.roles, {}
    access = _access(chosen, identity)
    whole = True
    with contextlib.ExitStack() as stack:
        listeners: dict[socket, str] = {}

        def keep(key: str, listener: socket, role: str) -> None:
            stack.callback(sockets.release, _address(key).anchored(), listener)
            listeners[listener] = role
            handover.listeners[key] = listener.fileno()
            if role:
                handover.roles[key] = role

        for key, role in _keys(chosen, where).items():
            if (fd := inherited.pop(key, -1)) >= 0:
                keep(key, socket(fileno=fd), role)
                continue
            try:
                keep(key, sockets.bind(_address(key), access=access), role)
            except BareServeError as error:
                if not handover.received:
                    raise
                # Workers serve already: one address less is better than no server.
                log.error("%s The server goes on without it.", error)
                whole = False
        for key, fd in inherited.items():
            role = roles.get(key, "")
            if whole or (role and chosen.ssl_certfile is None):
                sockets.release(_address(key), socket(fileno=fd))
            else:
                log.warning("The server goes on listening on %s.", _address(key))
                keep(key, socket(fileno=fd), role)
        yield listeners


def _access(chosen: Settings, identity: Identity | None) -> sockets.Access:
    owner = (identity.uid, identity.gid) if identity is not None else None
    return sockets.Access(chosen.uds_mode, owner, chosen.reuse_port)


def _keys(chosen: Settings, where: tuple[str, ...]) -> dict[str, str]:
    """Each address as it is known to a handover, where one may stand twice, with its role."""
    keys: dict[str, str] = {}
    for number, (text, role) in enumerate(_with_roles(chosen, where)):
        keys[text if text not in keys else f"{text} ({number})"] = role
    return keys


def _address(key: str) -> sockets.Address:
    return sockets.parse_address(re.sub(r" \(\d+\)\Z", "", key))


def check_succession(
    trial: Trial, chosen: Settings, where: tuple[str, ...], identity: Identity | None
) -> None:
    """Find out whether this process could take the place of its parent; leaves nothing behind.

    Raises:
        BareServeError: it could not; the message says why.
    """
    if chosen.workers == 0:
        raise UsageError(
            "--workers 0: a server that runs cannot begin to serve in its own process; "
            "stop it and start it anew"
        )
    if trial.inherited is None:
        return
    if not _is_held(chosen.pid, trial.pid_file, os.getppid()):
        with pid_file(chosen.pid):
            pass
    access = _access(chosen, identity)
    with contextlib.ExitStack() as stack:
        for key in _keys(chosen, where):
            if key not in trial.inherited:
                address = _address(key)
                stack.callback(sockets.release, address, sockets.bind(address, access=access))


@contextlib.contextmanager
def own_pid_file(name: str | None, handover: Handover) -> Iterator[None]:
    """As `pid_file`; one that was handed over is there, in a directory that may be root's."""
    handed, handover.pid_file = handover.pid_file, ""
    if name is not None:
        name = str(Path(name).absolute())  # the application may go elsewhere
    if name is None or not _is_held(name, handed, os.getpid()):
        with pid_file(name):
            if name is not None:
                handover.pid_file = name
            yield
        return
    handover.pid_file = handed
    try:
        yield
    finally:
        if _is_held(name, handed, os.getpid()):
            pidfile.remove(Path(handed))


def _is_held(name: str | None, handed: str, pid: int) -> bool:
    """Whether that pid file is the one handed over, and still names that process."""
    if name is None or str(Path(name).absolute()) != handed:
        return False
    try:
        return pidfile.names(Path(handed), pid)
    except PermissionError:
        return True  # written by root with a umask
    except (OSError, ValueError):
        return False


class Variables:
    """Those of --env-file in the environment, which is stronger."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._put: dict[str, str] = {}

    def put(self, variables: Mapping[str, str]) -> None:
        """Have these there, in the place of those that were put before."""
        for name, text in self._put.items():
            if self._environ.get(name) == text:
                del self._environ[name]
        self._put = {name: text for name, text in variables.items() if name not in self._environ}
        self._environ.update(self._put)


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


def differences(before: Settings, after: Settings) -> dict[str, str]:
    """The settings that are not what they were, each with what it is and was, in words."""
    found = {}
    for option in OPTIONS:
        if option.stands_for is None:
            old, new = getattr(before, option.name), getattr(after, option.name)
            if old != new:
                found[option.key] = f"{shown(option, new)} (was {shown(option, old)})"
    return found
