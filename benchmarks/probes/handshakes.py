"""What a full TLS handshake costs the server: one connection after the other, none resumed.

wrk resumes its sessions, so it cannot be asked. A client pays more for a handshake than a server
does, hence on as many cores no server can be driven to its limit; its CPU is read off instead. The
request on each connection is counted with it.
"""

from __future__ import annotations

import time

from benchmarks import proc
from benchmarks.checks import HELLO
from benchmarks.probes.crowd import REQUEST
from benchmarks.probes.subject import Subject
from benchmarks.process import Running, ServerFailed

SECONDS = 1.5
LAST_WORDS = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def shake_hands(subject: Subject) -> dict[str, object]:
    running = subject.running
    for _ in range(20):
        _once(running)
    before = proc.tree_cpu(running.pid)
    count, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        _once(running)
        count += 1
    spent = proc.tree_cpu(running.pid) - before
    return {"handshake_us": spent.total * 1e6 / count, "handshakes": count}


def _once(running: Running) -> None:
    with running.connect() as client:  # a new context each time, which remembers no session
        client.sendall(LAST_WORDS)
        seen = b""
        while piece := client.recv(4096):
            seen += piece
        if not seen.endswith(HELLO):
            raise ServerFailed(f"it answered {seen[:80]!r}")
