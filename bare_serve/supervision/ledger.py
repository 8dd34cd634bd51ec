"""What the master writes in the shared memory beside its workers' rows, for whoever looks at it.

What lives here: words of the master, its facts, the seat of each row, the numbers of the dead, the
history, orders that wait for an answer; what stands where is in counts/layout.py. What must not:
what follows from any of it (supervisor.py), why a worker ended (exit_reasons.py).

Nothing here can fail for want of room: what is too long is cut, and old history is overwritten.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from bare_serve.counts import layout, numbers
from bare_serve.counts.layout import Layout

_MOST = (1 << 62) - 1


class Numbered(Protocol):
    """A row, as far as the dead are concerned."""

    number: int

    def counters(self, count: int) -> list[int]: ...


class Seat(NamedTuple):
    """Who has a row."""

    place: int
    pid: int
    state: int
    """An index of layout.SEAT_STATES."""
    started: int
    """By time.monotonic_ns()."""
    ready: int
    """The same; 0 before the worker is ready."""
    order: int


class Ledger:
    """The master's part of the memory."""

    def __init__(self, memory: memoryview, where: Layout, *, inherited: bool) -> None:
        """`inherited`: the program before has left what is there, and this one goes on with it."""
        self._where = where
        self._memory = memory
        self._head = memory[: layout.ROW].cast("q")
        self._depth = 0
        head = self._head
        if not inherited:
            head[layout.HEAD_MAGIC] = layout.MAGIC
            head[layout.HEAD_ROWS] = where.rows
            head[layout.HEAD_STARTED_WALL] = time.time_ns()
            head[layout.HEAD_LAYOUT] = layout.LAYOUT
        head[layout.HEAD_SEQUENCE] += head[layout.HEAD_SEQUENCE] & 1

    def begin(self, pid: int, wanted: int, order_signal: int) -> None:
        """Write that this process serves, a generation after the program before it.

        `order_signal` tells of an order; 0 if none does.
        """
        head = self._head
        with self.writing():
            head[layout.HEAD_PID] = pid
            head[layout.HEAD_GENERATION] += 1
            head[layout.HEAD_PROGRAM_WALL] = time.time_ns()
            head[layout.HEAD_STATE] = layout.STARTING
            head[layout.HEAD_WANTED] = wanted
            head[layout.HEAD_ORDER_SIGNAL] = order_signal
            self.answer(layout.BUSY)  # to an order for the program before
            first = head[layout.HEAD_GENERATION] == 1
            self.note("started" if first else "replaced", pid=pid)
            self.beat()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Have readers take what is written in the block as a whole."""
        head = self._head
        self._depth += 1
        head[layout.HEAD_SEQUENCE] |= 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                head[layout.HEAD_SEQUENCE] += 1

    def let_go(self) -> None:
        """Hold the memory no longer."""
        self._head.release()

    # ------------------------------------------------------------------ the master's words

    def beat(self) -> None:
        """Show a sign of life."""
        self._head[layout.HEAD_BEAT] = time.monotonic_ns()

    def show(self, state: int, wanted: int) -> None:
        """Write the state of the master and the number of workers, where they have changed."""
        head = self._head
        if head[layout.HEAD_STATE] != state or head[layout.HEAD_WANTED] != wanted:
            with self.writing():
                head[layout.HEAD_STATE], head[layout.HEAD_WANTED] = state, wanted

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Write what the server says of itself. Of too many settings the longest are left out."""
        facts = {**facts, "settings": {**facts.get("settings", {})}}
        data = json.dumps(facts).encode()
        while len(data) > self._where.longest_facts and facts["settings"]:
            longest = max(facts["settings"], key=lambda name: len(str(facts["settings"][name])))
            del facts["settings"][longest]
            data = json.dumps(facts).encode()
        if len(data) > self._where.longest_facts:
            data = b"{}"
        with self.writing():
            self._memory[self._where.facts : self._where.facts + len(data)] = data
            self._head[layout.HEAD_FACTS] = len(data)

    def count(self, total: int, more: int = 1) -> None:
        """Add to one of the master's own counters."""
        with self.writing():
            self._head[total] += more

    def reload_ended(self, result: int) -> None:
        """Write how the last reload went: layout.RELOADED or layout.NOT_RELOADED."""
        done = result == layout.RELOADED
        with self.writing():
            self._head[layout.HEAD_RELOADED_WALL] = time.time_ns()
            self._head[layout.HEAD_RELOAD_RESULT] = result
            self.count(layout.TOTAL_RELOADED if done else layout.TOTAL_NOT_RELOADED)

    # ------------------------------------------------------------------ seats, and the dead

    def seat(self, row: int, seat: Seat) -> None:
        """Write who has a row."""
        words = self._seat(row)
        with self.writing():
            for index, word in enumerate(seat):
                words[index] = word
        words.release()

    def bury(self, row: Numbered) -> None:
        """Add a row's counters to those of the dead, and free its seat.

        Within `writing`, and the row is cleared before it ends.
        """
        head = self._head
        for index, word in enumerate(row.counters(numbers.NUMBERS)):
            if word:
                head[layout.DEAD + index] = min(head[layout.DEAD + index] + word, _MOST)
        words = self._seat(row.number)
        for index in range(layout.SEAT_WORDS):
            words[index] = 0
        words.release()

    def _seat(self, row: int) -> memoryview:
        begin = self._where.seats + row * 8 * layout.SEAT_WORDS
        return self._memory[begin : begin + 8 * layout.SEAT_WORDS].cast("q")

    # ------------------------------------------------------------------ the history

    def note(
        self, kind: str, text: str = "", *, place: int = 0, pid: int = 0, reason: str = ""
    ) -> None:
        """Write an event of the history; kinds and reasons are those of layout.py."""
        head = self._head
        number = head[layout.HEAD_EVENTS]
        begin = self._where.history + number % layout.EVENTS * layout.EVENT_BYTES
        most = layout.EVENT_BYTES - layout.EVENT_TEXT
        data = text.encode("utf-8", "replace")[:most]
        words = self._memory[begin : begin + layout.EVENT_TEXT].cast("q")
        with self.writing():
            words[layout.EVENT_WALL] = time.time_ns()
            words[layout.EVENT_KIND] = layout.EVENT_KINDS.index(kind)
            words[layout.EVENT_PLACE] = place
            words[layout.EVENT_PID] = pid
            words[layout.EVENT_REASON] = ("", *layout.EXIT_REASONS).index(reason)
            words[layout.EVENT_LENGTH] = len(data)
            self._memory[begin + layout.EVENT_TEXT : begin + layout.EVENT_TEXT + len(data)] = data
            head[layout.HEAD_EVENTS] = number + 1
        words.release()

    # ------------------------------------------------------------------ orders

    def order(self) -> tuple[int, int] | None:
        """Return the verb and the argument of an order that waits; None if none does."""
        head = self._head
        if head[layout.ORDER_NUMBER] == head[layout.ORDER_DONE]:
            return None
        return head[layout.ORDER_VERB], head[layout.ORDER_ARGUMENT]

    def answer(self, result: int) -> None:
        """Write what becomes of the order that waited."""
        head = self._head
        head[layout.ORDER_RESULT] = result
        head[layout.ORDER_DONE] = head[layout.ORDER_NUMBER]
