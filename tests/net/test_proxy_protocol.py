"""PROXY headers, each played whole, byte by byte and with bytes behind it: one verdict for all.

Sections are those of HAProxy's proxy-protocol.txt.
"""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bare_serve.errors import ProxyProtocolError
from bare_serve.net.proxy_protocol import MAX_BLOCK, ProxyHeader, ProxyHeaderReader, crc32c
from tests.support.proxy_headers import (
    LOCAL,
    PROXY,
    SIGNATURE,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    UNIX,
    UNIX_DATAGRAM,
    UNSPEC,
    block,
    inet,
    line,
    unix,
    value,
)

BEHIND = b"\x16\x03\x01GET / HTTP/1.1\r\n\r\n"
FOUR = inet("192.0.2.7", "203.0.113.1")
V4 = ProxyHeader(source=("192.0.2.7", 4000), destination=("203.0.113.1", 443))
V6 = ProxyHeader(source=("2001:db8::7", 4000), destination=("2001:db8::1", 443))
UNKNOWN = ProxyHeader()


def read(*pieces: bytes) -> tuple[ProxyHeader | None, bytes]:
    """What a reader makes of these pieces, and what it leaves of them."""
    reader = ProxyHeaderReader()
    left = b""
    for piece in pieces:
        if reader.header is not None:
            left += piece
        else:
            left += piece[reader.feed(piece) :]
    return reader.header, left


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def checksummed(values: bytes = b"") -> bytes:
    """A header with a checksum (2.2.3) in front of other values."""
    draft = block(TCP4, FOUR, value(3, bytes(4)) + values)
    at = 16 + 12 + 3
    return draft[:at] + struct.pack("!I", crc32c(draft)) + draft[at + 4 :]


GOOD: dict[str, tuple[bytes, ProxyHeader]] = {
    "2.1 IPv4": (line("192.0.2.7", "203.0.113.1"), V4),
    "2.1 IPv4, the longest": (
        line("255.255.255.255", "255.255.255.255", (65535, 65535)),
        ProxyHeader(source=("255.255.255.255", 65535), destination=("255.255.255.255", 65535)),
    ),
    "2.1 port 0": (
        line("192.0.2.7", "203.0.113.1", (0, 443)),
        ProxyHeader(source=("192.0.2.7", 0), destination=("203.0.113.1", 443)),
    ),
    "2.1 IPv6": (line("2001:db8::7", "2001:db8::1"), V6),
    "2.1 IPv6, in full and upper case": (
        line("2001:0DB8:0000:0000:0000:0000:0000:0007", "2001:DB8::1"),
        V6,
    ),
    "2.1 IPv4 within IPv6": (
        line("::ffff:c000:207", "::ffff:cb00:7101"),
        V4,
    ),
    "2.1 IPv4 within IPv6, as HAProxy and nginx write it": (
        line("::ffff:192.0.2.7", "::ffff:203.0.113.1"),
        V4,
    ),
    "2.1 UNKNOWN": (b"PROXY UNKNOWN\r\n", UNKNOWN),
    "2.1 UNKNOWN, the longest": (
        b"PROXY UNKNOWN " + b" ".join((b"f" * 39, b"f" * 39, b"65535", b"65535")) + b"\r\n",
        UNKNOWN,
    ),
    "2.1 UNKNOWN, whatever follows": (b"PROXY UNKNOWN \x00\xff nonsense\r\n", UNKNOWN),
    "2.2 IPv4": (block(TCP4, FOUR), V4),
    "2.2 IPv4, from QUIC": (block(UDP4, FOUR), V4),
    "2.2 IPv6": (block(TCP6, inet("2001:db8::7", "2001:db8::1")), V6),
    "2.2 IPv6, from QUIC": (block(UDP6, inet("2001:db8::7", "2001:db8::1")), V6),
    "2.2 IPv4 within IPv6": (block(TCP6, inet("::ffff:192.0.2.7", "::ffff:203.0.113.1")), V4),
    "2.2 unix": (
        block(UNIX, unix(b"", b"/run/proxy.sock")),
        ProxyHeader(destination=("/run/proxy.sock", None)),
    ),
    "2.2 unix, an abstract name": (
        block(UNIX_DATAGRAM, unix(b"/a", b"\0name")),
        ProxyHeader(destination=("\0name", None)),
    ),
    "2.2 unix, without names": (block(UNIX, unix(b"", b"")), ProxyHeader(destination=("", None))),
    "2.2 UNSPEC": (block(UNSPEC), UNKNOWN),
    "2.2 LOCAL": (block(UNSPEC, command=LOCAL), ProxyHeader(local=True)),
    "2.2 LOCAL, with addresses": (block(TCP4, FOUR, command=LOCAL), ProxyHeader(local=True)),
    "2.2 LOCAL, with an unknown family and nonsense": (
        block(0x77, b"\x03\xff", command=LOCAL),
        ProxyHeader(local=True),
    ),
    "2.2 values are skipped": (
        block(TCP4, FOUR, value(1, b"h2") + value(4, b"") + value(0xEE, bytes(300))),
        V4,
    ),
    "2.2.3 a checksum": (checksummed(), V4),
    "2.2.3 a checksum before other values": (checksummed(value(5, b"id")), V4),
    "2.2.6 TLS to the proxy": (
        block(TCP4, FOUR, value(0x20, b"\x01\0\0\0\0" + value(0x21, b"TLSv1.3"))),
        ProxyHeader(V4.local, V4.source, V4.destination, secure=True),
    ),
    "2.2.6 no TLS to the proxy": (block(TCP4, FOUR, value(0x20, bytes(5))), V4),
    "2.2 as long as is allowed": (
        block(TCP4, FOUR, value(4, bytes(MAX_BLOCK - 12 - 3))),
        V4,
    ),
}

BAD: dict[str, bytes] = {
    "no header": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "lower case": b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "no space": b"PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1 empty": b"PROXY \r\n",
    "2.1 another family": b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1 a family of the other kind": b"PROXY TCP4 ::1 ::2 1 2\r\n",
    "2.1 IPv4 as IPv6": b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1 mixed": b"PROXY TCP6 ::1 5.6.7.8 1 2\r\n",
    "2.1 two spaces": b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1 a tab": b"PROXY TCP4\t1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1 a space at the end": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
    "2.1 too little": b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
    "2.1 too much": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
    "2.1 a leading zero in an address": b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
    "2.1 an address above 255": b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
    "2.1 three numbers": b"PROXY TCP4 1.2.3456 5.6.7.8 1 2\r\n",
    "2.1 a leading zero in a port": b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
    "2.1 a sign in a port": b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
    "2.1 a port above 65535": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
    "2.1 a zone": b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
    "2.1 two double colons": b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
    "2.1 digits that are not ASCII": "PROXY TCP4 1.2.3.٤ 5.6.7.8 1 2\r\n".encode(),
    "2.1 a bare LF": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
    "2.1 a bare CR": b"PROXY UNKNOWN a\rb\r\n",
    "2.1 UNKNOWN and more without a space": b"PROXY UNKNOWNS\r\n",
    "2.1 108 bytes": b"PROXY UNKNOWN " + b"a" * 92 + b"\r\n",
    "2.1 no end": b"PROXY UNKNOWN " + b"a" * 93,
    "2.2 a broken signature": SIGNATURE[:-1] + b"\r!\x11\0\0",
    "2.2 version 1": block(TCP4, FOUR, command=0x11),
    "2.2 version 3": block(TCP4, FOUR, command=0x31),
    "2.2 another command": block(TCP4, FOUR, command=0x22),
    "2.2 another family": block(0x41, FOUR),
    "2.2 another protocol": block(0x13, FOUR),
    "2.2 a family without a protocol": block(0x10, FOUR),
    "2.2 no addresses": block(TCP4),
    "2.2 addresses that are too short": block(TCP4, FOUR[:-1]),
    "2.2 addresses of another family": block(TCP6, FOUR),
    "2.2 half a unix address": block(UNIX, bytes(108)),
    "2.2 too long": SIGNATURE + bytes((PROXY, TCP4)) + struct.pack("!H", MAX_BLOCK + 1),
    "2.2 too long, and LOCAL": SIGNATURE + bytes((LOCAL, UNSPEC)) + b"\xff\xff",
    "2.2 a value without a length": block(TCP4, FOUR, b"\x04\0"),
    "2.2 a value that is longer than the rest": block(TCP4, FOUR, b"\x04\0\x05abcd"),
    "2.2.3 a wrong checksum": block(TCP4, FOUR, value(3, b"abcd")),
    "2.2.3 a checksum of another length": block(TCP4, FOUR, value(3, b"abc")),
    "2.2.3 two checksums": checksummed(value(3, b"abcd")),
    "2.2.6 half of what is said of TLS": block(TCP4, FOUR, value(0x20, b"\x01")),
}


@pytest.mark.parametrize(("data", "expected"), GOOD.values(), ids=GOOD)
def test_a_header_is_read_however_it_is_cut(data: bytes, expected: ProxyHeader) -> None:
    assert read(data) == (expected, b"")
    assert read(*bytewise(data)) == (expected, b"")
    assert read(data + BEHIND) == (expected, BEHIND), "what is behind is left alone"
    assert read(data[:-1], data[-1:] + BEHIND, BEHIND) == (expected, BEHIND * 2)


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_a_part_of_a_header_is_none_yet(data: tuple[bytes, ProxyHeader]) -> None:
    whole = data[0]
    ends = {0, 1, 5, 6, 12, 13, 15, 16, 17, len(whole) - 2, len(whole) - 1}
    for end in ends & {*range(len(whole))}:
        assert read(whole[:end]) == (None, b"")


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused_however_it_is_cut(data: bytes) -> None:
    for pieces in ([data], bytewise(data), [data + BEHIND], [data[:7], data[7:]]):
        with pytest.raises(ProxyProtocolError):
            read(*pieces)


def test_what_is_no_header_is_refused_as_soon_as_it_shows() -> None:
    for data, used in ((b"GET", 1), (b"PROXY\r", 6), (b"\r\nGET", 3)):
        assert read(*bytewise(data)[: used - 1]) == (None, b"")
        with pytest.raises(ProxyProtocolError):
            read(data[:used])


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4 uses the same polynomial
    assert crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize(
    ("header", "anonymous", "ends"),
    [
        (V4, False, (("203.0.113.1", 443), ("192.0.2.7", 4000))),
        (UNKNOWN, True, (None, None)),
        (ProxyHeader(local=True), False, (None, None)),
        (ProxyHeader(destination=("/s", None)), False, (None, None)),
    ],
)
def test_what_a_header_says_of_both_ends(
    header: ProxyHeader, anonymous: bool, ends: object
) -> None:
    assert header.anonymous is anonymous
    assert header.ends == ends


PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535))
ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


@given(ADDRESSES, PORTS)
def test_both_versions_say_the_same(
    addresses: tuple[object, object], ports: tuple[int, int]
) -> None:
    source, destination = map(str, addresses)
    family = TCP6 if ":" in source else TCP4
    one, _ = read(line(source, destination, ports))
    two, _ = read(block(family, inet(source, destination, ports)))
    assert one == two
    assert one is not None
    assert one.source is not None
    assert one.source[1] == ports[0]
    mapped = "::ffff:" in source
    assert mapped or socket.getaddrinfo(one.source[0], 1)[0][4][0] == source


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda rest: b"PROXY " + rest + b"\r\n"),
        st.binary(max_size=300).map(lambda rest: SIGNATURE + rest),
        st.tuples(st.sampled_from((TCP4, TCP6, UNIX)), st.binary(max_size=400)).map(
            lambda made: block(made[0], made[1])
        ),
    ),
    st.integers(1, 60),
)
def test_any_bytes_are_a_header_or_refused_and_alike_in_pieces(data: bytes, cut: int) -> None:
    def verdict(*pieces: bytes) -> object:
        try:
            return read(*pieces)
        except ProxyProtocolError:
            return "refused"

    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert verdict(data) == verdict(*pieces)
