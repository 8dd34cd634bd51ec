"""The facts of a TLS session for an application: mod_ssl's variables, ASGI's extension.

What lives here: from an established session to dictionaries, once for each connection. What must
not: whether they are asked for. Names and values are those of Apache's mod_ssl, and of the TLS
extension of the ASGI specification.
"""

from __future__ import annotations

import ssl
from typing import Any

from bare_serve.tls import x509

_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def variables(session: ssl.SSLObject) -> dict[str, str]:
    """For an environ, as mod_ssl's StdEnvVars and ExportCertData have them."""
    name, _, bits = session.cipher() or ("", "", 0)
    found = {
        "HTTPS": "on",
        "SSL_PROTOCOL": session.version() or "",
        "SSL_CIPHER": name,
        "SSL_CIPHER_USEKEYSIZE": str(bits),
        "SSL_SESSION_RESUMED": "Resumed" if session.session_reused else "Initial",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    if der := session.getpeercert(True):
        found |= _of_client(session, der)
    return found


def _of_client(session: ssl.SSLObject, der: bytes) -> dict[str, str]:
    certificate, told = x509.read(der), session.getpeercert() or {}
    leaf, *others = client_chain(session, der)
    return {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": leaf,
        **{f"SSL_CLIENT_CERT_CHAIN_{at}": pem for at, pem in enumerate(others)},
        "SSL_CLIENT_S_DN": x509.openssl_dn(certificate.subject),
        "SSL_CLIENT_I_DN": x509.openssl_dn(certificate.issuer),
        "SSL_CLIENT_M_SERIAL": str(told.get("serialNumber", "")),
        "SSL_CLIENT_V_START": str(told.get("notBefore", "")),
        "SSL_CLIENT_V_END": str(told.get("notAfter", "")),
    }


def extension(session: ssl.SSLObject, server_cert: str, suites: dict[str, int]) -> dict[str, Any]:
    """Return `scope["extensions"]["tls"]`; `suites`: the numbers of ciphers."""
    der = session.getpeercert(True)
    name, _, _ = session.cipher() or ("", "", 0)
    return {
        "server_cert": server_cert or None,
        "client_cert_chain": client_chain(session, der) if der else [],
        "client_cert_name": x509.rfc4514(x509.read(der).subject) if der else None,
        "client_cert_error": None,  # a client with a bad one fails in the handshake
        "tls_version": _VERSIONS.get(session.version() or ""),
        "cipher_suite": suites.get(name),
    }


def client_chain(session: ssl.SSLObject, der: bytes) -> list[str]:
    """Return the certificates that the client has sent, in PEM form, its own first."""
    chain = [der]
    # Public since Python 3.13; before, what is behind it gives objects instead of bytes.
    source: Any = session if hasattr(session, "get_unverified_chain") else session._sslobj  # type: ignore[attr-defined]
    for each in source.get_unverified_chain() or ():
        one = each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes())
        if one not in chain:
            chain.append(one)
    return [ssl.DER_cert_to_PEM_cert(one) for one in chain]


def suites_of(context: ssl.SSLContext) -> dict[str, int]:
    """Return the numbers of a context's ciphers (IANA, TLS Cipher Suites) by OpenSSL's names."""
    return {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}
