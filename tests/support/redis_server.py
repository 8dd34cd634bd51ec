"""A real Redis for tests, on a free port of 127.0.0.1; nothing is written to a disk."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.support.waiting import eventually

REDIS = shutil.which("redis-server") or "/usr/bin/redis-server"

needs_redis = pytest.mark.skipif(
    shutil.which(REDIS) is None, reason="redis-server is not installed"
)


class RedisServer:
    """One redis-server, which may be killed, started again and stopped."""

    def __init__(self, *options: str) -> None:
        """Choose a port; `options` are those of the command."""
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = int(held.getsockname()[1])
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(REDIS, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", *self._options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: b"PONG" in self._ask() or b"NOAUTH" in self._ask(), "an answer of Redis")

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it answer nothing until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again, all that it was asked meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def do(self, *command: str | bytes | int) -> Any:
        """Run a command of Redis, and return its answer."""
        import redis

        with redis.Redis(port=self.port, socket_timeout=20) as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]

    def _ask(self) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100)


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A Redis until the block ends."""
    server = RedisServer(*options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
