"""Two runs side by side: what got slower, what got faster, whether the ranking held.

A change counts when the ranges of the two runs do not touch and the medians differ by more than
the threshold. The peers' versions being the same, their own change shows how far the machine
drifted between the runs; it is told beside each figure of ours, not subtracted.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.results import MEASURES, Record, Report, Row, number
from benchmarks.stats import paired_ratio, verdict
from benchmarks.verdicts import measured, ranking, ranking_measure

THRESHOLD = 0.03
CLEAR = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    record: Record
    row: Row
    measure: str
    old: float
    new: float
    gain: float  # above 1: better now
    certain: bool

    @property
    def slower(self) -> bool:
        return self.certain and self.gain < 1

    def text(self) -> str:
        kind = MEASURES[self.measure]
        where = f"{self.record.title} ({self.row.interface.upper()})"
        word = "worse" if self.gain < 1 else "better"
        factor = max(self.gain, 1 / self.gain)
        return (
            f"{where}: {self.row.label}: {kind.title} {number(self.old)} -> {number(self.new)}"
            f" {kind.unit}".rstrip()
            + f", {factor:.2f} times {word}"
        )


def changes(old: Report, new: Report, threshold: float = THRESHOLD) -> list[Change]:
    found: list[Change] = []
    for after in new.records:
        before = old.record(after.key)
        if before is not None:
            for row in after.rows:
                found.extend(_row_changes(before, after, row, threshold))
    return found


def _row_changes(before: Record, after: Record, row: Row, threshold: float) -> Iterator[Change]:
    earlier = before.row(row.key)
    if earlier is None or not measured(earlier) or not measured(row):
        return
    for measure in after.judged:
        kind = MEASURES[measure]
        if kind.by_load and not (
            after.comparable(measure, row, row) and before.comparable(measure, earlier, earlier)
        ):
            continue
        then, now = earlier.spread(measure), row.spread(measure)
        if then is None or now is None or not then.median or not now.median:
            continue
        ratio = now.median / then.median
        gain = ratio if kind.more_is_better else 1 / ratio
        certain = abs(gain - 1) > threshold and not then.overlaps(now)
        yield Change(after, row, measure, then.median, now.median, gain, certain)


def drift(found: list[Change]) -> float | None:
    """Return the median gain of the peers, whose versions did not change: the machine's own."""
    gains = [change.gain for change in found if change.row.peer != "bare-serve"]
    return statistics.median(gains) if gains else None


def reordered(old: Report, new: Report) -> list[str]:
    """Pairs of servers that changed places, and whether that is within the noise."""
    found = []
    for after in new.records:
        before = old.record(after.key)
        if before is None:
            continue
        measure = ranking_measure(after)
        for interface in ("wsgi", "asgi"):
            now = [row.key for row in ranking(after, interface, measure)]
            then = [row.key for row in ranking(before, interface, measure) if row.key in now]
            now = [key for key in now if key in then]
            for i, first in enumerate(then):
                for second in then[i + 1 :]:
                    if now.index(second) < now.index(first):
                        swap = _swap(before, after, first, second, measure)
                        found.append(swap)
    return found


def _swap(before: Record, after: Record, first: str, second: str, measure: str) -> str:
    noise = any(_touching(record, first, second, measure) for record in (before, after))
    said = "within the noise" if noise else "beyond the noise"
    return f"{after.title}: {second} is now before {first} ({MEASURES[measure].title}; {said})"


def _touching(record: Record, first: str, second: str, measure: str) -> bool:
    rows = (record.row(first), record.row(second))
    spreads = [row.spread(measure) for row in rows if row is not None]
    return all(spreads) and spreads[0].overlaps(spreads[1])  # type: ignore[union-attr, arg-type]


def agreement(one: Report, other: Report) -> tuple[list[str], bool]:
    """Scenario by scenario, whether servers that both runs separate clearly stand in one order.

    Separated: all rounds say the same, by more than CLEAR; that is not for pairs which are level.
    """
    out, alike = [], True
    for record in other.records:
        before = one.record(record.key)
        if before is None or "measured" not in (before.state, record.state):
            continue
        clear, swapped = 0, []
        measure = _common_measure(before, record)
        for first, second in _pairs(before, record):
            then, now = (_order(each, first, second, measure) for each in (before, record))
            clear += "level" not in (then, now)
            if {then, now} == {"ahead", "behind"}:
                swapped.append(f"{first} and {second}")
        alike = alike and not swapped
        said = f"another ranking: {'; '.join(swapped)}" if swapped else "the same ranking"
        out.append(f"{record.title}: {said} ({MEASURES[measure].title}, {clear} clear pairs)")
    out.append("The runs agree." if alike else "The runs do not agree.")
    return out, alike


def _common_measure(one: Record, other: Record) -> str:
    found = {ranking_measure(one), ranking_measure(other)}
    return "cpu" if "cpu" in found else found.pop()


def _pairs(one: Record, other: Record) -> Iterator[tuple[str, str]]:
    rows = [row for row in other.rows if measured(row) and measured(one.row(row.key))]
    for i, first in enumerate(rows):
        for second in rows[i + 1 :]:
            if first.interface == second.interface:
                yield first.key, second.key


def _order(record: Record, first: str, second: str, measure: str) -> str:
    rows = record.row(first), record.row(second)
    assert rows[0] is not None
    assert rows[1] is not None
    mine, theirs = rows[0].series(measure), rows[1].series(measure)
    more = MEASURES[measure].more_is_better
    ratio = paired_ratio(mine, theirs) if more else paired_ratio(theirs, mine)
    return verdict(ratio, CLEAR) if ratio else "level"


def lines(old: Report, new: Report, threshold: float = THRESHOLD) -> list[str]:
    """Return the whole comparison for people."""
    found = changes(old, new, threshold)
    out = [f"{old.date} -> {new.date}: {len(found)} figures in both runs"]
    if old.machine != new.machine:
        out.append("The machines differ; take the figures with care.")
    for name, version in new.versions.items():
        if old.versions.get(name) not in (None, version):
            out.append(f"{name}: {old.versions[name]} -> {version}")
    moved = drift(found)
    if moved is not None:
        out.append(f"The peers themselves moved by {(moved - 1) * 100:+.1f} % (the machine).")
    for title, chosen in (
        ("Slower", [change for change in found if change.slower]),
        ("Faster", [change for change in found if change.certain and change.gain > 1]),
    ):
        for ours in (True, False):
            who = "bare-serve" if ours else "peers"
            some = [c for c in chosen if (c.row.peer == "bare-serve") is ours]
            if some or ours:
                out.append(f"{title}, {who}:" if some else f"{title}, {who}: nothing")
            out.extend(f"  {c.text()}" for c in sorted(some, key=lambda c: c.gain))
    swaps = reordered(old, new)
    out.append("Ranking:" if swaps else "Ranking: the same")
    out.extend(f"  {swap}" for swap in swaps)
    return out
