"""What one worker counts: answers by status and duration, bytes, refusals, clients that left.

What lives here: counting in lists of the process, and what of it is published. What must not: where
it is published (the slot of the worker), when (its tick), gauges that only a kind of worker knows
(they are handed in).

HOT PATH: `Tally.observer` returns a function that is called for each answer. `list[i] += n` loses
nothing where several threads do it, as long as `i` is at hand before: CPython gives the interpreter
away between a load and a store only where a call or a jump back is in between.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, Protocol

from bare_serve.counts import numbers
from bare_serve.counts.numbers import BOUNDS, CLASSES, LEFT, OTHER, WEBSOCKET, WIDTH

_CLIENT_LEFT: Final = 499
_SLOT_OF_REFUSAL: Final = {
    status: numbers.REFUSED + index for index, status in enumerate(numbers.REFUSALS)
}
_OTHER_REFUSALS: Final = numbers.REFUSED + len(numbers.REFUSALS)


def _bases() -> list[int]:
    """Return for each status where its class begins; close codes of WebSockets follow."""
    found = [OTHER] * 100
    found += [status // 100 for status in range(100, 600)]
    found += [OTHER] * 400
    found += [WEBSOCKET] * 4000
    found[_CLIENT_LEFT] = LEFT
    return [WIDTH * each for each in found]


class Noted(Protocol):
    """What connections tell beside answers; never on the hot path."""

    def refused(self, status: int) -> None:
        """Count a request that the server has refused by itself."""

    def client_left(self) -> None:
        """Count a client that left before its answer was complete."""

    def websocket_closed(self, session: WebSocketCounts) -> None:
        """Add what was sent and received on a WebSocket that has closed."""


class Observer(Protocol):
    """An `OnAnswered`, which this floor does not know."""

    def __call__(
        self, client: str, head: Any, answer: Any, seconds: float, note: str = "", /
    ) -> None:
        """Count an answer."""


class WebSocketCounts(Protocol):
    """The counters of one WebSocket."""

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


class _Uncounted:
    """Counts nothing: `--no-counts`."""

    def refused(self, status: int) -> None:
        """See `Noted`."""

    def client_left(self) -> None:
        """See `Noted`."""

    def websocket_closed(self, session: WebSocketCounts) -> None:
        """See `Noted`."""


UNCOUNTED: Final[Noted] = _Uncounted()


class Tally:
    """The counters of one worker. A reader sees them once they are published."""

    def __init__(self) -> None:
        self._numbers = [0] * numbers.NUMBERS
        self._seconds = [0.0] * (len(CLASSES) * WIDTH)  # by where a class begins
        now = time.monotonic()
        none = [0] * numbers.WINDOW_WORDS
        self._windows = array("q", [*none, int(now * 1e9), *none[1:]])
        self._window_ends = now + numbers.WINDOW_SECONDS

    # ------------------------------------------------------------------ counting

    def observer(self, then: Observer | None = None) -> Observer:
        """Return what is told of each answer, an `OnAnswered`, and tells `then` after it."""
        counted, sums, bases = self._numbers, self._seconds, _bases()
        bisect, bounds, first = bisect_left, BOUNDS, BOUNDS[0]
        sent, received = numbers.BYTES_OUT, numbers.BYTES_IN

        def count(client: str, head: Any, answer: Any, seconds: float, note: str = "", /) -> None:
            base = bases[answer.status]
            if seconds <= first:  # most are, and a call is saved
                counted[base] += 1
            else:
                place = base + bisect(bounds, seconds)
                counted[place] += 1
            sums[base] += seconds
            size = answer.bytes_sent
            counted[sent] += size
            if head.has_body:
                size = answer.take_body_received()
                counted[received] += size
            if then is not None:
                then(client, head, answer, seconds, note)

        return count

    def refused(self, status: int) -> None:
        """See `Noted`."""
        self._numbers[_SLOT_OF_REFUSAL.get(status, _OTHER_REFUSALS)] += 1

    def client_left(self) -> None:
        """See `Noted`."""
        self._numbers[numbers.DISCONNECTS] += 1

    def websocket_closed(self, session: WebSocketCounts) -> None:
        """See `Noted`."""
        _add_websocket(self._numbers, session)

    def loop_was_blocked(self, seconds: float) -> None:
        """Count a callback that held the event loop for so long."""
        self._numbers[numbers.BLOCKED] += 1
        self._numbers[numbers.BLOCKED_NANOSECONDS] += int(seconds * 1e9)

    # ------------------------------------------------------------------ publishing

    def published(
        self, requests: int, log_dropped: int, open_websockets: Sequence[WebSocketCounts] = ()
    ) -> array[int]:
        """Return the words of the counters as they are now; numbers.py has their names.

        What open WebSockets have sent and received is added.
        """
        words = self._numbers[:]
        for base in range(0, len(CLASSES) * WIDTH, WIDTH):
            words[base + numbers.SUM] = int(self._seconds[base] * 1e9)
        for session in open_websockets:
            _add_websocket(words, session)
        words[numbers.REQUESTS] = requests
        words[numbers.LOG_DROPPED] = log_dropped
        words[numbers.CPU_NANOSECONDS] = time.process_time_ns()
        return array("q", words)

    def windows(self, words: Sequence[int], now: float) -> array[int]:
        """Return the words of the two windows: a new one is begun where it is time.

        `words` are those that are published, `now` the time by time.monotonic().
        """
        if now >= self._window_ends:
            self._window_ends = now + numbers.WINDOW_SECONDS
            buckets = [0] * numbers.BUCKETS
            for index in range(len(CLASSES)):
                if index != WEBSOCKET:
                    first = index * WIDTH
                    for bucket in range(numbers.BUCKETS):
                        buckets[bucket] += words[first + bucket]
            begun = [int(now * 1e9), words[numbers.CPU_NANOSECONDS], words[numbers.REQUESTS]]
            window = array("q", [*begun, *buckets])
            window.extend([0] * (numbers.WINDOW_WORDS - len(window)))
            self._windows = self._windows[numbers.WINDOW_WORDS :] + window
        return self._windows


def _add_websocket(words: list[int], session: WebSocketCounts) -> None:
    words[numbers.MESSAGES_IN] += session.messages_in
    words[numbers.MESSAGES_OUT] += session.messages_out
    words[numbers.WEBSOCKET_BYTES_IN] += session.bytes_in
    words[numbers.WEBSOCKET_BYTES_OUT] += session.bytes_out
