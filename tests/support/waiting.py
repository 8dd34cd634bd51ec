"""Waiting for a fact, with a deadline: what the tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(fact: Callable[[], T], what: str = "", timeout: float = 15) -> T:
    """Asks `fact` until it answers something true and returns that; fails after `timeout` seconds.

    A fact that is not there yet may return a false value or raise AssertionError or OSError.
    """
    deadline = time.monotonic() + timeout
    while True:
        trouble: Exception | None = None
        try:
            answer = fact()
        except (AssertionError, OSError) as exc:
            trouble = exc
        else:
            if answer:
                return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or fact}") from trouble
        time.sleep(0.01)
