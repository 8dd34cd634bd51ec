"""How evenly the workers share a burst: many connections opened at once, and who answers each.

1.0 is even; with 4 workers 4.0 means that one of them took all.
"""

from __future__ import annotations

import collections
import select
import socket
import time

from benchmarks.probes.crowd import PATIENCE, REQUEST
from benchmarks.probes.subject import Subject
from benchmarks.process import Running, ServerFailed

MANY = 400


def burst(subject: Subject) -> dict[str, object]:
    workers = subject.scenario.workers
    _await_all(subject.running, workers)
    holders = _holders(subject.running)
    return {
        "busiest": max(holders.values()) * workers / sum(holders.values()),
        "workers_used": len(holders),
    }


def _await_all(running: Running, workers: int) -> None:
    """Until each worker has answered, or five seconds: some peers leave workers without any."""
    seen: set[bytes] = set()
    deadline = time.monotonic() + 5
    while len(seen) < workers and time.monotonic() < deadline:
        clients = [running.connect() for _ in range(workers * 4)]
        for client in clients:
            client.sendall(REQUEST)
        for client in clients:
            seen.add(client.recv(4096).rpartition(b"\r\n")[2])
            client.close()
    time.sleep(0.2)  # the last of these connections are being closed


def _holders(running: Running) -> collections.Counter[bytes]:
    """Count, for each process, how many of MANY open connections it answers."""
    poll = select.epoll()
    clients: dict[int, socket.socket] = {}
    heard: collections.Counter[bytes] = collections.Counter()
    try:
        for _ in range(MANY):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", running.launch.port))
            clients[client.fileno()] = client
            poll.register(client, select.EPOLLOUT)
        answers: dict[int, bytes] = {}
        while heard.total() < MANY:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise ServerFailed(f"{heard.total()} of {MANY} connections were answered")
            for descriptor, event in ready:
                client = clients[descriptor]
                if event & select.EPOLLOUT:
                    client.send(REQUEST)
                    poll.modify(client, select.EPOLLIN)
                    continue
                piece = client.recv(4096)
                answers[descriptor] = answers.get(descriptor, b"") + piece
                _, _, body = answers[descriptor].partition(b"\r\n\r\n")
                if not piece:
                    raise ServerFailed("it closed a connection unanswered")
                if body:
                    heard[body] += 1
                    poll.unregister(client)
        return heard
    finally:
        poll.close()
        for client in clients.values():
            client.close()
