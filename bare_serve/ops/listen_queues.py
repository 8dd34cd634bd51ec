"""How many connections wait to be accepted, asked of the kernel (sock_diag(7)).

What lives here: the question and its answer for TCP listeners. What must not: which listeners are
the server's (pages.py). Nothing of the server has to be open here: the kernel tells it of any
listener of the machine. A kernel without sock_diag tells nothing.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_NETLINK_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301
_LISTEN: Final = 10
_HEADER: Final = struct.Struct("=IHHII")
"""Length, type, flags, sequence, port of a netlink message."""
_QUESTION: Final = struct.Struct("=BBBBI48x")
"""Family, protocol, extensions, nothing, states; any pair of addresses."""
_ANSWER: Final = struct.Struct("=BBBB2s2s16s16s12xIIIII")
"""Family, state, timer, retransmissions, ports and addresses, then expiry, both queues, user and
inode (inet_diag.h)."""
_DONE, _ERROR = 3, 2
_MOST: Final = 1 << 16


class Queue(NamedTuple):
    """One listener."""

    waiting: int
    """Connections that wait to be accepted."""
    limit: int
    """As many as there can be; the next ones are dropped."""


def look(urls: Iterable[str]) -> dict[str, Queue]:
    """Return the queues of the listeners at these URLs, by address; those of TCP alone."""
    wanted = {address: _key(address) for url in urls if (address := _address(url))}
    if not wanted:
        return {}
    try:
        found = dict(_listeners({family for family, _, _ in wanted.values()}))
    except OSError:
        return {}
    return {address: found[key] for address, key in wanted.items() if key in found}


Key = tuple[int, str, int]


def _address(url: str) -> str:
    """Return HOST:PORT of http://HOST:PORT and what may follow; empty for a unix socket."""
    return url.partition("://")[2].partition(" ")[0]


def _key(address: str) -> Key:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, host, int(port) if port.isdecimal() else 0


def _listeners(families: Iterable[int]) -> Iterator[tuple[Key, Queue]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as sock:
        sock.settimeout(0.1)  # the kernel answers at once
        for family in families:
            question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _LISTEN)
            length = _HEADER.size + len(question)
            sock.send(_HEADER.pack(length, _BY_FAMILY, _REQUEST_DUMP, 1, 0) + question)
            yield from _answers(sock, family)


def _answers(sock: socket.socket, family: int) -> Iterator[tuple[Key, Queue]]:
    while True:
        data = sock.recv(_MOST)
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEADER.size + _ANSWER.size:
                raise OSError(os.strerror(95))
            fields = _ANSWER.unpack_from(data, _HEADER.size)
            port = int.from_bytes(fields[4], "big")
            size = 4 if family == socket.AF_INET else 16
            host = socket.inet_ntop(family, fields[6][:size])
            yield (family, host, port), Queue(fields[9], fields[10])
            data = data[(length + 3) & ~3 :]
