"""Names of certificates as text, beside what another library makes of them."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509 as theirs
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bare_serve.tls import x509

END = datetime.datetime(2051, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
NAMES = [
    [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Grün"), (NameOID.COMMON_NAME, "x")],
    [(NameOID.COMMON_NAME, ' #a, b+"c"; <d>\\= ')],
    [(NameOID.COMMON_NAME, "#a"), (NameOID.DOMAIN_COMPONENT, "example")],
    [(NameOID.COMMON_NAME, " "), (NameOID.USER_ID, "u1"), (NameOID.STREET_ADDRESS, "s 1")],
    [],
]


def made(name: list[tuple[theirs.ObjectIdentifier, str]]) -> tuple[bytes, theirs.Name]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = theirs.Name([theirs.NameAttribute(oid, text) for oid, text in name])
    certificate = (
        theirs.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(theirs.Name([theirs.NameAttribute(NameOID.COMMON_NAME, "issuer")]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(END)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.DER), subject


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_names_and_the_end(name: list[tuple[theirs.ObjectIdentifier, str]]) -> None:
    der, subject = made(name)
    certificate = x509.read(der)
    assert x509.rfc4514(certificate.subject) == subject.rfc4514_string()
    assert x509.rfc4514(certificate.issuer) == "CN=issuer"
    assert certificate.not_after == END.timestamp()


def test_what_has_no_name_in_the_rfc_is_a_number_and_der() -> None:
    certificate = x509.read(made([(NameOID.EMAIL_ADDRESS, "a@b.c")])[0])
    assert x509.rfc4514(certificate.subject) == "1.2.840.113549.1.9.1=#1605" + b"a@b.c".hex()
    assert x509.openssl_dn(certificate.subject) == "emailAddress=a@b.c"


def test_a_mod_ssl_name_is_ascii() -> None:
    certificate = x509.read(made([(NameOID.COMMON_NAME, "Grün, €")])[0])
    assert x509.openssl_dn(certificate.subject) == r"CN=Gr\C3\BCn\, \E2\82\AC"


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\x30\x82", b"text"])
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(ValueError, match="not a certificate"):
        x509.read(der)
