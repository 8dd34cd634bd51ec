"""Only requests for hosts of this site, since applications make links of what Host says.

The host is looked at as a trusted proxy has told it, without case and port; any other one is 400.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bare_serve.middleware.policy import Answer, Head
from bare_serve.middleware.values import paths, plain, texts

# RFC 9110, 7.2: uri-host [":" port].
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::[0-9]{0,5})?").fullmatch
_ALLOWED = re.compile(r"(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\]").fullmatch

_MOST = 64


class TrustedHost:
    """`trusted-host`: refuses requests for other hosts."""

    def __init__(self, hosts: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        """Say what the hosts of this site are.

        Args:
            hosts: such as "example.com", or "*.example.com" for all names below that one.
            exclude: paths, decoded and exact, that may be asked for by any host: probes of a load
                balancer come by address.

        Raises:
            ValueError: there are no hosts, or one is none.
        """
        listed = [host.lower() for host in texts("hosts", hosts)]
        if not listed:
            raise ValueError("hosts: name at least one, such as example.com or *.example.com")
        for host in listed:
            if not _ALLOWED(host):
                raise ValueError(f"hosts: {host!r} is none; write it without scheme and port")
        self._hosts = frozenset(host for host in listed if not host.startswith("*"))
        self._endings = tuple(host[1:] for host in listed if host.startswith("*"))
        self._excluded = paths("exclude", exclude)
        self._refusal = plain(400, "This host is not served here.")
        self._seen: set[str] = set()
        """Good ones as clients have written them, a few."""

    def begin(self, request: Head) -> Answer | None:
        """Look at the host."""
        written = request.header("host") or ""
        if written in self._seen:
            return None
        match = _HOST(written.lower())
        if match is not None:
            host = match[1]
            if host in self._hosts or (self._endings and host.endswith(self._endings)):
                if len(self._seen) < _MOST:
                    self._seen.add(written)
                return None
        return None if request.path in self._excluded else self._refusal
