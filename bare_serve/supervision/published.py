"""What others may see of the master and its workers: systemd, and whoever reads the shared memory.

What lives here: what has changed since the last look, as seats, events and counters. What must not:
deciding anything; how words are written (ledger.py).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bare_serve.counts import layout
from bare_serve.supervision.callbacks import Callbacks, Ended
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.ledger import Ledger, Seat
from bare_serve.supervision.policy import Places
from bare_serve.supervision.scoreboard import Scoreboard
from bare_serve.supervision.systemd import Notifier

logger = logging.getLogger("bare_serve.supervision")

_SEAT_STATES = {State.BOOTING: 1, State.READY: 2, State.LEAVING: 3}
_BEING_ENDED = 4
_TELL_EVERY = 10.0
"""Seconds between two looks whether what the server says of itself has changed by itself, as its
certificate does."""


class Published:
    """What was published at the last look."""

    def __init__(self, board: Scoreboard, systemd: Notifier, callbacks: Callbacks) -> None:
        """Of `callbacks`, `describe` is asked, `on_ended` and `on_count` are told."""
        self._describe, self._on_ended = callbacks.describe, callbacks.on_ended
        self._on_count = callbacks.on_count
        self._board = board
        self._systemd = systemd
        self._wanted = 0
        self.all_were_ready = False
        """There was a moment when every place had a worker that serves."""
        self._ledger: Ledger = board.ledger
        self._seated: dict[Child, State] = {}
        self._blocked: dict[Child, int] = {}
        self._stops = False
        self._facts: Mapping[str, Any] = {}
        """Those of the worker that was ready last."""
        self._told: Mapping[str, Any] = {}
        self._told_at = 0.0

    def begin(self, wanted: int, order_signal: int) -> None:
        """Write that this process is the master of so many workers from now on."""
        self._wanted = wanted
        self._on_count(wanted)
        self._ledger.begin(os.getpid(), wanted, order_signal)
        self._tell()

    def take_over(self, children: Sequence[Child]) -> None:
        """Note workers of the program before, which its history knows."""
        for child in children:
            if self._board.has(child.row):
                self._seat(child)
                self._blocked[child] = child.row.blocked

    def tell_how_it_goes(self, children: Sequence[Child], places: Places) -> None:
        """Tell systemd how many workers serve; in the log once that all of them do."""
        serving = sum(child.state is State.READY for child in children)
        wanted = len(places)
        if wanted != self._wanted:
            self._wanted = wanted
            self._on_count(wanted)
        whole = serving >= wanted and all(place.holder for place in places)
        if whole and not self.all_were_ready:
            self.all_were_ready = True
            if wanted > 1:
                logger.info("All %d workers are ready.", wanted)
            self._systemd.ready()
        count = f"{serving} of {wanted} workers serve"
        self._systemd.status(f"{count}; reloading" if places.are_renewed else count)

    def look(self, children: Sequence[Child], stopping: bool, reloading: bool) -> None:
        """Write what is new in the shared memory."""
        ledger = self._ledger
        ledger.beat()
        state = layout.RELOADING if reloading else layout.SERVING
        state = state if self.all_were_ready else layout.STARTING
        ledger.show(layout.STOPPING if stopping else state, self._wanted)
        if stopping and not self._stops:
            self._stops = True
            ledger.note("stopping", pid=os.getpid())
        if self._told and time.monotonic() >= self._told_at + _TELL_EVERY:
            self._tell()
        for child in children:
            if self._seated.get(child) is not child.state and self._board.has(child.row):
                self._has_changed(child)
            if child.state is State.READY:
                self._look_whether_blocked(child)

    def ended(self, child: Child, reason: str, how: str) -> None:
        """Write that a worker has ended, and why, and tell the server; its row is about to be
        released."""
        if child not in self._seated and self._board.has(child.row):
            self._has_changed(child)
        self._seated.pop(child, None)
        self._blocked.pop(child, None)
        with self._ledger.writing():
            self._ledger.count(layout.TOTAL_EXITS + layout.EXIT_REASONS.index(reason))
            self._note("worker ended", child, how, reason)
        self._on_ended(Ended(child.pid, child.index, reason, how))

    def not_replaced(self, place: int, why: str) -> None:
        """Note that a worker goes on, since the one that was to take its place has failed."""
        self._ledger.note("worker not replaced", why, place=place)

    def follow_order(self, replace: Callable[[int], int]) -> None:
        """Have `replace` act on the order of a command, if one waits, and answer the command."""
        if (order := self._ledger.order()) is not None:
            verb, argument = order
            self._ledger.answer(replace(argument) if verb == layout.REPLACE else layout.BUSY)

    def _has_changed(self, child: Child) -> None:
        before = self._seated.get(child)
        with self._ledger.writing():
            if before is None:
                self._ledger.count(layout.TOTAL_STARTS)
                self._note("worker started", child)
            self._seat(child)
            if child.state is State.READY:
                self._note("worker ready", child)
                self._facts = child.facts
                self._tell()

    def _tell(self) -> None:
        """Write what the server says of itself, if that is new."""
        self._told_at = time.monotonic()
        facts = {**self._facts, **self._describe()}
        if facts != self._told:
            self._told = facts
            self._ledger.tell(facts)

    def _seat(self, child: Child) -> None:
        self._seated[child] = child.state
        state = _SEAT_STATES.get(child.state, _BEING_ENDED)
        ready = int((child.ready_at or 0.0) * 1e9)
        seat = Seat(child.index, child.pid, state, child.started, ready, child.order + 1)
        self._ledger.seat(child.row.number, seat)

    def _look_whether_blocked(self, child: Child) -> None:
        blocked, before = child.row.blocked, self._blocked.get(child, 0)
        if blocked > before:
            self._blocked[child] = blocked
            with self._ledger.writing():
                self._ledger.count(layout.TOTAL_BLOCKED, blocked - before)
                self._note("blocked", child, "its event loop, for longer than --warn-blocked")

    def _note(self, kind: str, child: Child, text: str = "", reason: str = "") -> None:
        self._ledger.note(kind, text, place=child.index, pid=child.pid, reason=reason)
