"""The slot of a worker without a master (`--workers 0`): it speaks for itself.

What lives here: shared memory with one row, which whoever looks finds as that of a master, and what
the one process writes there in both parts. What must not: serving, and anything that a master does
for workers.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from bare_serve.counts import layout
from bare_serve.errors import AppLoadError
from bare_serve.supervision.ledger import Seat
from bare_serve.supervision.scoreboard import Scoreboard
from bare_serve.system import forks
from bare_serve.workers.stacks import Stacks


class OwnSlot:
    """See workers.slot.Slot. To be closed at the end."""

    def __init__(
        self,
        on_ready: Callable[[Mapping[str, str]], None],
        describe: Callable[[], Mapping[str, Any]],
    ) -> None:
        """`on_ready` takes what the worker says of itself, `describe` says the same of the server,
        as `facts` of counts/records.py."""
        self._on_ready = on_ready
        self._describe = describe
        self._board = Scoreboard(rows=1)
        self._ledger = self._board.ledger
        self._row = self._board.acquire()
        self._stacks = Stacks()
        self._stacks.register()
        self._let_go = forks.holds(self._stacks.descriptors, self._stacks.forget)
        self._started = time.monotonic_ns()
        self._ledger.begin(os.getpid(), 1, 0)
        self._ledger.tell(describe())
        self._sit("starting")

    def _sit(self, state: str) -> None:
        ready = time.monotonic_ns() if state == "serving" else 0
        code = layout.SEAT_STATES.index(state)
        self._ledger.seat(0, Seat(1, os.getpid(), code, self._started, ready, 1))

    def ready(self, facts: Mapping[str, str]) -> None:
        """Show that the worker is ready."""
        self._sit("serving")
        self._ledger.show(layout.SERVING, 1)
        self._ledger.note("worker ready", place=1, pid=os.getpid())
        self._ledger.tell({**facts, **self._describe()})
        self._on_ready(facts)

    def failed(self, message: str, details: str = "") -> None:
        """Raise what a master would have shown."""
        raise AppLoadError(message, details)

    def beat(self, connections: int, requests: int) -> None:
        """Show a sign of life, that of the master as well."""
        self._ledger.beat()
        self._row.beat(connections, requests)

    def report_activity(self, what: str) -> None:
        """Show it, for whoever looks."""
        self._row.doing = what

    def master_is_gone(self) -> bool:
        """Return False: a worker without a master does not wait for one."""
        return False

    def publish(self, gauges: array[int], counters: array[int], windows: array[int]) -> None:
        """See workers.slot.Slot."""
        self._row.publish(gauges, counters, windows)
        self._row.offer_stacks(self._stacks.signal)

    def introduce(self, interface: str) -> None:
        """See workers.slot.Slot."""
        self._row.introduce(interface)
        self._row.offer_stacks(self._stacks.signal)

    def offer_look(self, signum: int) -> None:
        """See workers.slot.Slot."""
        self._row.offer_look(signum)

    def is_watched(self) -> bool:
        """See workers.slot.Slot."""
        return self._row.is_watched

    def report_in_flight(self, lines: str) -> None:
        """See workers.slot.Slot."""
        self._row.report_in_flight(lines)

    def offer_xray(self, can: bool) -> None:
        """See workers.slot.Slot."""
        self._row.offer_xray(can)

    def obey_xray(self, number: int) -> None:
        """See workers.slot.Slot."""
        self._row.obey_xray(number)

    def xray_order(self) -> tuple[int, bytes]:
        """See workers.slot.Slot."""
        return self._row.xray_order()

    def close(self) -> None:
        """Let go of the memory: the process may go on without a server."""
        self._let_go()
        self._stacks.unregister()
        self._board.end(self._row)
