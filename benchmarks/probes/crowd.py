"""Many connections held by this process at once, and one epoll to hear them all.

They are opened one after the other, each answered before the next, so that no backlog overflows.
Only the server's CPU and memory, and times that it takes by far the most of, are read off a crowd:
this loop is Python and no faster than the servers.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from benchmarks import proc
from benchmarks.process import Running, ServerFailed

MIB = 1 << 20
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PATIENCE = 15.0  # seconds without anything before a probe gives up

Greet = Callable[[socket.socket], None]  # says the first words; raises when the answer is wrong


def asks(path: str, until: bytes) -> Greet:
    """Asks for a path and reads until the answer holds these bytes."""
    request = REQUEST.replace(b"GET /", b"GET " + path.encode(), 1)

    def greet(client: socket.socket) -> None:
        client.sendall(request)
        seen = b""
        while until not in seen:
            piece = client.recv(65536)
            if not piece:
                raise ServerFailed(f"it closed a connection: {seen[:80]!r}")
            seen += piece

    return greet


class Crowd:
    """A context: the connections are closed at its end."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.clients: dict[int, socket.socket] = {}
        self.poll = select.epoll()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *failure: object) -> None:
        self.poll.close()
        for client in self.clients.values():
            client.close()

    def open(self, count: int, greet: Greet, *, seconds: float = 20.0) -> None:
        """`count` more connections; ServerFailed says how many it took when it took no more."""
        deadline = time.monotonic() + seconds
        for number in range(count):
            try:
                client = self.running.connect(5.0)
                self.clients[client.fileno()] = client
                greet(client)
            except OSError as error:
                what = f"it took {number} of {count} connections"
                raise ServerFailed(f"{what}, then: {self._why(error)}") from error
            if time.monotonic() > deadline:
                raise ServerFailed(f"it took {number} of {count} connections in {seconds:g} s")
            self.poll.register(client, select.EPOLLIN)

    def _why(self, error: OSError) -> str:
        return self.running.obituary() or str(error)

    def until_all_heard(self, mark: bytes) -> float:
        """Waits until each has received `mark`; the moment when the last one had it."""
        missing = len(self.clients)
        tails = dict.fromkeys(self.clients, b"")
        while missing:
            ready = self.poll.poll(PATIENCE)
            if not ready:
                raise ServerFailed(f"{missing} of {len(self.clients)} connections heard nothing")
            for descriptor, _ in ready:
                piece = self.clients[descriptor].recv(65536)
                if not piece:
                    raise ServerFailed(f"it closed a connection; {self.running.last_words()}")
                seen = tails[descriptor] + piece
                if mark in seen:
                    missing -= 1
                    seen = b""
                tails[descriptor] = seen
        return time.perf_counter()

    def converse(self, seconds: float, ending: bytes) -> int:
        """Each asks again as soon as it is answered; how many answers there were.

        All answers are awaited before it returns, so that no work of this call is left undone.
        """
        end = time.perf_counter() + seconds
        for client in self.clients.values():
            client.sendall(REQUEST)
        answers, open_questions = 0, len(self.clients)
        while open_questions:
            ready = self.poll.poll(PATIENCE)
            if not ready:
                raise ServerFailed(f"{open_questions} requests were not answered")
            going_on = time.perf_counter() < end
            for descriptor, _ in ready:
                client = self.clients[descriptor]
                piece = client.recv(65536)
                if piece.endswith(ending):
                    answers += 1
                    if going_on:
                        client.sendall(REQUEST)
                    else:
                        open_questions -= 1
                elif not piece:
                    raise ServerFailed(f"it closed a connection; {self.running.last_words()}")
        return answers


def quiet(pid: int, seconds: float = 5.0) -> None:
    """Waits until the server does nothing, which is when it has done all it can."""
    deadline = time.monotonic() + seconds
    before = proc.tree_cpu(pid).total
    while time.monotonic() < deadline:
        time.sleep(0.15)
        now = proc.tree_cpu(pid).total
        if now - before < 0.02:
            return
        before = now
