"""Carries out one attack of the table: a thread for each connection, or one for all slow readers.

`python -m benchmarks.hostile.attacker ATTACK PORT SECONDS` prints how many bytes were taken
from it, and how often the server cut it off or refused to have it.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator

from benchmarks.hostile.attacks import ATTACKS, KIB, Attack
from benchmarks.hostile.bystander import Connect, connector
from benchmarks.wsload import handshake

OPENING = 5.0  # seconds a connection may take
AT_ONCE = 64 * KIB  # bytes of the rate that are made up for at most
TICK = 5  # milliseconds
UPDATES = 300  # KeyUpdates for each byte of data, 8 kB
READ_BUFFER = 4096  # of a slow reader


class Attacker:
    """All connections of one attack. Only its threads count in it, each for itself by `+=`."""

    def __init__(self, attack: Attack, port: int) -> None:
        self.attack = attack
        self.block = attack.block
        self.port = port
        self.connect: Connect = connector(port, tls=False)
        self.sent = [0] * attack.connections
        self.ended = [0] * attack.connections
        self.end = 0.0

    def run(self, seconds: float) -> dict[str, float]:
        self.end = time.monotonic() + seconds
        if self.attack.kind == "slow reader":
            self._read_slowly()
        else:
            numbers = range(self.attack.connections)
            threads = [
                threading.Thread(target=self._attack, args=(number,), daemon=True)
                for number in numbers
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0.0, self.end - time.monotonic()) + 0.2)
        return {"sent_mbs": sum(self.sent) / seconds / 1e6, "ended": sum(self.ended)}

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end

    def _attack(self, number: int) -> None:
        while not self.over:
            with contextlib.suppress(OSError):
                client, blocks = self._open()
                with client:
                    self._pour(client, blocks, number)
            if not self.over:
                self.ended[number] += 1
                time.sleep(TICK / 1000)

    def _open(self) -> tuple[socket.socket, Iterator[bytes]]:
        """Open a connection of this kind; return it with what is to be sent on it."""
        if self.attack.kind == "key updates":
            return self._updating()
        client = self.connect(OPENING)
        if self.attack.kind == "websocket" and handshake(client) != 101:
            client.close()
            raise ConnectionError("no WebSocket")
        return client, self._blocks()

    def _blocks(self) -> Iterator[bytes]:
        yield self.attack.greeting + self.block
        while True:
            yield self.block

    def _updating(self) -> tuple[socket.socket, Iterator[bytes]]:
        from benchmarks.hostile.key_updates import KeyUpdater  # only here: it needs cryptography

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = KeyUpdater(("127.0.0.1", self.port), context)

        def records() -> Iterator[bytes]:
            yield client.data(self.attack.greeting)
            while True:
                for _ in range(UPDATES // 50):
                    yield b"".join(client.key_update() for _ in range(50))
                yield client.data(self.block)

        return client.socket, records()

    def _pour(self, client: socket.socket, blocks: Iterator[bytes], number: int) -> None:
        """Until the end, or until the server ends it."""
        reads = number >= self.attack.deaf
        client.setblocking(False)
        poll = select.poll()
        meter = Meter(self.attack.rate)
        awaited = Answers(self.attack.answers)
        rest = memoryview(next(blocks))
        while not self.over:
            if not rest and awaited.all_there:
                awaited.begin()
                rest = memoryview(next(blocks))
            allowed = meter.allowed() if rest else 0
            wanted = (select.POLLIN if reads else 0) | (select.POLLOUT if allowed else 0)
            poll.register(client, wanted)
            for _, events in poll.poll(TICK):
                if events & select.POLLIN and not self._hear(client, awaited):
                    return
                if events & select.POLLOUT:
                    count = client.send(rest[:allowed])
                    rest = rest[count:]
                    meter.took(count)
                    self.sent[number] += count
                if events & (select.POLLHUP | select.POLLERR):
                    return

    def _hear(self, client: socket.socket, awaited: Answers) -> bool:
        """Whether the server is still there."""
        piece = client.recv(1 << 18)
        awaited.heard(piece)
        return bool(piece)

    def _read_slowly(self) -> None:
        clients = [self._slow_client() for _ in range(self.attack.connections)]
        while not self.over:
            for number, client in enumerate(clients):
                try:
                    if not client.recv(int(self.attack.rate)):
                        self.ended[number] = 1
                except BlockingIOError:
                    pass
                except OSError:
                    self.ended[number] = 1
            time.sleep(max(0.0, min(1.0, self.end - time.monotonic())))
        for client in clients:
            client.close()

    def _slow_client(self) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BUFFER)
        client.settimeout(OPENING)
        with contextlib.suppress(OSError):
            client.connect(("127.0.0.1", self.port))
            client.sendall(self.attack.unit)
        client.setblocking(False)
        return client


class Meter:
    """So many bytes a second; 0 is any number."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._left = 0.0
        self._last = time.monotonic()

    def allowed(self) -> int:
        if not self.rate:
            return 1 << 20
        now = time.monotonic()
        self._left = min(AT_ONCE, self._left + (now - self._last) * self.rate)
        self._last = now
        return int(self._left)

    def took(self, count: int) -> None:
        self._left -= count


class Answers:
    """Counts status lines in what is heard, whole ones that come in pieces as well."""

    MARK = b"HTTP/1.1 "

    def __init__(self, each: int) -> None:
        self.each = each
        self._missing = each
        self._tail = b""

    @property
    def all_there(self) -> bool:
        return self._missing <= 0

    def begin(self) -> None:
        self._missing += self.each

    def heard(self, piece: bytes) -> None:
        text = self._tail + piece
        self._missing -= text.count(self.MARK)
        self._tail = text[1 - len(self.MARK) :]


def main(name: str, port: int, seconds: float) -> None:
    attacker = Attacker(ATTACKS[name], port)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(attacker.run(seconds)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
