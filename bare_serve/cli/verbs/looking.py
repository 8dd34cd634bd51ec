"""Asking workers for what they do not write unless somebody looks: their requests in flight.

What lives here: the signal, and waiting for the answers for a moment. What must not: what is shown.
"""

from __future__ import annotations

import time

from bare_serve.cli.verbs.servers import Running, send
from bare_serve.counts.records import Snapshot, Worker

PATIENCE = 0.1
"""Seconds to wait for workers that run no Python code at the moment."""


def look(running: Running, patience: float = PATIENCE) -> Snapshot:
    """Return a snapshot with the requests in flight of this moment, as far as workers answer."""
    snapshot = running.memory.snapshot()
    asked_at = time.monotonic()
    asked = {worker.order for worker in snapshot.workers if _ask(running, worker)}
    while asked and time.monotonic() < asked_at + patience:
        time.sleep(0.002)
        snapshot = running.memory.snapshot()
        passed = time.monotonic() - asked_at
        asked -= {
            worker.order
            for worker in snapshot.workers
            if worker.flight_written_for is not None and worker.flight_written_for < passed
        }
        asked &= {worker.order for worker in snapshot.workers}
    return snapshot


def _ask(running: Running, worker: Worker) -> bool:
    if not worker.look_signal or worker.state not in ("serving", "leaving"):
        return False
    pid = running.worker_pid(worker.pid)
    return bool(pid) and send(running, pid, worker.look_signal)
