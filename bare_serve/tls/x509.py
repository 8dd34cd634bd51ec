"""As much of X.509 (RFC 5280, 4.1) as a server reads: names, and how long a certificate is valid.

What lives here: reading DER that OpenSSL has already understood, and names in the form of RFC 4514.
What must not: verifying anything.
"""

from __future__ import annotations

import binascii
import calendar
import math
import re
import ssl
from collections.abc import Iterator
from typing import NamedTuple

# RFC 4514, 3, and the names that OpenSSL writes beside them.
_SHORT = {
    "2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
    "2.5.4.6": "C", "2.5.4.9": "STREET", "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}  # fmt: skip
_OPENSSL = {
    **_SHORT, "1.2.840.113549.1.9.1": "emailAddress", "2.5.4.5": "serialNumber", "2.5.4.4": "SN",
    "2.5.4.42": "GN", "2.5.4.12": "title", "2.5.4.43": "initials", "2.5.4.9": "street",
    "2.5.4.46": "dnQualifier", "2.5.4.97": "organizationIdentifier",
}  # fmt: skip
_CODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x14: "latin-1", 0x12: "ascii"}
_CODINGS |= {0x1E: "utf-16-be", 0x1C: "utf-32-be"}
_PEM = re.compile(
    b"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_LISTS = re.compile(b"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)

Attribute = tuple[str, int, bytes]
"""The type's number, the tag of its value, the value."""
Name = list[list[Attribute]]


class Certificate(NamedTuple):
    """What a server reads of a certificate."""

    issuer: Name
    subject: Name
    not_after: float
    """Seconds since 1970."""


def first_pem(chain: bytes) -> str:
    """Return the first certificate of a PEM file, as text."""
    found = _PEM.search(chain)
    return "" if found is None else found[0].decode("ascii", "replace") + "\n"


def read_pem(text: str) -> Certificate:
    """Read a certificate in PEM form; raise ValueError if it is none."""
    return read(ssl.PEM_cert_to_DER_cert(text.replace("TRUSTED CERTIFICATE", "CERTIFICATE")))


def read(der: bytes) -> Certificate:
    """Read a certificate in DER form; raise ValueError if it is none."""
    try:
        certificate = next(_parts(der))[1]
        fields = list(_parts(next(_parts(certificate))[1]))
        if fields[0][0] == 0xA0:  # the version
            del fields[0]
        _serial, _algorithm, issuer, validity, subject = (content for _, content in fields[:5])
        end = list(_parts(validity))[1]
        return Certificate(_name(issuer), _name(subject), _seconds(*end))
    except (IndexError, StopIteration) as error:
        raise ValueError("not a certificate") from error


def lists_end(pem: bytes) -> float:
    """Return when the first revocation list in a PEM file is to be replaced; infinity if never.

    RFC 5280, 5.1: lists that OpenSSL has understood.
    """
    return min(map(_list_ends, _LISTS.findall(pem)), default=math.inf)


def _list_ends(base64: bytes) -> float:
    try:
        content = next(_parts(next(_parts(binascii.a2b_base64(base64)))[1]))[1]
        times = [part for part in list(_parts(content))[:5] if part[0] in (0x17, 0x18)]
        return _seconds(*times[1]) if len(times) > 1 else math.inf
    except (IndexError, StopIteration, ValueError):
        return math.inf


def rfc4514(name: Name) -> str:
    """Return a name as text: the last part first, characters as they are."""
    return _text(name, _SHORT, ascii_only=False)


def openssl_dn(name: Name) -> str:
    """Return a name as mod_ssl and nginx have it: by OpenSSL's short names, and in ASCII."""
    return _text(name, _OPENSSL, ascii_only=True)


def _text(name: Name, known: dict[str, str], *, ascii_only: bool) -> str:
    return ",".join(
        "+".join(_attribute(*attribute, known, ascii_only) for attribute in reversed(part))
        for part in reversed(name)
    )


def _attribute(oid: str, tag: int, value: bytes, known: dict[str, str], ascii_only: bool) -> str:
    short, coding = known.get(oid), _CODINGS.get(tag)
    if short is None or coding is None:  # RFC 4514, 2.4
        return f"{short or oid}=#{_encoded(tag, value).hex()}"
    return f"{short}={_escaped(value.decode(coding, 'replace'), ascii_only)}"


def _escaped(text: str, ascii_only: bool) -> str:
    """RFC 4514, 2.4."""
    text = re.sub(r'[",+;<>\\]', r"\\\g<0>", text).replace("\0", r"\00")
    text = re.sub("[\x01-\x1f\x7f]", lambda m: f"\\{ord(m[0]):02X}", text)
    if text[:1] in ("#", " "):
        text = "\\" + text
    if text[-1:] == " " and len(text) > 1 and text[-2:] != "\\ ":
        text = text[:-1] + "\\ "
    if ascii_only:
        text = re.sub(
            r"[^\x00-\x7f]", lambda m: "".join(f"\\{byte:02X}" for byte in m[0].encode()), text
        )
    return text


def _encoded(tag: int, value: bytes) -> bytes:
    count = len(value)
    if count < 128:
        return bytes((tag, count)) + value
    size = (count.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + count.to_bytes(size, "big") + value


def _name(content: bytes) -> Name:
    name = []
    for _, one_set in _parts(content):
        attributes = []
        for _, pair in _parts(one_set):
            (_, oid), (tag, value) = _parts(pair)
            attributes.append((_number(oid), tag, value))
        name.append(attributes)
    return name


def _number(content: bytes) -> str:
    """Return an object identifier (X.690, 8.19)."""
    numbers, current = [], 0
    for byte in content:
        current = current << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(current)
            current = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _seconds(tag: int, content: bytes) -> float:
    """RFC 5280, 4.1.2.5: UTCTime or GeneralizedTime, always in Zulu."""
    text = content.decode("ascii")
    if tag == 0x17:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    parts = (int(text[:4]), *(int(text[at : at + 2]) for at in (4, 6, 8, 10, 12)))
    return float(calendar.timegm(parts))


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the elements of DER, one after the other: their tags and contents."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        yield tag, data[at : at + length]
        at += length
