"""How many connections wait to be accepted, asked of the kernel (sock_diag(7)).

What lives here: the question and its answer for listeners of TCP and of unix sockets. What must
not: which listeners are the server's (pages.py). Nothing of the server has to be open here: the
kernel tells it of any listener in this network namespace, by its address. Where several listen at
one address (--reuse-port), what is told is the sum. A kernel without sock_diag tells nothing.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

_NETLINK_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301
_LISTEN: Final = 10
_HEADER: Final = struct.Struct("=IHHII")
"""Length, type, flags, sequence, port of a netlink message."""
_QUESTION: Final = struct.Struct("=BBBBI48x")
"""Family, protocol, extensions, nothing, states; any pair of addresses (inet_diag.h)."""
_UNIX_QUESTION: Final = struct.Struct("=BBHIIIII")
"""Family, protocol, nothing, states, inode, what to show, cookie (unix_diag.h)."""
_SHOW_NAME_AND_QUEUE: Final = 0x01 | 0x10
_ANSWER: Final = struct.Struct("=BBBB2s2s16s16s12xIIIII")
"""Family, state, timer, retransmissions, ports and addresses, then expiry, both queues, user and
inode (inet_diag.h)."""
_UNIX_ANSWER: Final = struct.Struct("=BBBBIII")
"""Family, type, state, nothing, inode, cookie; attributes follow, each with a head (netlink.h)."""
_ATTRIBUTE: Final = struct.Struct("=HH")
_NAME, _QUEUE = 0, 4
_QUEUE_LENGTHS: Final = struct.Struct("=II")
_DONE, _ERROR = 3, 2
_MOST: Final = 1 << 16
_ROLES: Final = (" (TLS)", " (redirects to https)")
"""What may follow the path in the URL of a unix socket; see net/bind_address.py."""


class Queue(NamedTuple):
    """One listener."""

    waiting: int
    """Connections that wait to be accepted."""
    limit: int
    """As many as there can be; the next ones are dropped."""


Key = tuple[int, str, int]
"""Family, host or path, port."""
_Read = Callable[[bytes], tuple[Key, Queue] | None]


def look(urls: Iterable[str]) -> dict[str, Queue]:
    """Return the queues of the listeners at these URLs, by address: HOST:PORT or unix:PATH."""
    wanted = {address: _key(address) for address in map(_address, urls) if address}
    found: dict[Key, Queue] = {}
    for family in {family for family, _, _ in wanted.values()}:
        try:
            for key, queue in _listeners(family):
                before = found.get(key, Queue(0, 0))
                found[key] = Queue(before.waiting + queue.waiting, before.limit + queue.limit)
        except OSError:
            continue
    return {address: found[key] for address, key in wanted.items() if key in found}


def _address(url: str) -> str:
    """Return the address of a URL: http://HOST:PORT or unix:PATH, and what may follow."""
    if not url.startswith("unix:"):
        return url.partition("://")[2].partition(" ")[0]
    for role in _ROLES:
        url = url.removesuffix(role)
    return url


def _key(address: str) -> Key:
    if address.startswith("unix:"):
        return socket.AF_UNIX, address.removeprefix("unix:"), 0
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, host, int(port) if port.isdecimal() else 0


def _listeners(family: int) -> Iterator[tuple[Key, Queue]]:
    states = 1 << _LISTEN
    if family == socket.AF_UNIX:
        question = _UNIX_QUESTION.pack(family, 0, 0, states, 0, _SHOW_NAME_AND_QUEUE, 0, 0)
        read: _Read = _of_unix
    else:
        question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, states)
        read = _of_tcp
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as sock:
        sock.settimeout(0.1)  # the kernel answers at once
        length = _HEADER.size + len(question)
        sock.send(_HEADER.pack(length, _BY_FAMILY, _REQUEST_DUMP, 1, 0) + question)
        for answer in _answers(sock):
            if (told := read(answer)) is not None:
                yield told


def _answers(sock: socket.socket) -> Iterator[bytes]:
    while True:
        data = sock.recv(_MOST)
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEADER.size:
                raise OSError(os.strerror(95))
            yield data[_HEADER.size : length]
            data = data[(length + 3) & ~3 :]


def _of_tcp(answer: bytes) -> tuple[Key, Queue] | None:
    if len(answer) < _ANSWER.size:
        return None
    fields = _ANSWER.unpack_from(answer)
    family, port = fields[0], int.from_bytes(fields[4], "big")
    host = socket.inet_ntop(family, fields[6][: 4 if family == socket.AF_INET else 16])
    return (family, host, port), Queue(fields[9], fields[10])


def _of_unix(answer: bytes) -> tuple[Key, Queue] | None:
    name, queue, at = b"", None, _UNIX_ANSWER.size
    while at + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if length < _ATTRIBUTE.size:
            break
        value = answer[at + _ATTRIBUTE.size : at + length]
        if kind == _NAME:
            name = value
        elif kind == _QUEUE and len(value) >= _QUEUE_LENGTHS.size:
            queue = Queue(*_QUEUE_LENGTHS.unpack_from(value))
        at += (length + 3) & ~3
    if queue is None or not name:
        return None
    # An abstract name begins with a zero byte, and a path ends with one.
    path = f"@{os.fsdecode(name[1:])}" if name[0] == 0 else os.fsdecode(name.rstrip(b"\0"))
    return (socket.AF_UNIX, path, 0), queue
