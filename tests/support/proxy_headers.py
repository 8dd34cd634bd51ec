"""PROXY headers as a proxy would send them, written apart from the code that reads them."""

from __future__ import annotations

import socket
import struct

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LOCAL, PROXY = 0x20, 0x21
TCP4, UDP4, TCP6, UDP6, UNIX, UNIX_DATAGRAM, UNSPEC = 0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x00


def line(source: str, destination: str, ports: tuple[int, int] = (4000, 443)) -> bytes:
    """Version 1."""
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def block(
    family: int = UNSPEC, addresses: bytes = b"", values: bytes = b"", command: int = PROXY
) -> bytes:
    """Version 2, of ready parts."""
    rest = addresses + values
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(rest)) + rest


def inet(source: str, destination: str, ports: tuple[int, int] = (4000, 443)) -> bytes:
    """The addresses of version 2 for both families."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    packed = [socket.inet_pton(family, each) for each in (source, destination)]
    return b"".join(packed) + struct.pack("!HH", *ports)


def unix(source: bytes, destination: bytes) -> bytes:
    """The addresses of version 2 for unix sockets."""
    return source.ljust(108, b"\0") + destination.ljust(108, b"\0")


def value(kind: int, content: bytes) -> bytes:
    """One type-length-value."""
    return struct.pack("!BH", kind, len(content)) + content
