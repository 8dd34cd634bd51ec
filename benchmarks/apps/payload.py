"""What the WSGI and ASGI applications share: bytes to answer with, a file, a busy view."""

from __future__ import annotations

import os
import time

HELLO = b"Hello, world!"
CHUNK = b"x" * 1024
CHUNKS = 100
MEGABYTES_10 = 10 * 1024 * 1024
BLOCK = b"x" * 65536
NEWS = 256
FILLING = b"x" * (4 << 20)  # more than the kernel buffers for a client
SLOW_SECONDS = 0.05
SLOWISH_SECONDS = 0.003
DOWNLOAD_FILE = os.environ.get("BENCH_DOWNLOAD_FILE", "")


def compute() -> None:
    """50 ms of this thread's own CPU time, however busy the others are."""
    end = time.thread_time() + SLOW_SECONDS
    while time.thread_time() < end:
        sum(range(1000))
