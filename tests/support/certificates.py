"""Certificates made for a test: an authority, what it signs, as files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key


class Authority:
    """One that signs; its files are in `directory`."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self.directory = directory
        self.ca = trustme.CA()
        self.file = directory / f"{name}.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str, *hosts: str, **more: Any) -> tuple[Path, Path]:
        """The files of a certificate for these hosts, by itself localhost, and of its key."""
        leaf = self.ca.issue_cert(*(hosts or ("localhost", "127.0.0.1")), **more)
        chain, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        return chain, key

    def revocation_list(self, *revoked: Path, days: float = 1) -> bytes:
        """A list of these certificates in PEM form, good until `days` from now."""
        now = datetime.now(UTC)
        authority = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        made = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        made = made.last_update(now - timedelta(2)).next_update(now + timedelta(days))
        for file in revoked:
            serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
            each = x509.RevokedCertificateBuilder().serial_number(serial)
            made = made.add_revoked_certificate(each.revocation_date(now - timedelta(1)).build())
        key = load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def client(self, *pair: Path, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority, and shows the certificate of `pair`."""
        context = ssl.create_default_context(cafile=str(self.file))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if pair:
            context.load_cert_chain(*map(str, pair))
        return context
