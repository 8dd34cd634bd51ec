"""A WebSocket load generator, since wrk has none: N connections, each echoing one message in turn.

It sends ready-made bytes and only counts what comes back (the echo of a fixed message has a fixed
size), so one epoll loop in Python is about as quick as the servers. Run as a program it prints its
findings in wrk's form: `python -m benchmarks.wsload PORT CONNECTIONS SECONDS MESSAGE_BYTES`.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import sys
import time

MASK = b"\x12\x34\x56\x78"
POINTS = (1, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.99)


def masked_frame(message: bytes) -> bytes:
    """One binary message as a client sends it (RFC 6455 5.2, 5.3)."""
    size = len(message)
    if size < 126:
        head = struct.pack("!BB", 0x82, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x82, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x82, 0x80 | 127, size)
    masked = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(message))
    return head + MASK + masked


def server_frame_size(size: int) -> int:
    """How long a server's frame of `size` bytes is: no mask."""
    return size + (2 if size < 126 else 4 if size < 1 << 16 else 10)


def opening(path: str = "/") -> bytes:
    """Return a client's opening handshake (RFC 6455 4.1), without extensions."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )


def handshake(client: socket.socket, path: str = "/") -> int:
    """Asks for a WebSocket and returns the status.

    The applications here say nothing before they are spoken to, so nothing follows the head.
    """
    client.sendall(opening(path))
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(4096)
        if not piece:
            return 0
        head += piece
    return int(head.split(b" ", 2)[1])


def percentiles(sorted_values: list[float]) -> dict[str, float]:
    last = len(sorted_values) - 1
    return {f"{p:g}": sorted_values[min(last, int(p / 100 * len(sorted_values)))] for p in POINTS}


def run(port: int, connections: int, seconds: float, size: int) -> dict[str, object]:
    frame, wanted = masked_frame(b"m" * size), server_frame_size(size)
    poll = select.epoll()
    clients: dict[int, socket.socket] = {}
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port), 5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if handshake(client) != 101:
            raise SystemExit("no WebSocket")
        clients[client.fileno()] = client
        poll.register(client, select.EPOLLIN)
    left = dict.fromkeys(clients, wanted)
    sent = dict.fromkeys(clients, 0.0)
    times: list[float] = []
    lost = 0
    start = clock = time.perf_counter()
    worked = time.process_time()
    for descriptor, client in clients.items():
        sent[descriptor] = time.perf_counter()
        client.sendall(frame)
    while clock < start + seconds and clients:
        for descriptor, _ in poll.poll(0.5):
            client = clients[descriptor]
            count = len(client.recv(65536))
            clock = time.perf_counter()
            left[descriptor] -= count
            if count and left[descriptor] <= 0:
                times.append(clock - sent[descriptor])
                left[descriptor] = wanted
                sent[descriptor] = clock
                client.sendall(frame)
            elif not count:
                lost += 1
                poll.unregister(descriptor)
                clients.pop(descriptor).close()
        clock = time.perf_counter()
    worked = time.process_time() - worked
    for client in clients.values():
        client.close()
    poll.close()
    times.sort()
    return {
        "requests": len(times),
        "bytes": len(times) * wanted,
        "microseconds": round((clock - start) * 1e6),
        "errors": {"read": lost},
        "latency": {p: t * 1e6 for p, t in percentiles(times).items()} if times else {},
        "load_cpu": worked / (clock - start),  # without the time to start and to connect
        "slowest": times[-1] * 1e6 if times else 0,
    }


if __name__ == "__main__":
    port, connections, seconds, size = (int(word) for word in sys.argv[1:5])
    print("BENCH", json.dumps(run(port, connections, seconds, size)))
