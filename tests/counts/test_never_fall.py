"""Counters never fall, and their sum is what clients have counted, whatever becomes of workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress

import pytest

from bare_serve.counts.records import Counters
from bare_serve.counts.snapshot import Memory
from tests.support import RawClient, Server, eventually, serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2), /proc")

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]

async def aapp(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok\\n"})
"""
ONE = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def flat(counters: Counters) -> list[int]:
    """All that must not fall."""
    durations = [each for one in counters.durations.values() for each in one.buckets]
    sums = [round(one.seconds * 1e9) for one in counters.durations.values()]
    return [*durations, *sums, counters.requests, counters.bytes_out, int(counters.cpu_seconds)]


class Clients(threading.Thread):
    """Asks all the time, and counts whole answers by the time they came."""

    def __init__(self, running: Server) -> None:
        super().__init__()
        self._running = running
        self.times: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            with suppress(OSError), RawClient(self._running.address) as client:
                client.send(ONE)
                if client.read_to_eof().endswith(b"ok\n"):
                    self.times.append(time.monotonic())


class Watcher(threading.Thread):
    """Reads all the time, and keeps what has fallen."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self._memory = memory
        self.over = threading.Event()
        self.fallen: list[tuple[int, int]] = []
        self.looks = 0

    def run(self) -> None:
        before = flat(self._memory.snapshot().counters())
        while not self.over.wait(0.002):
            now = flat(self._memory.snapshot().counters())
            self.fallen += [(a, b) for a, b in zip(before, now, strict=True) if b < a]
            before = now
            self.looks += 1


def storm(kind: str, reloads: int, kills: int, most: int) -> None:
    args = ("--workers", "2", "--max-requests", str(most), "--access-log", "off")
    with serve(f"app:{kind}", *args, source=APP) as running, Memory.of_process(running.pid) as m:
        clients, watcher = [Clients(running) for _ in range(2)], Watcher(m)
        for thread in (*clients, watcher):
            thread.start()
        lost_at = []
        try:
            for number in range(reloads):
                running.send_signal(signal.SIGHUP)
                eventually(
                    lambda done=number + 1: m.snapshot().master.reloads["reloaded"] >= done,
                    "the reload",
                    timeout=60,
                )
            for _ in range(kills):
                victim = eventually(
                    lambda: next((w.pid for w in m.snapshot().workers if w.state == "serving"), 0),
                    "a worker that serves",
                )
                starts = m.snapshot().master.worker_starts
                lost_at.append(time.monotonic())
                os.kill(victim, signal.SIGKILL)
                eventually(
                    lambda before=starts: m.snapshot().master.worker_starts > before,
                    "another worker",
                )
        finally:
            for client in clients:
                client.over.set()
            for client in clients:
                client.join()
            if sys.exc_info()[0] is not None:
                watcher.over.set()
                watcher.join()

        time_of_last = max(client.times[-1] for client in clients)
        eventually(
            lambda: all(
                w.published_for is not None
                and time.monotonic() - w.published_for > time_of_last + 0.1
                for w in m.snapshot().workers
            ),
            "all that was counted is published",
        )
        watcher.over.set()
        watcher.join()
        counted = m.snapshot().counters().durations["2xx"].answers
        times = [each for client in clients for each in client.times]
        # What a killed worker had not published: answers of the last tick, late ticks included.
        unpublished = sum(any(at - 3.0 < each <= at for at in lost_at) for each in times)
        assert watcher.fallen == []
        assert watcher.looks > 20
        assert len(times) - unpublished <= counted <= len(times) + 4 * kills
        exits = m.snapshot().master.worker_exits
        assert exits["killed"] + exits["oom"] == kills
        assert exits["reload"] + exits["recycled"] >= 2 * reloads
        assert exits["crash"] == 0


@pytest.mark.parametrize("kind", ["app", "aapp"])
def test_counters_never_fall_and_none_is_lost_but_by_a_kill(kind: str) -> None:
    storm(kind, reloads=2, kills=1, most=200)


@pytest.mark.long
def test_counters_never_fall_in_a_long_storm() -> None:
    storm("app", reloads=20, kills=5, most=500)
