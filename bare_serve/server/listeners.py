"""Where a server meets its clients: its listeners, what each is for, and the certificate.

Listeners come from the addresses of the settings, from systemd (LISTEN_FDS), or from the master
before this one, which has been replaced; those of all three are used and let go of alike.

What lives here: which addresses, in which role, and their sockets; what a reload does to them, and
what workers and banner are told of them. What must not: how an address is read and bound
(net/bind_address.py, net/sockets.py), TLS itself (tls/), which is imported only where it is on.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from socket import AF_INET, AF_INET6, socket
from typing import TYPE_CHECKING, NamedTuple

from bare_serve.config.settings import BY_NAME, Settings
from bare_serve.errors import BareServeError, UsageError
from bare_serve.net import sockets
from bare_serve.net.bind_address import Address, parse_address, unmarked, url_of
from bare_serve.server.compose import TLS_SETTINGS, tls_options
from bare_serve.supervision import Handover, Work
from bare_serve.system.privileges import Identity
from bare_serve.workers.options import ServeOptions

if TYPE_CHECKING:
    from bare_serve.tls.certificates import Certificates

logger = logging.getLogger("bare_serve.supervision")

_LOOK_EVERY = 1.0
"""Seconds between two looks at the files of the certificate."""


def addresses(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where to listen: sockets of systemd count if no other source says anything."""
    if not {"bind", "host", "port"} & {*settings.sources}:
        return sockets.from_systemd(environ) or settings.addresses
    return settings.addresses


def check_tls(settings: Settings, where: tuple[str, ...]) -> None:
    """Refuse settings of TLS that make no sense together; UsageError says why."""
    _with_roles(settings, where)
    if settings.ssl_certfile is None:
        for name in TLS_SETTINGS:
            option = BY_NAME[name]
            if getattr(settings, name) != option.default:
                raise UsageError(
                    f"{option.flag} says how to speak TLS; give --ssl-certfile as well"
                )
    elif settings.ssl_cert_reqs != "none" and settings.ssl_ca_certs is None:
        raise UsageError(
            f"--ssl-cert-reqs {settings.ssl_cert_reqs}: give the authorities that clients' "
            "certificates come from as --ssl-ca-certs"
        )


def _with_roles(settings: Settings, where: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each address, without its mark, and its role. Where none is marked tls, all others are it.

    Raises:
        UsageError: a role cannot be played.
    """
    roles = [parse_address(text).role for text in where]
    if settings.ssl_certfile is None:
        for text, role in zip(where, roles, strict=True):
            if role:
                raise UsageError(f"--bind {text}: it needs TLS; give --ssl-certfile")
    elif "tls" not in roles:
        roles = [role or "tls" for role in roles]
        if "tls" not in roles:
            raise UsageError("--bind: all addresses redirect to https, and none serves it")
    return [(unmarked(text), role) for text, role in zip(where, roles, strict=True)]


@contextlib.contextmanager
def listening(
    settings: Settings, where: tuple[str, ...], handover: Handover, identity: Identity | None
) -> Iterator[dict[socket, str]]:
    """Listen on all the addresses, and let go of them at the end, of none if one fails.

    Those that were handed over and are no longer wanted are let go of, unless one that is wanted
    fails: it may be the same place by another name. Gives each listener with its role: tls,
    redirect or nothing.
    """
    inherited, handover.listeners = handover.listeners, {}
    roles, handover.roles = handover.roles, {}
    access = access_of(settings, identity)
    whole = True
    with contextlib.ExitStack() as stack:
        listeners: dict[socket, str] = {}

        def keep(key: str, listener: socket, role: str) -> None:
            stack.callback(sockets.release, address_of(key).anchored(), listener)
            listeners[listener] = role
            handover.listeners[key] = listener.fileno()
            if role:
                handover.roles[key] = role

        for key, role in keys_of(settings, where).items():
            if (fd := inherited.pop(key, -1)) >= 0:
                keep(key, socket(fileno=fd), role)
                continue
            try:
                keep(key, sockets.bind(address_of(key), access=access), role)
            except BareServeError as error:
                if not handover.received:
                    raise
                # Workers serve already: one address less is better than no server.
                logger.error("%s The server goes on without it.", error)
                whole = False
        for key, fd in inherited.items():
            role = roles.get(key, "")
            if whole or (role and settings.ssl_certfile is None):
                sockets.release(address_of(key), socket(fileno=fd))
            else:
                logger.warning("The server goes on listening on %s.", address_of(key))
                keep(key, socket(fileno=fd), role)
        yield listeners


def access_of(settings: Settings, identity: Identity | None) -> sockets.Access:
    """Return which users may connect to unix sockets, and whether ports are shared."""
    owner = (identity.uid, identity.gid) if identity is not None else None
    return sockets.Access(settings.uds_mode, owner, settings.reuse_port)


def keys_of(settings: Settings, where: tuple[str, ...]) -> dict[str, str]:
    """Each address as it is known to a handover, where one may stand twice, with its role."""
    keys: dict[str, str] = {}
    for number, (text, role) in enumerate(_with_roles(settings, where)):
        keys[text if text not in keys else f"{text} ({number})"] = role
    return keys


def address_of(key: str) -> Address:
    """Return the address that such a key stands for."""
    return parse_address(re.sub(r" \(\d+\)\Z", "", key))


class Listeners(NamedTuple):
    """The listening sockets of a server and what it shows there."""

    sockets: Mapping[socket, str]
    """With the role of each: see `listening`."""
    certificates: Certificates | None

    def complete(self, options: ServeOptions) -> ServeOptions:
        """Add roles, certificates and the port of https, which only the sockets have."""
        ports = [
            listener.getsockname()[1]
            for listener, role in self.sockets.items()
            if role == "tls" and listener.family in (AF_INET, AF_INET6)
        ]
        return options._replace(
            roles={listener.fileno(): role for listener, role in self.sockets.items() if role},
            certificates=self.certificates,
            https_port=ports[0] if ports else 443,
        )

    def with_certificates(self, settings: Settings) -> Listeners:
        """As the settings now have them, read again in any case.

        Raises:
            UsageError: other files are named, and cannot be used.
        """
        now = self.certificates
        if now is None or now.options != tls_options(settings):
            return self._replace(certificates=read_certificates(settings))
        now.reread()
        return self

    def rows(self) -> list[tuple[str, str]]:
        """For the banner."""
        addresses = [("address", url_of(*each)) for each in self.sockets.items()]
        return addresses + tls_row(self.certificates)


class CertificateWatch(Work):
    """Work of the master: look once a second whether there is a new certificate."""

    def __init__(self, present: Callable[[], Certificates | None]) -> None:
        """`present` gives the certificates that are served now: a reload may bring others."""
        self._present = present
        self.due = 0.0

    def look(self, now: float) -> None:
        """See `Work`."""
        self.due = now + _LOOK_EVERY
        if (certificates := self._present()) is not None:
            certificates.tick()


def read_certificates(settings: Settings) -> Certificates | None:
    """Read and checked; None without TLS. UsageError if they cannot be used."""
    options = tls_options(settings)
    if options is None:
        return None
    made: Certificates = import_module("bare_serve.tls.certificates").Certificates(options)
    return made


def tls_row(certificates: Certificates | None) -> list[tuple[str, str]]:
    """Return a row of (name, fact) about the certificate, if there is one."""
    if certificates is None:
        return []
    return [("tls", f"{certificates.describe()}; from version {certificates.options.min_version}")]
