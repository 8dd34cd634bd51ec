"""What the tests of several modules of net/ need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

HOLD = """
import socket, sys
kind, name = sys.argv[1:]
sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
sock.bind(name if kind == "unix" else ("127.0.0.1", 0))
sock.listen()
print(name if kind == "unix" else sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[object]:
    """Start another process that listens; it ends with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(kind: str, name: str = "") -> tuple[int, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, kind, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        return process.pid, process.stdout.readline().strip()

    yield start
    for process in processes:
        process.communicate(timeout=10)
