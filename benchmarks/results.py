"""A run's record: what is written as JSON, read back, and asked for figures.

One `Row` is a server in a scenario with its rounds as plain dictionaries (a Sample or a Weight), so
old files stay readable. `MEASURES` says for each figure where it is found and whether more is
better; ratios are always turned so that above 1 is good for the first one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stats import Spread, paired_ratio, spread
from benchmarks.wrk import LIMIT

SCHEMA = 1
Round = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    key: str
    title: str
    unit: str
    more_is_better: bool
    find: Callable[[Round], float | None]
    by_load: bool = False  # says nothing when the load generator was the limit

    def text(self, value: float) -> str:
        return f"{number(value)} {self.unit}".rstrip()


def _percentile(point: str) -> Callable[[Round], float | None]:
    return lambda found: (found.get("latency") or {}).get(point)


def _cpu(found: Round) -> float | None:
    return found["user_us"] + found["system_us"] if found.get("requests") else None


def _quotient(one: str, other: str) -> Callable[[Round], float | None]:
    return lambda found: found[one] / found[other] if found.get(other) else None


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure("rate", "requests/s", "requests/s", True, lambda r: r.get("rate"), by_load=True),
        Measure("cpu", "CPU per request", "us", False, _cpu),
        Measure("p50", "p50", "ms", False, _percentile("50"), by_load=True),
        Measure("p99", "p99", "ms", False, _percentile("99"), by_load=True),
        Measure("p99.9", "p99.9", "ms", False, _percentile("99.9"), by_load=True),
        Measure("slow", "slow/s", "requests/s", True, lambda r: r.get("second_rate")),
        Measure("startup", "start-up", "ms", False, lambda r: r.get("startup_ms")),
        Measure("idle", "memory idle", "MiB", False, lambda r: r.get("idle_mib")),
        Measure("loaded", "memory after load", "MiB", False, lambda r: r.get("loaded_mib")),
        Measure("worker", "the worker alone", "MiB", False, lambda r: r.get("worker_mib")),
        Measure("held", "held", "", True, lambda r: r.get("held")),
        Measure("per_mib", "held per MiB", "", True, lambda r: r.get("per_mib")),
        Measure("one", "with 1", "us", False, lambda r: r.get("one_us")),
        Measure("few", "with 64", "us", False, lambda r: r.get("few_us")),
        Measure("many", "with 5,000", "us", False, lambda r: r.get("many_us")),
        Measure("growth", "5,000 / 64", "", False, _quotient("many_us", "few_us")),
        Measure("growth1", "5,000 / 1", "", False, _quotient("many_us", "one_us")),
        Measure("handshake", "CPU per handshake", "us", False, lambda r: r.get("handshake_us")),
        Measure("full", "memory with all open", "MiB", False, lambda r: r.get("full_mib")),
        Measure("each", "added by each", "KiB", False, lambda r: r.get("each_kib")),
        Measure("reach", "one event to all", "ms", False, lambda r: r.get("reach_ms")),
        Measure("reach_cpu", "CPU per event sent", "us", False, lambda r: r.get("reach_us")),
        Measure("alone", "without them", "ms", False, lambda r: r.get("alone_ms")),
        Measure("beside", "beside them", "ms", False, lambda r: r.get("beside_ms")),
        Measure("stall", "times as long", "", False, lambda r: r.get("stall")),
        Measure("busiest", "busiest / mean", "", False, lambda r: r.get("busiest")),
        Measure("used", "workers that answered", "", True, lambda r: r.get("workers_used")),
        Measure("first", "after 100,000", "MiB", False, lambda r: r.get("first_mib")),
        Measure("last", "at the end", "MiB", False, lambda r: r.get("last_mib")),
        Measure("grown", "grown by", "MiB", False, lambda r: r.get("grown_mib")),
        Measure("worst", "worst wait", "ms", False, lambda r: r.get("worst_ms")),
        Measure("wait99", "p99 wait", "ms", False, lambda r: r.get("wait99_ms")),
        Measure("calm", "worst before", "ms", False, lambda r: r.get("calm_ms")),
        Measure("sent", "attack", "MB/s", True, lambda r: r.get("sent_mbs")),
        Measure("ended", "cut off", "times", True, lambda r: r.get("ended")),
        Measure("done", "requests", "", True, lambda r: r.get("requests_done")),
    )
}


def number(value: float) -> str:
    """Three figures that matter, thousands apart: 92,100  13.6  0.482."""
    if value >= 1000:
        return f"{round(value, -int(len(str(int(value))) - 3)):,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


@dataclass(slots=True)
class Row:
    """A server in a scenario. `state`: measured, missing, failed, wrong, lacks or not there yet.

    A `variant` stands beside the default row of its server; it is shown and can be aimed at, but no
    verdict is about it.
    """

    key: str
    label: str
    interface: str
    peer: str
    state: str = "measured"
    note: str = ""
    rounds: list[Round] = field(default_factory=list)
    variant: str = ""

    def series(self, measure: str) -> list[float | None]:
        return [MEASURES[measure].find(found) for found in self.rounds]

    def spread(self, measure: str) -> Spread | None:
        return spread([value for value in self.series(measure) if value is not None])

    @property
    def load_bound(self) -> bool:
        shares = [found.get("load_cpu", 0.0) for found in self.rounds]
        middle = spread(shares)
        return middle is not None and middle.median > LIMIT

    @property
    def errors(self) -> int:
        return sum(sum((found.get("errors") or {}).values()) for found in self.rounds)


@dataclass(slots=True)
class Record:
    """A scenario with its rows. A probe names its `columns`, and what its servers are ranked by."""

    key: str
    title: str
    judged: list[str]
    state: str = "measured"  # or: not there yet, failed
    note: str = ""
    shared_cores: bool = False
    megabytes: float = 0.0
    columns: list[str] = field(default_factory=list)
    headline: str = ""
    section: str = ""
    rows: list[Row] = field(default_factory=list)

    def row(self, key: str) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)

    def comparable(self, measure: str, ours: Row, theirs: Row) -> bool:
        """Requests/s and latencies count only where the server, not the load, was the limit."""
        if not MEASURES[measure].by_load:
            return True
        return not (self.shared_cores or ours.load_bound or theirs.load_bound)

    def ratio(self, measure: str, ours: Row, theirs: Row) -> Spread | None:
        """Above 1: `ours` is better. Paired by round."""
        if not self.comparable(measure, ours, theirs):
            return None
        mine, other = ours.series(measure), theirs.series(measure)
        if MEASURES[measure].more_is_better:
            return paired_ratio(mine, other)
        return paired_ratio(other, mine)

    def main_ratio(self, ours: Row, theirs: Row) -> tuple[str, Spread] | None:
        """By requests/s where that may be compared, else by CPU per request; a probe by its own."""
        for measure in (self.headline,) if self.headline else ("rate", "cpu"):
            found = self.ratio(measure, ours, theirs) if measure in self.judged else None
            if found is not None:
                return measure, found
        return None


@dataclass(slots=True)
class Report:
    """A whole run."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    commands: dict[str, str] = field(default_factory=dict)  # server -> how it was started
    missing: dict[str, str] = field(default_factory=dict)  # peer -> why
    records: list[Record] = field(default_factory=list)
    complete: bool = True
    schema: int = SCHEMA

    def record(self, key: str) -> Record | None:
        return next((record for record in self.records if record.key == key), None)

    def save(self, path: Path) -> None:
        """Whole or not at all: a run that is killed leaves what it saved before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".part")
        fresh.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n")
        fresh.replace(path)


def _rounded(value: Any) -> Any:
    """Six figures are more than anybody can measure."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value


class UnreadableReport(Exception):
    """Not a report of ours."""


def load(path: Path) -> Report:
    try:
        found = json.loads(path.read_text())
        if found["schema"] != SCHEMA:
            raise UnreadableReport(f"{path}: schema {found['schema']} instead of {SCHEMA}")
        records = [
            Record(**{**record, "rows": [Row(**row) for row in record["rows"]]})
            for record in found.pop("records")
        ]
        return Report(**found, records=records)
    except OSError as error:
        raise UnreadableReport(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableReport(f"{path} is not a benchmark report: {error}") from error
