"""Many connections held by this process at once.

They are opened some at a time, and those answered before the next, so that no backlog overflows.
Only the server's CPU and memory, and times that it takes by far the most of, are read off a crowd:
this loop is Python and no faster than the servers.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass

from benchmarks import proc
from benchmarks.process import Running, ServerFailed
from benchmarks.wsload import opening

MIB = 1 << 20
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PATIENCE = 15.0  # seconds without anything before a probe gives up

TOGETHER = 32  # connections opened at once


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a client says first, and what the answer must hold when it is complete."""

    words: bytes
    until: bytes
    status: bytes = b"200"

    def await_answer(self, client: socket.socket) -> None:
        seen = b""
        while self.until not in seen:
            piece = client.recv(65536)
            if not piece:
                raise ServerFailed(f"it closed a connection: {seen[:80]!r}")
            seen += piece
        if seen[9:12] != self.status:
            raise ServerFailed(f"it answered {seen[:80]!r}")


def asking(path: str, until: bytes) -> Greeting:
    return Greeting(REQUEST.replace(b"GET /", b"GET " + path.encode(), 1), until)


def joining(path: str = "/") -> Greeting:
    """Open a WebSocket."""
    return Greeting(opening(path), b"\r\n\r\n", b"101")


class Crowd:
    """A context: the connections are closed at its end."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.clients: dict[int, socket.socket] = {}

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *failure: object) -> None:
        for client in self.clients.values():
            client.close()

    def open(self, count: int, greeting: Greeting, *, seconds: float = 30.0) -> None:
        """`count` more connections; ServerFailed says how many it took when it took no more."""
        deadline = time.monotonic() + seconds
        done = 0
        try:
            while done < count:
                fresh = [self._connect() for _ in range(min(TOGETHER, count - done))]
                for client in fresh:
                    client.sendall(greeting.words)
                for client in fresh:
                    greeting.await_answer(client)
                    client.setblocking(False)
                    done += 1
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{seconds:g} s were over")
        except OSError as error:
            why = self.running.obituary() or str(error)
            raise ServerFailed(f"it took {done} of {count} connections, then: {why}") from error

    def _connect(self) -> socket.socket:
        client = self.running.connect(5.0)
        self.clients[client.fileno()] = client
        return client

    def until_all_heard(self, mark: bytes) -> float:
        """Wait until each has received `mark`; return when the last one had it.

        The one that came last is waited for first, as servers go through them in the order they
        came: to wake up for each would cost the server as much as sending does. The moment is that
        of the last wait; to read what is there already takes none of the server's time.
        """
        heard = time.perf_counter()
        for client in reversed(self.clients.values()):
            if self._wait_for(client, mark):
                heard = time.perf_counter()
        return heard

    def _wait_for(self, client: socket.socket, mark: bytes) -> bool:
        """Read up to `mark`; return whether it was not there yet."""
        seen, waited = b"", False
        while mark not in seen:
            try:
                piece = client.recv(65536)
            except BlockingIOError:
                waited = True
                self._until_readable(client)
                continue
            if not piece:
                raise ServerFailed(f"it closed a connection; {self.running.last_words()}")
            seen += piece
        return waited

    def _until_readable(self, client: socket.socket) -> None:
        poll = select.poll()
        poll.register(client, select.POLLIN)
        if not poll.poll(PATIENCE * 1000):
            raise ServerFailed(f"a connection heard nothing for {PATIENCE:g} s")

    def converse(self, seconds: float, ending: bytes) -> int:
        """Each asks again as soon as it is answered; how many answers there were.

        All answers are awaited before it returns, so that no work of this call is left undone.
        """
        with select.epoll() as poll:
            for client in self.clients.values():
                poll.register(client, select.EPOLLIN)
            return self._converse(poll, time.perf_counter() + seconds, ending)

    def _converse(self, poll: select.epoll, end: float, ending: bytes) -> int:
        for client in self.clients.values():
            client.sendall(REQUEST)
        answers, open_questions = 0, len(self.clients)
        while open_questions:
            ready = poll.poll(PATIENCE)
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
    """Wait until the server does nothing, which is when it has done all it can."""
    deadline = time.monotonic() + seconds
    before = proc.tree_cpu(pid).total
    while time.monotonic() < deadline:
        time.sleep(0.15)
        now = proc.tree_cpu(pid).total
        if now - before < 0.02:
            return
        before = now
