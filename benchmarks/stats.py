"""Medians, ranges and ratios: the only arithmetic the reports do.

Pure functions over numbers. A ratio of two servers is taken round by round (both were measured
seconds apart in one round, so drift of the machine hits both) and only then reduced to its median.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the range it came from."""

    median: float
    low: float
    high: float
    count: int

    def overlaps(self, other: Spread) -> bool:
        return self.low <= other.high and other.low <= self.high


def spread(values: Sequence[float]) -> Spread | None:
    """None when nothing was measured, so that no reader mistakes it for a zero."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired_ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Spread | None:
    """ours / theirs, one ratio a round; rounds without a figure on either side are left out."""
    ratios = [
        mine / other
        for mine, other in zip(ours, theirs, strict=False)
        if mine is not None and other is not None and mine > 0 and other > 0
    ]
    return spread(ratios)


def verdict(ratio: Spread, margin: float = 0.02) -> str:
    """Return what a ratio (above 1 is good) lets us say: 'ahead', 'behind' or 'level'.

    Level: within the margin, or the rounds do not agree on who is ahead.
    """
    if abs(ratio.median - 1) <= margin:
        return "level"
    if ratio.low > 1:
        return "ahead"
    if ratio.high < 1:
        return "behind"
    return "level"
