"""What a worker publishes on its tick: its counters, and gauges that are read off at that moment.

What lives here: putting them together. What must not: counting (counts/tally.py), the memory
(supervision/scoreboard.py), what a kind of worker can be asked (it hands in functions).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection
from typing import NamedTuple

from bare_serve.counts import numbers
from bare_serve.counts.tally import Tally, WebSocketCounts
from bare_serve.logs.access_log import AccessLog
from bare_serve.workers.slot import Slot


class Gauges(NamedTuple):
    """What is now; in the order of counts/numbers.py."""

    in_flight: int
    websockets: int = 0
    threads_busy: int = 0
    threads_limit: int = 0
    queue: int = 0
    lag_nanoseconds: int = 0
    connections_limit: int = 0
    concurrency_limit: int = 0


class Counting:
    """The counters of one worker, and how they reach whoever looks."""

    def __init__(
        self,
        slot: Slot,
        tally: Tally,
        access_log: AccessLog | None,
        requests: Callable[[], int],
        gauges: Callable[[], Gauges],
        websockets: Collection[WebSocketCounts] = (),
    ) -> None:
        """Publish nothing yet.

        `requests`: calls of the application so far; `websockets`: those that are open.
        """
        self._slot = slot
        self._tally = tally
        self._access_log = access_log
        self._requests = requests
        self._gauges = gauges
        self._websockets = websockets

    def publish(self) -> None:
        """Have others see the counters and gauges of this moment."""
        dropped = self._access_log.dropped if self._access_log is not None else 0
        words = self._tally.published(self._requests(), dropped, tuple(self._websockets))
        windows = self._tally.windows(words, time.monotonic())
        gauges = array("q", self._gauges())
        assert len(gauges) == numbers.GAUGES
        self._slot.publish(gauges, words, windows)
