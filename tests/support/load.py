"""A crowd of clients that accounts for every request: answered, refused, or cut off, and where.

`Load` runs in a thread of the test. Each connection sends a request as soon as it has the answer
to the one before. A keep-alive connection is opened anew only after `Connection: close`, so
every other end of a connection is a failure, and `failures` says of which kind. Those that were cut
after they had been established are told apart by the client's port as well, in `cut`.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class _Client:
    sock: socket.socket
    received: bytes = b""
    port: int = 0
    """Our end of it, once it is connected."""
    answers: int = 0


@dataclass
class Load:
    """`with Load(address, connections, keep_alive) as load: ...` and then look at the counts."""

    address: tuple[str, int]
    connections: int = 64
    keep_alive: bool = True
    answers: int = 0
    farewells: int = 0
    """Answers that said Connection: close."""
    failures: Counter[str] = field(default_factory=Counter)
    cut: Counter[int] = field(default_factory=Counter)
    """By the client's port: connections that ended without a farewell."""
    longest_silence: float = 0.0
    """Seconds between two answers, of whichever connections."""

    def __enter__(self) -> Load:
        self._over = threading.Event()
        self._selector = selectors.DefaultSelector()
        close = b"" if self.keep_alive else b"Connection: close\r\n"
        self._request = b"GET / HTTP/1.1\r\nHost: test\r\n%s\r\n" % close
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "a request was never answered"
        self._selector.close()

    def _run(self) -> None:
        self._last = time.monotonic()
        for _ in range(self.connections):
            self._connect()
        while self._selector.get_map():
            for key, _ in self._selector.select(1):
                self._act(key.data)

    def _connect(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.address)
        self._selector.register(sock, selectors.EVENT_WRITE, _Client(sock))

    def _act(self, client: _Client) -> None:
        try:
            if not client.port:
                if error := client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._fail(client, f"cannot connect: {os.strerror(error)}")
                    return
                client.port = client.sock.getsockname()[1]
                self._selector.modify(client.sock, selectors.EVENT_READ, client)
                client.sock.send(self._request)
                return
            data = client.sock.recv(65536)
        except OSError as error:
            self._fail(client, type(error).__name__)
            return
        if not data:
            self._fail(client, "closed")
            return
        client.received += data
        self._look_for_answer(client)

    def _look_for_answer(self, client: _Client) -> None:
        head, separator, body = client.received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not separator or len(body) < int(length):
            return
        status = head.split(b" ", 2)[1]
        if status != b"200":
            self.failures[f"status {status.decode()}"] += 1
        self.answers += 1
        client.answers += 1
        now = time.monotonic()
        self.longest_silence = max(self.longest_silence, now - self._last)
        self._last = now
        client.received = b""
        if b"\r\nconnection: close" in head.lower():
            self.farewells += 1
            self._end(client)
        elif self._over.is_set():
            self._end(client)
        else:
            try:
                client.sock.send(self._request)
            except OSError as error:
                self._fail(client, type(error).__name__)

    def _fail(self, client: _Client, how: str) -> None:
        when = "in an answer" if client.received else f"after {min(client.answers, 1)} answers"
        self.failures[f"{how} {when}"] += 1
        if client.port:
            self.cut[client.port] += 1
        self._end(client)

    def _end(self, client: _Client) -> None:
        self._selector.unregister(client.sock)
        client.sock.close()
        if not self._over.is_set():
            self._connect()
