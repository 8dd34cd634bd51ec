"""A scenario as rows of text, for the terminal and for the report alike.

Only words and numbers: how they are laid out is the business of live.py and report.py. A dagger
marks figures where wrk was the limit and a star rounds that something else on the machine
disturbed; `notes` explains what was marked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.measure import DISTURBED
from benchmarks.results import MEASURES, Record, Row, number
from benchmarks.stats import Spread
from benchmarks.wrk import LIMIT

BOUND, NOISY = "†", "*"
STATES = {
    "missing": "not installed",
    "failed": "did not work",
    "wrong": "wrong answer",
    "lacks": "does not offer it",
    "not there yet": "not there yet",
}


def grouped(record: Record) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows by interface, ours first, then by speed."""
    for interface in ("wsgi", "asgi", "file"):
        rows = [row for row in record.rows if row.interface == interface]
        if rows:
            measure = record.headline or "rate"
            yield interface.upper(), sorted(rows, key=lambda row: _rank(row, measure))


def _rank(row: Row, measure: str) -> tuple[bool, float]:
    found = row.spread(measure)
    sign = -1 if MEASURES[measure].more_is_better else 1
    return row.peer != "bare-serve", sign * found.median if found else math.inf


def headers(record: Record) -> list[str]:
    if record.columns:
        kinds = [MEASURES[key] for key in record.columns]
        return ["server", *(f"{kind.title} {kind.unit}".rstrip() for kind in kinds), "ours x"]
    rate = "MiB/s" if record.megabytes else "requests/s"
    names = ["server", rate, "min - max", "p50 ms", "p99 ms", "p99.9 ms", "CPU us/req", "ours x"]
    if record.key.startswith("mixed"):
        names[6] = "slow/s"
    return names


def cells(record: Record, row: Row) -> list[str]:
    """One row; a server that was not measured says why in place of its figures."""
    if row.state != "measured":
        return [row.label, f"{STATES.get(row.state, row.state)}: {row.note}".rstrip(": ")]
    if not row.rounds:
        return [row.label, "..."]
    if record.columns:
        middle = [_median(row.spread(key)) for key in record.columns]
        return [row.label, *middle, _ratio(record, row)]
    scale = record.megabytes or 1.0
    rate = row.spread("rate")
    if rate is None:
        return [row.label, "..."]
    mark = (BOUND if row.load_bound else "") + (NOISY if disturbed(row) else "")
    if record.key.startswith("mixed"):
        last = _median(row.spread("slow"))
    else:
        last = _median(row.spread("cpu"))
    return [
        row.label,
        number(rate.median * scale) + mark,
        f"{number(rate.low * scale)} - {number(rate.high * scale)}",
        *(_median(row.spread(key)) for key in ("p50", "p99", "p99.9")),
        last,
        _ratio(record, row),
    ]


def _median(found: Spread | None) -> str:
    return number(found.median) if found else "-"


def _ratio(record: Record, row: Row) -> str:
    """How many times better ours is than this row; by CPU per request where it must be."""
    ours = record.row(f"bare-serve:{row.interface}")
    if ours is None or ours is row or ours.state != "measured" or not ours.rounds:
        return "" if ours is row else "-"
    found = record.main_ratio(ours, row)
    if found is None:
        return "-"
    measure, ratio = found
    return f"{ratio.median:.2f}" + (" (CPU)" if measure == "cpu" else "")


def disturbed(row: Row) -> int:
    """How many rounds had the machine busy with something else."""
    return sum(found.get("foreign", 0.0) > DISTURBED for found in row.rounds)


def notes(record: Record) -> list[str]:
    """Return what a reader must know of this table."""
    found = []
    if record.shared_cores and not record.columns:
        found.append(
            "Server and wrk shared the cores, so requests/s and latencies are not compared."
        )
    bound = [row.label for row in record.rows if row.load_bound]
    if bound:
        found.append(
            f"{BOUND} wrk used over {LIMIT:.0%} of its core ({', '.join(bound)}): the true rate is"
            " higher, and CPU per request is compared instead."
        )
    noisy = sum(disturbed(row) for row in record.rows)
    if noisy:
        found.append(
            f"{NOISY} in {noisy} measurements other programs used over {DISTURBED:.0%} of the"
            " machine; run again on a quiet one before relying on these."
        )
    for row in record.rows:
        if row.errors:
            kinds: dict[str, int] = {}
            for each in row.rounds:
                for kind, count in (each.get("errors") or {}).items():
                    kinds[kind] = kinds.get(kind, 0) + count
            said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            words = f" {row.note[0].upper()}{row.note[1:]}" if row.note else ""
            found.append(f"Errors: {row.label} ({row.interface.upper()}): {said}.{words}")
    return found
