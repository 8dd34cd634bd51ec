"""TLS (RFC 8446, RFC 5246) by the standard library's ssl: certificates, contexts, sessions, facts.

What lives here: what both kinds of worker need of TLS, without a socket (session.py) and without
knowing which. What must not: HTTP, the loops, the settings.

This module imports nothing of it, and neither may code that runs without TLS: ssl takes some MiB
of memory. So `certificates` and `session` are imported where TLS is known to be on.
"""

from __future__ import annotations

from typing import NamedTuple


class TlsOptions(NamedTuple):
    """The slice of the settings that TLS needs. Files are absolute paths."""

    certfile: str
    keyfile: str = ""
    """Empty: the key is in the file of the certificate."""
    password: str = ""
    """Of the key, if it is encrypted."""
    ca_certs: str = ""
    cert_reqs: str = "none"
    """Whether clients are asked for a certificate: none, optional or required."""
    min_version: str = "1.2"
    ciphers: str = ""
    """In OpenSSL's notation, for TLS 1.2; empty for Python's choice."""
