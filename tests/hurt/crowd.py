"""Many clients at once, and what they cost: thousands of sockets, a process read from /proc."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def allow_descriptors(count: int) -> bool:
    """Raises this process's limit, which the server inherits; False if the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return True
    if hard != resource.RLIM_INFINITY and hard < count:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return True


class Process:
    """A process as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def _status(self, name: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    @property
    def peak(self) -> int:
        """The most it ever was, since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text("5")

    def settle(self) -> None:
        """Waits until the clients of a moment ago are forgotten: no descriptor comes or goes."""
        same, last = 0, 0
        while same < 20:
            time.sleep(0.01)
            same, last = (same + 1 if self.descriptors == last else 0), self.descriptors

    @property
    def descriptors(self) -> int:
        return len(list((self._proc / "fd").iterdir()))


class Crowd:
    """Connections that behave badly together."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self.clients: list[socket.socket] = []
        try:
            for _ in range(count):
                self.clients.append(socket.create_connection(address, timeout=30))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def send(self, data: bytes, some: Sequence[socket.socket] | None = None) -> None:
        """The same bytes from each; who has been closed by the server is left alone."""
        for client in self.clients if some is None else some:
            with contextlib.suppress(OSError):
                client.sendall(data)

    def converse(self) -> None:
        """One request and its answer on each, so that all are idle keep-alive connections."""
        for at in range(0, len(self.clients), 100):
            some = self.clients[at : at + 100]
            self.send(GET, some)
            for client in some:
                assert client.recv(65536).startswith(b"HTTP/1.1 200")

    def closed(self) -> list[bytes]:
        """Waits until the server has closed each; what each was told."""
        return [read_to_end(client) for client in self.clients]


def read_to_end(client: socket.socket) -> bytes:
    """All that comes until the server closes; a reset counts as the end."""
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65536):
            told += data
    return told


def latencies(
    address: tuple[str, int], count: int, meanwhile: Iterable[object] = ()
) -> list[float]:
    """Seconds of `count` requests of a normal client, half of them on connections of their own.

    After each a step of `meanwhile` is taken, outside of the time that is measured.
    """
    steps = iter(meanwhile)
    found = []
    with socket.create_connection(address, timeout=30) as kept:
        for number in range(count):
            begun = time.perf_counter()
            if number % 2:
                with socket.create_connection(address, timeout=30) as fresh:
                    _ask(fresh)
            else:
                _ask(kept)
            found.append(time.perf_counter() - begun)
            next(steps, None)
    return found


def _ask(client: socket.socket) -> None:
    client.sendall(GET)
    assert client.recv(65536).startswith(b"HTTP/1.1 200")


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def pour(address: tuple[str, int], head: bytes, piece: bytes, total: int) -> set[bytes]:
    """Sends `head` and then `piece` for ever, anew whenever the server closes, until `total` bytes.

    Gives back the status lines with which that was refused.
    """
    sent, told = 0, set()
    while sent < total:
        with socket.create_connection(address, timeout=30) as client:
            with contextlib.suppress(OSError):
                client.sendall(head)
                while sent < total:
                    sent += len(piece)
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)
            if answer := read_to_end(client):
                told.add(answer.partition(b"\r\n")[0])
    return told
