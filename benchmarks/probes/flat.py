"""Whether memory stays flat: a million requests, and its growth after the first 100,000."""

from __future__ import annotations

import math
import time

from benchmarks import proc, wrk
from benchmarks.probes.crowd import MIB
from benchmarks.probes.subject import Subject
from benchmarks.process import ServerFailed

FIRST, ALL = 100_000, 1_000_000
LONGEST = 60.0  # seconds; whoever needs longer is told with the requests it did


def endure(subject: Subject) -> dict[str, object]:
    running = subject.running
    started = time.monotonic()
    done = 0
    while done < FIRST:
        done += _load(subject, 1)
    pace = done / (time.monotonic() - started)
    early, before = proc.tree_pss(running.pid), done
    while done < ALL and time.monotonic() - started < LONGEST:
        done += _load(subject, max(1, math.ceil((ALL - done) / pace)))
    late = proc.tree_pss(running.pid)
    return {
        "requests_done": done,
        "first_mib": early / MIB,
        "last_mib": late / MIB,
        "grown_mib": (late - early) / MIB if done > before else None,
    }


def _load(subject: Subject, seconds: int) -> int:
    found = wrk.run(
        subject.scenario.load, subject.running.url, min(seconds, 20), subject.cores.load
    )
    if not found.requests:
        raise ServerFailed("it answered nothing")
    time.sleep(0.2)
    return found.requests
