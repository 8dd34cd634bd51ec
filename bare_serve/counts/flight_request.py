"""The requests in flight of this moment, which workers write when a signal asks.

What must not live here: how a signal is sent (it is handed in), waiting, and what is shown: nothing
here blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from bare_serve.counts.records import Snapshot, Worker
from bare_serve.counts.snapshot import Memory

PATIENCE: Final = 0.1
"""Seconds to wait for workers that run no Python code at the moment."""


class FlightRequest:
    """All workers of a server, which were asked."""

    def __init__(
        self, memory: Memory, send: Callable[[Worker, int], bool], patience: float = PATIENCE
    ) -> None:
        """Ask.

        Args:
            memory: the server's.
            send: sends a worker a signal; returns False if it cannot.
            patience: seconds for all of them.
        """
        self._memory = memory
        self._at = time.monotonic()
        self._patience = patience
        self._asked = {
            worker.order
            for worker in memory.snapshot().workers
            if worker.look_signal
            and worker.state in ("serving", "leaving")
            and send(worker, worker.look_signal)
        }

    def snapshot(self) -> Snapshot | None:
        """Return a snapshot once all workers have answered, or there is no more time; None before.

        Raises:
            Unreadable: see `Memory.snapshot`.
        """
        snapshot = self._memory.snapshot()
        passed = time.monotonic() - self._at
        if passed >= self._patience:
            return snapshot
        for worker in snapshot.workers:
            told = worker.flight_written_for
            if worker.order in self._asked and (told is None or told >= passed):
                return None
        return snapshot
