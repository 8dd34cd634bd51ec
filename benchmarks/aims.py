"""What bare-serve sets out to reach, and whether a run shows it.

An aim names a scenario, a row of ours, a figure and a bound; `against` another row it is a ratio,
taken round by round, or (`difference`) what one row costs more than the other. An aim with several
measures holds where one of them does. Where wrk was the limit for ours alone, requests/s are a
lower bound, so they may show that an aim holds but not that it is missed. PAIRED are the aims of
`pair`, which compares two checkouts and no servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.results import MEASURES, Record, Report, Row, number
from benchmarks.scenarios import OTHER_PYTHONS
from benchmarks.servers import BY_KEY
from benchmarks.stats import Spread, paired_ratio, spread
from benchmarks.verdicts import measured

Outcome = Literal["holds", "missed", "not measured"]
SPEED = ("rate", "cpu")
WSGI, ASGI = "bare-serve:wsgi", "bare-serve:asgi"


@dataclass(frozen=True, slots=True)
class Aim:
    """`at_least` is of how many times better, `at_most` of the figure, ratio or difference."""

    scenario: str
    ours: str
    measures: tuple[str, ...]
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None
    difference: bool = False


def _times(scenario: str, ours: str, *bounds: tuple[str, float]) -> Iterator[Aim]:
    """As many times as fast, by requests/s or by CPU per request."""
    for against, bound in bounds:
        yield Aim(scenario, ours, SPEED, against, at_least=bound)


def _unharmed(attack: str, longest: float, *servers: str) -> Iterator[Aim]:
    """Another client's worst wait, in milliseconds, and what the server's memory grows by."""
    for ours in servers:
        scenario = f"hostile-{attack.replace(' ', '-')}"
        yield Aim(scenario, ours, ("worst",), at_most=longest)
        yield Aim(scenario, ours, ("grown",), at_most=8)


# At most so many times the CPU per request of the checkout before, by scenario and interface.
PAIRED: dict[tuple[str, str], float] = {
    ("connections", "wsgi"): 0.62,
    ("connections", "asgi"): 0.85,
}

AIMS: tuple[Aim, ...] = (
    *_times("path-varies", WSGI, ("granian:wsgi", 1.05)),
    *_times("path-varies", ASGI, ("granian:asgi", 1.1), ("uvicorn", 1.7)),
    *_times("all-varies", WSGI, ("granian:wsgi", 0.9)),
    *_times("all-varies", ASGI, ("granian:asgi", 1.0), ("uvicorn", 1.4)),
    *_times("hello", WSGI, ("granian:wsgi", 1.25), ("gunicorn-gthread", 10)),
    *(
        aim
        for version in OTHER_PYTHONS
        for aim in _times(f"hello-{version}", WSGI, ("granian:wsgi", 1.25))
    ),
    *_times("hello-browser", WSGI, ("granian:wsgi", 1.3)),
    Aim("hello", WSGI, ("cpu",), "bare-serve:wsgi:1-thread", at_most=1.05),
    *_times("mixed-sleep", WSGI, ("gunicorn-gthread", 9), ("granian:wsgi", 1.0)),
    Aim("mixed-sleep", WSGI, ("p99",), at_most=5),
    Aim("mixed-compute", WSGI, ("rate",), "granian:wsgi", at_least=4),
    Aim("mixed-compute", WSGI, ("rate",), at_least=24_000),
    Aim("mixed-compute", WSGI, ("p99",), at_most=15),
    Aim("mixed-compute", WSGI, ("slow",), f"{WSGI}:ungated", at_least=0.85),
    *_times("stream", WSGI, ("granian:wsgi", 1.8)),
    *_times("stream", ASGI, ("uvicorn", 2.5), ("granian:asgi", 2.5)),
    Aim("sendfile", WSGI, SPEED, "nginx", at_least=0.8),
    *_times("hello", ASGI, ("uvicorn", 1.8), ("granian:asgi", 1.45)),
    *_times("hello-browser", ASGI, ("uvicorn", 1.9), ("granian:asgi", 1.3)),
    *_times("fastapi", ASGI, ("uvicorn", 1.1)),
    *_times("pipelined", ASGI, ("uvicorn", 2)),
    *_times("upload", ASGI, ("uvicorn", 1.2)),
    *_times("download", ASGI, ("uvicorn", 1.2)),
    Aim("sendfile", ASGI, SPEED, "nginx", at_least=0.8),
    Aim("events", ASGI, ("full",), "uvicorn", at_most=0.7),
    Aim("events", ASGI, ("each",), "uvicorn", at_most=0.7),
    Aim("events", ASGI, ("reach",), "uvicorn", at_most=0.8),
    *_times("websocket-64", ASGI, ("uvicorn", 1.15), ("uvicorn:wsproto", 1.8)),
    *_times("websocket-16k", ASGI, ("uvicorn", 1.1)),
    Aim("idle-sockets", ASGI, ("full",), "uvicorn", at_most=0.6),
    Aim("idle-sockets", ASGI, ("each",), "uvicorn", at_most=0.6),
    Aim("broadcast", ASGI, ("stall",), at_most=2),
    *_times("tls", WSGI, ("uvicorn", 1.3)),
    *_times("tls", ASGI, ("uvicorn", 1.3)),
    Aim("handshakes", WSGI, ("handshake",), "uvicorn", at_least=1.0),
    Aim("handshakes", ASGI, ("handshake",), "uvicorn", at_least=1.0),
    *(
        Aim(scenario, f"{ours}:access-log", ("cpu",), ours, at_most=1.5, difference=True)
        for scenario in ("access-log", "access-log-varies")
        for ours in (WSGI, ASGI)
    ),
    *(
        Aim("growth", ours, (measure,), at_most=1.3)
        for ours in (WSGI, ASGI)
        for measure in ("growth", "growth1")
    ),
    *(Aim("spread", ours, ("busiest",), at_most=1.3) for ours in (WSGI, ASGI)),
    *(Aim("flat", ours, ("grown",), at_most=1) for ours in (WSGI, ASGI)),
    *_unharmed("burst", 100, WSGI, ASGI),
    *_unharmed("pings", 250, ASGI),
    *_unharmed("empty fragments", 250, ASGI),
    *_unharmed("one-byte fragments", 250, ASGI),
    *_unharmed("one-byte chunks", 250, WSGI, ASGI),
    *_unharmed("two-byte chunks", 250, WSGI, ASGI),
    *_unharmed("key updates", 250, WSGI, ASGI),
    *_unharmed("forwarded", 20, WSGI, ASGI),
    *(
        Aim(f"hostile-{many}-slow-readers", ours, ("wait99",), at_most=20)
        for many in (16, 200)
        for ours in (WSGI, ASGI)
    ),
    Aim("footprint", WSGI, ("worker",), "granian:wsgi", at_most=0.4),
    Aim("footprint", ASGI, ("loaded",), at_most=31),
    Aim("footprint", WSGI, ("startup",), "uvicorn", at_most=1.0),
    Aim("footprint", ASGI, ("startup",), "uvicorn", at_most=1.0),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """An aim beside what was measured. `why` tells what stood in the way of measuring."""

    aim: Aim
    title: str  # of the scenario
    outcome: Outcome
    figures: tuple[tuple[str, Spread, bool], ...] = ()  # measure, figure, whether only a bound
    why: str = ""

    @property
    def subject(self) -> str:
        """The scenario, and whose row it is."""
        return f"{self.title} ({self.aim.ours.split(':')[1].upper()})"

    @property
    def wanted(self) -> str:
        aim = self.aim
        names = " or ".join(MEASURES[measure].title for measure in aim.measures)
        if aim.difference:
            return f"{names} above {_name(aim.against)}: at most {aim.at_most:g} us"
        least = aim.at_least is not None
        bound = f"at least {aim.at_least:,g}" if least else f"at most {aim.at_most:,g}"
        if aim.against:
            better = " better than" if least else ""
            return f"{names}, {bound} times{better} {_name(aim.against)}"
        unit = MEASURES[aim.measures[0]].unit
        return f"{names}: {bound}" + (f" {unit}" if unit and unit != names else "")

    @property
    def found(self) -> str:
        words = []
        for measure, figure, bound in self.figures:
            kind = MEASURES[measure]
            side = ("at least " if kind.more_is_better else "at most ") if bound else ""
            by = f" by {kind.title}" if len(self.figures) > 1 else ""
            span = f"({number(figure.low)} - {number(figure.high)})"
            words.append(f"{side}{number(figure.median)} {span}{by}")
        return ", ".join(words)


def _name(key: str) -> str:
    """Whose figure it is compared with."""
    server = BY_KEY[key]
    if not server.ours:
        return f"{server.label}'s"
    return f"that with {server.variant}" if server.variant else "that without"


def judge(report: Report) -> list[Finding]:
    """Every aim, in the order of the table; those of scenarios left out are not measured."""
    return [_judged(report, aim) for aim in AIMS]


def _judged(report: Report, aim: Aim) -> Finding:
    record = report.record(aim.scenario)
    if record is None:
        return Finding(aim, aim.scenario, "not measured", why="it was not part of this run")
    ours = record.row(aim.ours)
    rows = [ours, record.row(aim.against)] if aim.against else [ours]
    for row in rows:
        if not measured(row):
            why = record.note or (f"{row.label}: {row.state}: {row.note}" if row else "no such row")
            return Finding(aim, record.title, "not measured", why=why.rstrip(": "))
    assert ours is not None
    found = tuple(_figures(record, aim, ours, rows[-1] if aim.against else None))
    if any(_within(aim, figure) for _, figure, _ in found):
        return Finding(aim, record.title, "holds", found)
    sure = [figure for figure in found if not figure[2]]
    if not sure:
        limited = record.shared_cores or any(row.load_bound for row in rows if row)
        why = "wrk was the limit" if limited else "no round has the figures"
        return Finding(aim, record.title, "not measured", found, why)
    return Finding(aim, record.title, "missed", found)


def _within(aim: Aim, figure: Spread) -> bool:
    if aim.at_least is not None:
        return figure.median >= aim.at_least
    return aim.at_most is not None and figure.median <= aim.at_most


def _figures(
    record: Record, aim: Aim, ours: Row, other: Row | None
) -> Iterator[tuple[str, Spread, bool]]:
    for measure in aim.measures:
        if other is None:
            figure, floor = ours.spread(measure), not record.comparable(measure, ours, ours)
        elif aim.difference:
            figure, floor = _differences(ours.series(measure), other.series(measure)), False
        else:
            figure, floor = _ratio(record, aim, measure, ours, other)
        if figure is not None:
            yield measure, figure, floor


def _ratio(
    record: Record, aim: Aim, measure: str, ours: Row, other: Row
) -> tuple[Spread | None, bool]:
    """As the aim puts it: how many times better, or the quotient of the figures themselves."""
    mine, theirs = ours.series(measure), other.series(measure)
    if aim.at_least is None or MEASURES[measure].more_is_better:
        figure = paired_ratio(mine, theirs)
    else:
        figure = paired_ratio(theirs, mine)
    if record.comparable(measure, ours, other):
        return figure, False
    floor = measure == "rate" and not (record.shared_cores or other.load_bound)
    return (figure, True) if floor else (None, False)


def _differences(mine: list[float | None], theirs: list[float | None]) -> Spread | None:
    pairs = zip(mine, theirs, strict=False)
    return spread([one - other for one, other in pairs if one is not None and other is not None])


def summary(findings: list[Finding]) -> str:
    """One sentence."""
    count = {
        outcome: sum(found.outcome == outcome for found in findings)
        for outcome in ("holds", "missed", "not measured")
    }
    text = f"Of {len(findings)} aims {count['holds']} hold and {count['missed']} are missed"
    return text + (
        f"; {count['not measured']} were not measured." if count["not measured"] else "."
    )
