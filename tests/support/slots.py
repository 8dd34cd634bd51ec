"""A worker's slot as far as nobody looks: what fakes of tests need not care for."""

from __future__ import annotations

from array import array


class Unwatched:
    """See workers.slot.Slot."""

    def publish(self, gauges: array[int], counters: array[int], windows: array[int]) -> None:
        """Nobody sees it."""

    def introduce(self, interface: str) -> None:
        """Nobody sees it."""

    def offer_look(self, signum: int) -> None:
        """Nobody sees it."""

    def is_watched(self) -> bool:
        return False

    def report_in_flight(self, lines: str) -> None:
        """Nobody sees it."""

    def offer_xray(self, can: bool) -> None:
        """Nobody sees it."""

    def obey_xray(self, number: int) -> None:
        """Nobody sees it."""

    def xray_order(self) -> tuple[int, bytes]:
        return 0, b""
