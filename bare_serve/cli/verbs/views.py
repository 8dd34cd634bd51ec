"""A snapshot and what /proc says of its processes, as they are shown.

What lives here: rates and quantiles lately, memory and processor time of each worker, whether all
is well. What must not: lines of text (screen.py), reading shared memory (counts/snapshot.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bare_serve.cli.verbs.servers import Running
from bare_serve.counts.records import Counters, InFlight, Snapshot, Worker, quantile

_TICKS = os.sysconf("SC_CLK_TCK")
SILENT = 5.0
"""Seconds without a sign of life after which a worker, or the master, is not well."""
_FRESH = 3.0
"""Seconds for which a list of requests in flight is shown."""


class WorkerView(NamedTuple):
    """One worker as it is shown."""

    record: Worker
    pid: int
    """As this process sees it; 0 if it cannot be seen."""
    requests_per_second: float | None
    p50: float | None
    p99: float | None
    memory: int | None
    """Bytes: its proportional share, or what is resident where that is not told."""
    cpu: float | None
    """The part of one processor that it takes."""
    cpu_seconds: float | None

    @property
    def tells_nothing(self) -> bool:
        """Whether it has requests in flight, and has not listed them."""
        record = self.record
        told = record.flight_written_for
        return (record.in_flight > 0 or bool(record.doing)) and (told is None or told > _FRESH)


class View(NamedTuple):
    """A server as it is shown."""

    pid: int
    snapshot: Snapshot
    workers: tuple[WorkerView, ...]
    counters: Counters
    requests_per_second: float | None
    p50: float | None
    p99: float | None

    @property
    def target(self) -> str:
        return str(self.snapshot.master.facts.get("target", "(an application)"))

    @property
    def uptime(self) -> float:
        return self.snapshot.master.uptime

    @property
    def serving(self) -> int:
        """Workers that serve, and show signs of life."""
        return sum(
            each.record.state == "serving" and (each.record.silent_for or 0.0) < SILENT
            for each in self.workers
        )

    @property
    def wanted(self) -> int:
        return self.snapshot.master.workers_wanted

    @property
    def in_process(self) -> bool:
        """Whether the server has no master: `--workers 0`."""
        master = self.snapshot.master
        return any(each.record.pid == master.pid for each in self.workers)

    @property
    def is_well(self) -> bool:
        """Whether as many workers serve as are wanted."""
        master = self.snapshot.master
        beats = self.in_process or master.beat_for < SILENT or not self.counts
        return self.serving >= self.wanted and master.state != "stopping" and beats

    @property
    def counts(self) -> bool:
        """Whether the server counts; without it the master shows no sign of life."""
        settings = self.snapshot.master.facts.get("settings", {})
        return isinstance(settings, dict) and "counts" not in settings

    @property
    def in_flight(self) -> int:
        return sum(each.record.in_flight for each in self.workers)

    @property
    def connections(self) -> int:
        return sum(each.record.connections for each in self.workers)

    @property
    def websockets(self) -> int:
        return sum(each.record.websockets for each in self.workers)

    @property
    def queue(self) -> int:
        return sum(each.record.queue for each in self.workers)

    @property
    def flight(self) -> list[tuple[WorkerView, InFlight]]:
        """Requests in flight with their workers, the oldest first."""
        both = [
            (worker, request)
            for worker in self.workers
            if (worker.record.flight_written_for or 0.0) <= _FRESH
            for request in worker.record.flight
        ]
        return sorted(both, key=lambda each: -each[1].age)

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON, with what is known here beside it."""
        value = self.snapshot.to_json()
        value["pid"] = self.pid
        value["well"] = self.is_well
        value["requests_per_second"] = self.requests_per_second
        value["p50_seconds"], value["p99_seconds"] = self.p50, self.p99
        for worker, found in zip(self.workers, value["workers"], strict=True):
            found["pid_here"] = worker.pid
            found["requests_per_second"] = worker.requests_per_second
            found["p50_seconds"], found["p99_seconds"] = worker.p50, worker.p99
            found["memory_bytes"], found["cpu"] = worker.memory, worker.cpu
        return value


def view_of(running: Running, snapshot: Snapshot, before: View | None = None) -> View:
    """Return what is to be shown.

    Rates are those since `before`, or of the last half minute to minute without it.
    """
    earlier = {} if before is None else {each.record.order: each for each in before.workers}
    workers = tuple(
        _worker(running, record, earlier.get(record.order)) for record in snapshot.workers
    )
    recent = [_since(each.record, earlier.get(each.record.order)) for each in workers]
    buckets = [*map(sum, zip(*(each for _, each in recent), strict=True))] if recent else []
    rates = [each.requests_per_second for each in workers if each.requests_per_second is not None]
    return View(
        running.pid,
        snapshot,
        workers,
        snapshot.counters(),
        sum(rates) if rates else None,
        quantile(buckets, 0.5),
        quantile(buckets, 0.99),
    )


def _since(record: Worker, before: WorkerView | None) -> tuple[float | None, Sequence[int]]:
    """Return how many requests a second, and answers by bucket, since then, or lately."""
    if before is None:
        recent = record.recent
        done = recent.requests / recent.seconds if recent.seconds >= 0.5 else None
        return done, recent.buckets
    passed = before.record.published_for, record.published_for
    seconds = (record.age - before.record.age) - (passed[1] or 0.0) + (passed[0] or 0.0)
    now, then = record.counters.answers.buckets, before.record.counters.answers.buckets
    buckets = [max(0, a - b) for a, b in zip(now, then, strict=True)]
    done = record.counters.requests - before.record.counters.requests
    return (done / seconds if seconds >= 0.5 else before.requests_per_second), buckets


def _worker(running: Running, record: Worker, before: WorkerView | None) -> WorkerView:
    pid = running.worker_pid(record.pid)
    per_second, buckets = _since(record, before)
    if record.published_for is None:
        per_second = None
    used = _cpu_seconds(pid)
    if before is not None and before.cpu_seconds is not None:
        then, seconds = before.cpu_seconds, record.age - before.record.age
    else:
        then = record.counters.cpu_seconds - record.recent.cpu_seconds
        seconds = record.recent.seconds + (record.published_for or 0.0)
    cpu = None if used is None or seconds < 0.2 else max(0.0, used - then) / seconds
    return WorkerView(
        record,
        pid,
        per_second,
        quantile(buckets, 0.5),
        quantile(buckets, 0.99),
        _memory(pid),
        cpu,
        used,
    )


def _cpu_seconds(pid: int) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return None


def _memory(pid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").split("\n"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
