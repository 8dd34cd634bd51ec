"""One client that sends what is cheap to send and dear to take, and how long another one waits."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.hurt.crowd import GET

Connect = Callable[[], socket.socket]


class Flood:
    """Connections that send a block again and again, as fast as it is taken."""

    def __init__(
        self, connect: Connect, block: bytes, *, reads: bool, count: int = 1, greeting: bytes = b""
    ) -> None:
        self._connect, self._block, self._reads = connect, block, reads
        self._greeting = greeting
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._pour, daemon=True) for _ in range(count)]
        self.sent = 0
        self.refusals = 0
        """How often the server has ended such a connection; another takes its place."""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _pour(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError), self._connect() as client:
                self._pour_into(client)
            self.refusals += not self._over.is_set()

    def _pour_into(self, client: socket.socket) -> None:
        client.setblocking(False)
        poll = select.poll()
        poll.register(client, select.POLLOUT | (select.POLLIN if self._reads else 0))
        rest = memoryview(self._greeting + self._block)
        while not self._over.is_set():
            for _, events in poll.poll(50):
                with contextlib.suppress(ssl.SSLWantReadError):
                    if events & select.POLLIN and not client.recv(1 << 20):
                        return
                with contextlib.suppress(ssl.SSLWantWriteError):  # next time the same bytes again
                    if events & select.POLLOUT:
                        sent = client.send(rest[: 1 << 16])
                        self.sent += sent
                        rest = rest[sent:] or memoryview(self._block)
                if events & (select.POLLHUP | select.POLLERR):
                    return


@contextmanager
def flood(
    connect: Connect, block: bytes, *, reads: bool = True, count: int = 1, greeting: bytes = b""
) -> Iterator[Flood]:
    """The greeting goes before the first block of each connection."""
    made = Flood(connect, block, reads=reads, count=count, greeting=greeting)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def worst_wait(connect: Connect, seconds: float) -> float:
    """The longest that a client waits: to connect and for the first answer, and for the others."""
    worst = 0.0
    end = time.monotonic() + seconds
    begun = time.perf_counter()
    with connect() as client:
        client.settimeout(60)
        while time.monotonic() < end or not worst:
            client.sendall(GET)
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            worst = max(worst, time.perf_counter() - begun)
            time.sleep(0.002)  # the flood is to fill the gaps
            begun = time.perf_counter()
    return worst
