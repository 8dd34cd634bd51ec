"""The PROXY protocol, versions 1 and 2: who spoke to the proxy, sent before all else.

What lives here: bytes in, a `ProxyHeader` out, by HAProxy's specification (proxy-protocol.txt, 2.1
and 2.2). What must not: sockets, which peers are believed (net/forwarded.py), where the addresses
go.

Strict: whatever does not match is the end of the connection, since a guess would give a client
another's address. The verdict does not depend on how the bytes are cut, and no byte behind the
header is ever touched: it belongs to TLS or HTTP.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from bare_serve.errors import ProxyProtocolError
from bare_serve.net.addresses import plain

Address = tuple[str, int | None]
"""Host and port, or the path of a unix socket and None."""

MAX_LINE: Final = 107
"""Bytes of a header of version 1, its CRLF included (2.1)."""
MAX_BLOCK: Final = 1 << 14
"""Bytes behind the first 16 of version 2; what HAProxy's buffer holds. 65535 could be said."""

_LINE_START: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = 16
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _INET, _INET6, _UNIX = 0x00, 0x10, 0x20, 0x30
# TCP and UDP alike: a proxy may have been spoken to by QUIC.
_ADDRESS_BYTES: Final = {
    _UNSPEC: 0,
    _INET | 1: 12, _INET | 2: 12, _INET6 | 1: 36, _INET6 | 2: 36, _UNIX | 1: 216, _UNIX | 2: 216,
}  # fmt: skip
_CRC32C, _SSL = 0x03, 0x20
_SSL_CLIENT: Final = 0x01

# Dots within IPv6 are not of 2.1, but what dual-stack listeners of HAProxy and nginx write for a
# client of IPv4: ::ffff:192.0.2.1.
_SIX = rb"([0-9A-Fa-f:.]{2,45})"
_NUMBER = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?"
    rb"|TCP4 ([0-9.]{7,15}) ([0-9.]{7,15}) " + _NUMBER + b" " + _NUMBER +
    rb"|TCP6 " + _SIX + b" " + _SIX + b" " + _NUMBER + b" " + _NUMBER + rb")\r\n"
)  # fmt: skip


class ProxyHeader(NamedTuple):
    """What a proxy says of a connection."""

    local: bool = False
    """The proxy speaks for itself, as in a health check (command LOCAL)."""
    source: tuple[str, int] | None = None
    """The client; None if it has no address, as on a unix socket, or the proxy names none."""
    destination: Address | None = None
    """Where the client connected to; None if the proxy does not say."""
    secure: bool = False
    """The client spoke TLS to the proxy, which ended it (PP2_TYPE_SSL)."""

    @property
    def ends(self) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
        """Where the client connected to, and the client, where both are hosts with ports."""
        here, there = self.destination, self.source
        if here is None or here[1] is None:
            return None, None
        return (here[0], here[1]), there

    @property
    def anonymous(self) -> bool:
        """A client that the proxy cannot name; it is not the proxy that speaks."""
        return self.destination is None and not self.local


class ProxyHeaderReader:
    """Takes bytes until the header is whole."""

    __slots__ = ("_received", "header")

    def __init__(self) -> None:
        self._received = bytearray()
        self.header: ProxyHeader | None = None
        """Set when the header is whole."""

    def feed(self, data: bytes) -> int:
        """Return how many of these bytes belong to the header.

        Raises:
            ProxyProtocolError: what was sent is no PROXY header.
        """
        before = len(self._received)
        self._received += data
        end = self._end()
        if end is None:
            return len(data)
        raw = bytes(self._received[:end])
        self.header = _read_block(raw) if raw.startswith(_SIGNATURE) else _read_line(raw)
        return end - before

    def _end(self) -> int | None:
        """Return where the header ends, if that has come."""
        received = self._received
        if received.startswith(_LINE_START):
            end = received.find(b"\r\n", 0, MAX_LINE)
            if end < 0 and len(received) >= MAX_LINE:
                raise ProxyProtocolError(f"its line is longer than {MAX_LINE} bytes")
            return end + 2 if end >= 0 else None
        if received.startswith(_SIGNATURE):
            if len(received) < _FIXED:
                return None
            end = _FIXED + _block_length(received)
            return end if len(received) >= end else None
        if _LINE_START.startswith(received) or _SIGNATURE.startswith(received):
            return None
        raise ProxyProtocolError("it does not begin as one")


def _read_line(raw: bytes) -> ProxyHeader:
    """Read version 1 (2.1)."""
    match = _LINE.fullmatch(raw)
    if match is None:
        raise ProxyProtocolError("its line is malformed")
    four, six = match[1] is not None, match[5] is not None
    if not four and not six:
        return ProxyHeader()
    fields = match.groups()[:4] if four else match.groups()[4:]
    kind = IPv4Address if four else IPv6Address
    source, destination, *ports = (field.decode("ascii") for field in fields)
    try:
        addresses = [kind(source), kind(destination)]
    except ValueError:
        raise ProxyProtocolError("an address of it is malformed") from None
    numbers = [int(port) for port in ports]
    if max(numbers) > 65535:
        raise ProxyProtocolError("a port of it is above 65535")
    return ProxyHeader(
        source=(str(plain(addresses[0])), numbers[0]),
        destination=(str(plain(addresses[1])), numbers[1]),
    )


def _block_length(received: bytearray) -> int:
    """Return the length behind the first 16 bytes of version 2, after checking them (2.2)."""
    command, family = received[12], received[13]
    length = int.from_bytes(received[14:16])
    if command not in (_LOCAL, _PROXY):
        raise ProxyProtocolError(f"its version and command are {command:#04x}")
    if length > MAX_BLOCK:
        raise ProxyProtocolError(f"it is longer than {MAX_BLOCK} bytes")
    if command == _PROXY:
        least = _ADDRESS_BYTES.get(family)
        if least is None:
            raise ProxyProtocolError(f"its address family and protocol are {family:#04x}")
        if length < least:
            raise ProxyProtocolError("its addresses are incomplete")
    return length


def _read_block(raw: bytes) -> ProxyHeader:
    """Read version 2, whole (2.2)."""
    if raw[12] == _LOCAL:
        return ProxyHeader(local=True)
    family = raw[13]
    secure = _read_vectors(raw, _FIXED + _ADDRESS_BYTES[family])
    if family == _UNSPEC:
        return ProxyHeader(secure=secure)
    if family & 0xF0 == _UNIX:
        path = raw[_FIXED + 108 : _FIXED + 216]
        return ProxyHeader(destination=(_path(path), None), secure=secure)
    width = 4 if family & 0xF0 == _INET else 16
    kind = IPv4Address if width == 4 else IPv6Address
    source, destination, source_port, destination_port = struct.unpack_from(
        f"!{width}s{width}sHH", raw, _FIXED
    )
    return ProxyHeader(
        source=(str(plain(kind(source))), source_port),
        destination=(str(plain(kind(destination))), destination_port),
        secure=secure,
    )


def _read_vectors(raw: bytes, position: int) -> bool:
    """Walk the type-length-values, check the checksum; return whether the client spoke TLS."""
    secure = False
    checked = False
    while position < len(raw):
        if len(raw) - position < 3:
            raise ProxyProtocolError("its last value is incomplete")
        kind, length = struct.unpack_from("!BH", raw, position)
        start, position = position + 3, position + 3 + length
        if position > len(raw):
            raise ProxyProtocolError("a value of it is longer than it is")
        if kind == _CRC32C:
            if length != 4 or checked:
                raise ProxyProtocolError("its checksum is malformed")
            checked = True
            zeroed = raw[:start] + bytes(4) + raw[position:]
            if crc32c(zeroed) != int.from_bytes(raw[start:position]):
                raise ProxyProtocolError("its checksum is wrong")
        elif kind == _SSL:
            if length < 5:
                raise ProxyProtocolError("what it says of TLS is incomplete")
            secure = bool(raw[start] & _SSL_CLIENT)
    return secure


def _path(field: bytes) -> str:
    """Return the path of a unix socket; a name that begins with NUL is an abstract one."""
    name, _, _ = field[1:].partition(b"\0")
    return (field[:1] + name).rstrip(b"\0").decode("utf-8", "surrogateescape")


def _crc_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum (RFC 9260, Appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
