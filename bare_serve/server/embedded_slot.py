"""The slot of a server inside a program: nothing of what it does is shown to other processes.

What lives here: who waits for the server learns that it is ready. What must not: serving
(embedded_run.py). A server of the command has shared memory that `bare-serve status` reads; the
program around this one speaks for itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

from bare_serve.errors import AppLoadError


class EmbeddedSlot:
    """See workers.slot.Slot."""

    def __init__(self, on_ready: Callable[[Mapping[str, str]], None]) -> None:
        """`on_ready` takes what the worker says of itself."""
        self.ready = on_ready

    def failed(self, message: str, details: str = "") -> None:
        """Raise what a master would have shown."""
        raise AppLoadError(message, details)

    def beat(self, connections: int, requests: int) -> None:
        """Show a sign of life: nobody watches."""

    def report_activity(self, what: str) -> None:
        """Nobody asks for it after the end."""

    def publish(self, gauges: array[int], counters: array[int], windows: array[int]) -> None:
        """Nobody reads it; without `counts` it is not even made."""

    def introduce(self, interface: str) -> None:
        """Nobody reads it."""

    def offer_look(self, signum: int) -> None:
        """Nobody looks: no handler of a signal is set."""

    def is_watched(self) -> bool:
        """Return False: see above."""
        return False

    def report_in_flight(self, lines: str) -> None:
        """Nobody reads it."""

    def offer_xray(self, can: bool) -> None:
        """Nobody attaches to it."""

    def obey_xray(self, number: int) -> None:
        """Nobody attaches to it."""

    def xray_order(self) -> tuple[int, bytes]:
        """Return that there is none."""
        return 0, b""

    def master_is_gone(self) -> bool:
        """Return False: a server without a master does not wait for one."""
        return False
