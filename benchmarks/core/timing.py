"""Times a callable: microseconds a call, the best and the median of several repeats.

The callable does one operation; the loop around it is timed empty and taken off. The best repeat is
the figure to compare: whatever else the machine does can only make it slower.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds a call."""

    best: float
    median: float


def _loop(operation: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in repeat(None, count):
        operation()
    return time.perf_counter() - started


def _nothing() -> None:
    return None


def time_it(operation: Callable[[], object], seconds: float = 0.05, repeats: int = 7) -> Timing:
    count = 1
    while (took := _loop(operation, count)) < seconds / 5:
        count *= 2 if took > seconds / 50 else 10
    count = max(1, round(count * seconds / took))
    collected = gc.isenabled()
    gc.disable()
    try:
        empty = min(_loop(_nothing, count) for _ in range(3))
        found = [max(0.0, _loop(operation, count) - empty) / count * 1e6 for _ in range(repeats)]
    finally:
        if collected:
            gc.enable()
    return Timing(min(found), statistics.median(found))
