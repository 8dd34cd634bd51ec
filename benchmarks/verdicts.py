"""Who is ahead, in plain words: losses of bare-serve, rankings, the table at a glance.

A loss needs all rounds to agree (stats.verdict); a scenario judges only the measures it names. The
default configuration of bare-serve stands for it; its other configurations are shown, not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.results import MEASURES, Record, Report, Row
from benchmarks.stats import Spread, verdict

_SENTENCES = {
    "rate": "{peer} answers {times} times as many requests per second, {theirs} against {ours}",
    "cpu": "{peer} needs less CPU, {theirs} per request against {ours} ({times} times less)",
    "p99": "{peer} has the shorter p99, {theirs} against {ours} ({times} times)",
    "slow": "{peer} answers {times} times as many slow requests, {theirs} against {ours}",
    "startup": "{peer} starts {times} times sooner, in {theirs} against {ours}",
    "idle": "{peer} takes less memory when idle, {theirs} against {ours} ({times} times)",
    "loaded": "{peer} takes less memory after load, {theirs} against {ours} ({times} times)",
    "per_mib": "{peer} holds {times} times as many connections in a MiB, {theirs} against {ours}",
}


@dataclass(frozen=True, slots=True)
class Loss:
    record: Record
    interface: str
    sentence: str


def measured(row: Row | None) -> bool:
    return row is not None and row.state == "measured" and bool(row.rounds)


def ours_of(record: Record, interface: str) -> Row | None:
    """Return the default configuration of bare-serve, if it was measured."""
    row = record.row(f"bare-serve:{interface}")
    return row if measured(row) else None


def opponents(record: Record, interface: str) -> list[Row]:
    """Return the peers' rows; a variant only where its server has no other row."""
    theirs = [row for row in record.rows if row.interface == interface and row.peer != "bare-serve"]
    plain = {row.peer for row in theirs if not row.variant}
    return [row for row in theirs if measured(row) and not (row.variant and row.peer in plain)]


def losses(report: Report) -> list[Loss]:
    found: list[Loss] = []
    for record in report.records:
        for interface in ("wsgi", "asgi"):
            sentences = [*_own_failures(record, interface), *_behind(record, interface)]
            found.extend(Loss(record, interface, sentence) for sentence in sentences)
    return found


def _own_failures(record: Record, interface: str) -> Iterator[str]:
    row = record.row(f"bare-serve:{interface}")
    if row is None or record.state != "measured":
        return
    if row.state in ("failed", "wrong"):
        yield f"bare-serve could not be measured: {row.note}"
    elif row.errors:
        yield f"bare-serve had {row.errors} errors under this load"


def _behind(record: Record, interface: str) -> Iterator[str]:
    ours = ours_of(record, interface)
    if ours is None:
        return
    for measure in record.judged:
        for peer in opponents(record, interface):
            ratio = record.ratio(measure, ours, peer)
            if ratio is not None and verdict(ratio) == "behind":
                yield _sentence(measure, ours, peer, ratio)


def _sentence(measure: str, ours: Row, peer: Row, ratio: Spread) -> str:
    mine, other = ours.spread(measure), peer.spread(measure)
    assert mine is not None
    assert other is not None
    text = MEASURES[measure].text
    plain = "{peer} is ahead in: " + MEASURES[measure].title + ", {theirs} against {ours}"
    return _SENTENCES.get(measure, plain + " ({times} times, paired by round)").format(
        peer=peer.label,
        times=f"{1 / ratio.median:.2f}",
        ours=text(mine.median),
        theirs=text(other.median),
    )


def ranking_measure(record: Record) -> str:
    """Requests/s unless the load was the limit for somebody; a probe by its own figure."""
    if record.headline:
        return record.headline
    if record.shared_cores or any(row.load_bound for row in record.rows if measured(row)):
        return "cpu"
    return "rate"


def ranking(record: Record, interface: str, measure: str) -> list[Row]:
    """Best first."""
    rows = [row for row in record.rows if row.interface == interface and row.spread(measure)]
    sign = -1 if MEASURES[measure].more_is_better else 1

    def place(row: Row) -> float:
        middle = row.spread(measure)
        return sign * middle.median if middle else 0.0

    return sorted(rows, key=place)


@dataclass(frozen=True, slots=True)
class Glance:
    """One line of the table at a glance: a ratio for each peer (above 1: bare-serve is better)."""

    record: Record
    interface: str
    ratios: dict[str, tuple[str, Spread]]  # label -> (measure, ratio)


def at_a_glance(report: Report) -> list[Glance]:
    lines = []
    for record in report.records:
        for interface in ("wsgi", "asgi"):
            ours = ours_of(record, interface)
            if ours is None:
                continue
            ratios = {}
            for peer in opponents(record, interface):
                found = record.main_ratio(ours, peer)
                if found is not None:
                    ratios[peer.label] = found
            if ratios:
                lines.append(Glance(record, interface, ratios))
    return lines
