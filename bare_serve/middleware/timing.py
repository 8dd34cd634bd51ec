"""How long the application took, told to the client, and to the log where that is too long.

`Server-Timing` (W3C) says the time up to the head of the answer, since a head cannot say more; what
browsers show beside it. The time up to the last byte is what `slow` is about.
"""

from __future__ import annotations

import logging
import re
from time import perf_counter

from bare_serve.middleware.policy import Exchange, Head, Headers, Outcome
from bare_serve.middleware.values import Seconds, described

logger = logging.getLogger("bare_serve.middleware.timing")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class Timing:
    """`timing`: says in Server-Timing how long a request took."""

    def __init__(self, name: str = "app", slow: Seconds = 0.0) -> None:
        """Say what is told.

        Args:
            name: the name of the metric.
            slow: requests that take longer than so many seconds, up to their last byte, are logged
                as warnings; 0 for none.

        Raises:
            ValueError: `name` is no token.
        """
        if not _NAME(name):
            raise ValueError(f"name: {name!r} is no token of HTTP")
        self._name = name
        self._slow = slow

    def begin(self, request: Head) -> Exchange:
        """Look at the clock."""
        if self._slow:
            return _Watched(self._name, self._slow, described(request))
        return _Timed(self._name)


class _Timed(Exchange):
    __slots__ = ("_begun", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = perf_counter()

    def start(self, status: int, headers: Headers) -> None:
        taken = (perf_counter() - self._begun) * 1000
        headers.add("Server-Timing", f"{self._name};dur={taken:.2f}")


class _Watched(_Timed):
    __slots__ = ("_slow", "_what")

    def __init__(self, name: str, slow: float, what: str) -> None:
        super().__init__(name)
        self._slow = slow
        self._what = what

    def end(self, outcome: Outcome) -> None:
        if outcome.seconds > self._slow:
            logger.warning("%s: took %.2f s.", self._what, outcome.seconds)
