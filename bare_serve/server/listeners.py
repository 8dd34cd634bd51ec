"""Where a server meets its clients: its listeners, what each is for, and the certificate.

What lives here: what a reload does to them, and what workers and banner are told of them. What must
not: binding (server/reload.py), TLS itself (tls/), which is imported only where it is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from socket import AF_INET, AF_INET6, socket
from typing import TYPE_CHECKING, NamedTuple

from bare_serve.config.settings import Settings
from bare_serve.net import sockets
from bare_serve.server.compose import tls_options
from bare_serve.workers.options import ServeOptions

if TYPE_CHECKING:
    from bare_serve.tls.certificates import Certificates


class Front(NamedTuple):
    """The listeners of a server and what it shows there."""

    listeners: Mapping[socket, str]
    """With the role of each: see `process.listening`."""
    certificates: Certificates | None

    def completed(self, options: ServeOptions) -> ServeOptions:
        """With what the settings alone do not tell."""
        ports = [
            listener.getsockname()[1]
            for listener, role in self.listeners.items()
            if role == "tls" and listener.family in (AF_INET, AF_INET6)
        ]
        return options._replace(
            roles={listener.fileno(): role for listener, role in self.listeners.items() if role},
            certificates=self.certificates,
            https_port=ports[0] if ports else 443,
        )

    def with_certificates(self, chosen: Settings) -> Front:
        """As the settings now have them, read again in any case.

        Raises:
            UsageError: other files are named, and cannot be used.
        """
        now = self.certificates
        if now is None or now.options != tls_options(chosen):
            return self._replace(certificates=read_certificates(chosen))
        now.reread()
        return self

    def tick(self) -> None:
        """For the master, once a second: is there a new certificate?"""
        if self.certificates is not None:
            self.certificates.tick()

    def rows(self) -> list[tuple[str, str]]:
        """For the banner."""
        addresses = [("address", sockets.url_of(*each)) for each in self.listeners.items()]
        return addresses + tls_row(self.certificates)


def read_certificates(chosen: Settings) -> Certificates | None:
    """Read and checked; None without TLS. UsageError if they cannot be used."""
    options = tls_options(chosen)
    if options is None:
        return None
    made: Certificates = import_module("bare_serve.tls.certificates").Certificates(options)
    return made


def tls_row(certificates: Certificates | None) -> list[tuple[str, str]]:
    """The certificate in a row of (name, fact), if there is one."""
    if certificates is None:
        return []
    return [("tls", f"{certificates.describe()}; from version {certificates.options.min_version}")]
