"""What a worker and the process that started the worker have to do with each other.

What lives here: what a worker may say (`Slot`), what is asked about the end of a worker
(`WorkerLife`), and the signal by which a worker is asked what it does. What must not: how any of
them is carried (supervision/worker_process.py), what a worker does for it (workers/lifecycle.py).
Nothing else of the package is known here, so the master imports no HTTP by knowing this module.
"""

from __future__ import annotations

import signal
from array import array
from collections.abc import Mapping
from typing import Protocol

# The master is about to kill this worker and wants to know what it was doing.
TELL_SIGNAL: int = signal.SIGRTMIN + 1 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1


class Slot(Protocol):
    """What a worker may report to the process that started it."""

    def ready(self, facts: Mapping[str, str]) -> None:
        """Say once that the app is up and accepting; the facts are shown in the banner."""

    def failed(self, message: str, details: str = "") -> None:
        """Say that the boot failed; details is the app's own traceback."""

    def beat(self, connections: int, requests: int) -> None:
        """Show a sign of life and the present counts."""

    def report_activity(self, what: str) -> None:
        """Report the requests in progress, for the case that this worker dies."""

    def publish(self, gauges: array[int], counters: array[int], windows: array[int]) -> None:
        """Have others see what counts/numbers.py names."""

    def introduce(self, interface: str) -> None:
        """Have others see the interface, WSGI or ASGI."""

    def offer_look(self, signum: int) -> None:
        """Have others see the signal that has requests in flight reported; 0 for none."""

    def is_watched(self) -> bool:
        """Return whether somebody wants to see the requests in flight."""

    def report_in_flight(self, lines: str) -> None:
        """Have others see the requests in flight: lines as counts/layout.py has them."""

    def offer_xray(self, can: bool) -> None:
        """Have others see whether they may attach an x-ray to this worker."""

    def obey_xray(self, number: int) -> None:
        """Have others see which order for an x-ray is obeyed; 0 for none."""

    def xray_order(self) -> tuple[int, bytes]:
        """Return the number and the text of an order for an x-ray; (0, b"") for none."""

    def master_is_gone(self) -> bool:
        """Return whether no master reads what is reported here."""


class WorkerLife(Protocol):
    """What bounds the end of a worker: see workers.lifecycle.Lifecycle."""

    hurry: bool
    """Whether the worker is to end without any grace."""

    @property
    def leave_by(self) -> float:
        """When the grace is as good as over, by time.monotonic()."""
