"""The client beside an attack: it asks, waits for the answer, and asks again after 2 ms.

Three requests of four go out on one connection that is kept, the fourth on a fresh one. A wait
counts whatever it takes to have the whole answer: connecting, and asking again where the server
closed the connection. Who has no answer PATIENCE seconds after the end counts with what it waited.
`python -m benchmarks.hostile.bystander PORT SECONDS TLS` prints milliseconds.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import statistics
import sys
import time
from collections.abc import Callable

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PATIENCE = 2.0
# Seconds before the attack: not looked at (servers do some things once, half a second after their
# start), and looked at.
WARM, CALM = 0.45, 0.25
PAUSE = 0.002
EACH_FRESH = 4
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
Connect = Callable[[float], socket.socket]


class NoAnswer(Exception):
    """It did not come in time."""


def connector(port: int, *, tls: bool) -> Connect:
    """Return a function that makes a connection to the server, within so many seconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def connect(timeout: float) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain) if tls else plain

    return connect


def complete(answer: bytes) -> bool:
    """Whether this is all of an answer, by its length or its last chunk."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


class Bystander:
    """One client; `waits` are seconds."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._kept: socket.socket | None = None
        self._asked = 0
        self.waits: list[float] = []
        self.refused = 0  # answers that were not 200

    def watch(self, seconds: float) -> None:
        """Asks for so long; ends early where one request is not answered at all."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begun = time.perf_counter()
            try:
                self._ask(end + PATIENCE)
            except NoAnswer:
                return
            finally:
                self.waits.append(time.perf_counter() - begun)
            time.sleep(PAUSE)

    def _ask(self, deadline: float) -> None:
        self._asked += 1
        fresh = self._asked % EACH_FRESH == 0
        while True:
            left = deadline - time.perf_counter()
            if left <= 0:
                raise NoAnswer
            client = None if fresh else self._kept
            try:
                client = client or self._connect(left)
                answer = _exchange(client, deadline)
            except OSError:
                answer = b""
            if not fresh:
                self._kept = client
            if answer:
                self.refused += not answer.startswith(b"HTTP/1.1 200")
            if client and (fresh or not answer or b"\r\nconnection: close" in answer.lower()):
                client.close()
                self._kept = self._kept if fresh else None
            if answer:
                return
            time.sleep(PAUSE)

    def close(self) -> None:
        if self._kept:
            self._kept.close()


def _exchange(client: socket.socket, deadline: float) -> bytes:
    """One answer; empty when the connection was closed before it was whole."""
    client.settimeout(max(0.01, deadline - time.perf_counter()))
    client.sendall(REQUEST)
    answer = b""
    while not complete(answer):
        client.settimeout(max(0.01, deadline - time.perf_counter()))
        piece = client.recv(65536)
        if not piece:
            return b""
        answer += piece
    return answer


def summary(waits: list[float], calm: list[float], refused: int) -> dict[str, float]:
    """`calm` are the waits before the attack."""
    ordered = sorted(waits)
    return {
        "worst_ms": ordered[-1] * 1000,
        "wait99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
        "wait50_ms": statistics.median(ordered) * 1000,
        "calm_ms": max(calm) * 1000,
        "answers": len(waits),
        "refused": refused,
    }


def main(port: int, seconds: float, *, tls: bool) -> None:
    client = Bystander(connector(port, tls=tls))
    client.watch(WARM)
    client.waits.clear()
    client.watch(CALM)
    calm, client.waits = client.waits, []
    print("ready", flush=True)
    sys.stdin.readline()
    client.watch(seconds)
    client.close()
    print(json.dumps(summary(client.waits, calm, client.refused)))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), tls=sys.argv[3] == "tls")
