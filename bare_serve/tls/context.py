"""From files to an SSLContext: what is wrong with them is said in one sentence.

What lives here: reading certificate, key and authorities once, as bytes (`read_material`), and
making a context of these very bytes (`make_context`). What must not: when they are read again
(certificates.py), connections (session.py).

OpenSSL takes certificates from files only, so the bytes are given to it as files without a name.
What was checked is then what is served, whatever is written to the directory meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bare_serve.errors import UsageError
from bare_serve.tls import TlsOptions

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_TRUSTED = b"-----BEGIN TRUSTED CERTIFICATE-----"
_LIST = b"-----BEGIN X509 CRL-----"
_KEY = b"PRIVATE KEY-----"
_LARGEST = 1 << 20
_REQUIREMENTS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Material(NamedTuple):
    """What the files hold."""

    chain: bytes
    key: bytes
    authorities: bytes = b""


def read_material(options: TlsOptions) -> Material:
    """Read the files, and see that they hold what they should.

    Raises:
        UsageError: one cannot be read, or is something else.
    """
    chain = _read("--ssl-certfile", options.certfile)
    if _CERTIFICATE not in chain and _TRUSTED not in chain:
        raise UsageError(
            f"--ssl-certfile: {options.certfile} holds no certificate in PEM form "
            '("-----BEGIN CERTIFICATE-----")'
        )
    if options.keyfile:
        key, flag, path = _read("--ssl-keyfile", options.keyfile), "--ssl-keyfile", options.keyfile
    else:
        key, flag, path = chain, "--ssl-certfile", options.certfile
    if _KEY not in key:
        more = "" if options.keyfile else "; give the file that does as --ssl-keyfile"
        raise UsageError(f"{flag}: {path} holds no private key in PEM form{more}")
    authorities = b""
    if options.ca_certs:
        authorities = _read("--ssl-ca-certs", options.ca_certs)
        if _CERTIFICATE not in authorities and _TRUSTED not in authorities:
            raise UsageError(f"--ssl-ca-certs: {options.ca_certs} holds no certificate in PEM form")
    return Material(chain, key, authorities)


def _read(flag: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{flag}: cannot read {path}: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise UsageError(f"{flag}: {path} is larger than 1 MiB")
    return data


def make_context(options: TlsOptions, material: Material) -> ssl.SSLContext:
    """Return a context for the server's side of new connections.

    Raises:
        UsageError: key and certificate do not fit, the password is wrong, a cipher is unknown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[options.min_version]
    # RFC 9325, 3.5: a client must not make us do handshakes without end.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # OpenSSL's two would be for clients that open two connections at once by the first one; each
    # resumed one brings its own. RFC 8446, 4.6.1; 15 us of a handshake.
    context.num_tickets = 1
    context.set_alpn_protocols(["http/1.1"])
    if options.ciphers:
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError:
            raise UsageError(
                f"--ssl-ciphers: OpenSSL knows no cipher of {options.ciphers!r}"
            ) from None
    load_pair(context, options, material)
    if material.authorities:
        try:
            with _as_file(material.authorities) as path:
                context.load_verify_locations(path)
        except (ssl.SSLError, OSError):
            lists = " or a revocation list" if _LIST in material.authorities else ""
            raise UsageError(
                f"--ssl-ca-certs: {options.ca_certs} holds a certificate{lists} that cannot be read"
            ) from None
        if _LIST in material.authorities:
            # OpenSSL takes the lists from the file, and checks none without this flag.
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = _REQUIREMENTS[options.cert_reqs]
    return context


def load_pair(context: ssl.SSLContext, options: TlsOptions, material: Material) -> None:
    """Give a context its certificate and key; connections there are keep theirs.

    Raises:
        UsageError: they do not fit together, or cannot be read.
    """
    keyfile = options.keyfile or options.certfile
    asked = []

    def password() -> str:
        asked.append(True)
        return options.password

    try:
        with _as_file(material.chain) as chain, _as_file(material.key) as key:
            # Without a function OpenSSL would ask on the terminal.
            context.load_cert_chain(chain, key, password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        raise UsageError(_what_is_wrong(options, keyfile, reason, bool(asked))) from None


def _what_is_wrong(options: TlsOptions, keyfile: str, reason: str | None, asked: bool) -> str:
    if reason == "KEY_VALUES_MISMATCH":
        return (
            f"--ssl-keyfile: the key in {keyfile} does not belong to the certificate in "
            f"{options.certfile}"
        )
    if reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        weak = reason.replace("_", " ").lower()
        return f"--ssl-certfile: the certificate in {options.certfile} is too weak ({weak})"
    if asked and options.password:
        return f"--ssl-keyfile-password: it does not open the key in {keyfile}"
    if asked:
        return f"--ssl-keyfile: the key in {keyfile} is encrypted; give --ssl-keyfile-password"
    detail = f" ({reason.replace('_', ' ').lower()})" if reason else ""
    return (
        f"--ssl-certfile: the certificate in {options.certfile} or the key in {keyfile} "
        f"is damaged{detail}"
    )


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Return the path of a temporary file that no other process sees."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").exists():
        fd = os.memfd_create("bare-serve")
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    with tempfile.NamedTemporaryFile() as named:  # for the user alone, and gone at once
        named.write(data)
        named.flush()
        yield named.name
