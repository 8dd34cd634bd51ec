"""A server of a few lines in this process, for what holds connections to it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.process import Running

Handle = Callable[[socket.socket], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Handle], Running]]:
    """A thread for each connection, and something that can be connected to like a server."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []
    acceptors: list[threading.Thread] = []

    def accept(handle: Handle) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            accepted.append(client)
            threads.append(threading.Thread(target=handle, args=(client,)))
            threads[-1].start()

    def start(handle: Handle) -> Running:
        acceptors.append(threading.Thread(target=accept, args=(handle,)))
        acceptors[-1].start()
        address = listener.getsockname()
        server: Any = SimpleNamespace(
            pid=os.getpid(),
            launch=SimpleNamespace(port=address[1]),
            connect=lambda timeout=5.0: socket.create_connection(address, timeout),
            obituary=lambda: "",
            last_words=lambda: "it said nothing",
        )
        return cast(Running, server)

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    for acceptor in acceptors:  # first: it may have just accepted a client
        acceptor.join(10)
    listener.close()
    for client in accepted:
        with contextlib.suppress(OSError):  # it has left
            client.shutdown(socket.SHUT_RDWR)
        client.close()
    for thread in threads:
        thread.join(10)
