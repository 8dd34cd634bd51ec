"""Asking workers for what they do not write unless somebody looks: their requests in flight.

What lives here: waiting for the answers for a moment. What must not: when they have answered
(counts/flight_request.py), what is shown.
"""

from __future__ import annotations

import time

from bare_serve.cli.verbs.servers import Running, send
from bare_serve.counts.flight_request import FlightRequest
from bare_serve.counts.records import Snapshot, Worker


def look(running: Running) -> Snapshot:
    """Return a snapshot with the requests in flight of this moment, as far as workers answer."""

    def ask(worker: Worker, signum: int) -> bool:
        pid = running.worker_pid(worker.pid)
        return bool(pid) and send(running, pid, signum)

    request = FlightRequest(running.memory, ask)
    while (snapshot := request.snapshot()) is None:
        time.sleep(0.002)
    return snapshot
