"""A process that asks for little, again and again: `python storm.py PORT KIND SECONDS`.

Prints how often it did so. A process of its own takes nothing from the one that measures.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable

TOGETHER = 50
REPEATED = {
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
    "HTTP/1.0 keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
}
_RESET = struct.pack("ii", 1, 0)


def open_and_close(address: tuple[str, int]) -> int:
    """A connection that says nothing."""
    socket.create_connection(address).close()
    return 1


def open_and_reset(address: tuple[str, int]) -> int:
    """One that ends without a word, in the middle of a request."""
    with socket.create_connection(address) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.sendall(b"GET / HTTP/1.1\r\n")
    return 1


def one_by_one(address: tuple[str, int]) -> int:
    """HTTP/1.0, which needs a connection for each request; many of them at once."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(TOGETHER)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for client in clients:
            while client.recv(4096):
                pass
    return TOGETHER


KINDS: dict[str, Callable[[tuple[str, int]], int]] = {
    "open and close": open_and_close,
    "open and reset": open_and_reset,
    "HTTP/1.0": one_by_one,
}


def repeat(address: tuple[str, int], request: bytes, until: float) -> int:
    """Many requests at once on one connection, and their answers, until the time is over."""
    count = 0
    with socket.create_connection(address, timeout=30) as client:
        while time.monotonic() < until:
            client.sendall(request * TOGETHER)
            rest, answered = b"", 0
            while answered < TOGETHER:
                data = rest + client.recv(1 << 16)
                answered += data.count(b"\r\n\r\n")
                rest = data[-3:] if not data.endswith(b"\r\n\r\n") else b""
            count += answered
    return count


def main(port: str, kind: str, seconds: str) -> int:
    """Until the time is over; how often."""
    address, until, count = ("127.0.0.1", int(port)), time.monotonic() + float(seconds), 0
    if kind in REPEATED:
        return repeat(address, REPEATED[kind], until)
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            count += KINDS[kind](address)
    return count


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
