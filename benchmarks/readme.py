"""The README's section about speed, made from a run: tables, charts, the machine, how to repeat it.

Only what stands between the two marks is replaced, so that nobody types a figure. Requests that
differ come first: they are what users send. A head that repeats is named as what it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.aims import judge, summary
from benchmarks.machine import Machine
from benchmarks.report import ratio_cell, rows
from benchmarks.results import Report, number
from benchmarks.verdicts import at_a_glance, measured, ours_of

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
CHARTS = {
    "varies": "CPU per request, another path each time",
    "mixed": "Requests per second on a fast view beside one that sleeps",
}
FOLDER = "docs/charts"
VERSIONS = ("gunicorn", "uvicorn", "granian", "hypercorn", "waitress", "fastpysgi", "wrk")
REPEATS = " *"
ROWS = {
    "path-varies": "another path in each request, 14 browser headers",
    "all-varies": "another path, cookie and `X-Forwarded-For` in each request",
    "hello": "one small request again and again" + REPEATS,
    "hello-browser": "one request with 14 browser headers again and again" + REPEATS,
    "flask": "JSON through Flask" + REPEATS,
    "fastapi": "JSON through FastAPI" + REPEATS,
    "stream": "an answer in 100 pieces of 1 KiB" + REPEATS,
    "connections": "a connection for each request" + REPEATS,
    "websocket-16k": "WebSocket messages of 16 KiB",
}
_PURPOSE = """How many times as many requests one worker of bare-serve answers as one of the other
server (c: by CPU time, where the load generator was the limit); **bold**: it loses; in brackets:
level."""
_MEMO = """\\* A head that its connection repeats byte for byte is answered from a memo and not
parsed anew. Load generators repeat their heads; browsers hardly do, and proxies do not. The rows
without a star say what to expect."""


class NoPlace(Exception):
    """The marks are not there."""


def section(report: Report, drawn: list[str], place: str) -> str:
    """`place` is the Markdown report, as seen from the README."""
    machine = Machine(**report.machine)
    versions = ", ".join(f"{n} {report.versions[n]}" for n in VERSIONS if n in report.versions)
    settings = report.settings
    words = (
        f"{report.date}: {machine.sentence()}; one worker; medians of {settings['rounds']} rounds;"
        f" {versions}. `{settings.get('command', 'make bench')}` repeats it."
        f" [The whole report]({place}) has all that this run measured, and the rows that"
        " bare-serve loses."
        f" {summary(judge(report))}"
    )
    pictures = [f"![{CHARTS[name]}]({FOLDER}/{name}.svg)" for name in CHARTS if name in drawn]
    tables = list(_tables(report))
    if tables:
        tables = [_PURPOSE, *tables, *([_MEMO] if REPEATS in "".join(tables) else [])]
    costs = [*_compute(report), *_logging(report)]
    told = [" ".join(costs)] if costs else []
    return "\n\n".join([BEGIN, *tables, *told, *pictures, words, END])


def _tables(report: Report) -> Iterator[str]:
    """Yield one table for each interface, in the order of ROWS."""
    for interface in ("wsgi", "asgi"):
        found = {
            line.record.key: line for line in at_a_glance(report) if line.interface == interface
        }
        lines = [found[key] for key in ROWS if key in found]
        if lines:
            labels = list(dict.fromkeys(label for line in lines for label in line.ratios))
            body = [
                [
                    ROWS[line.record.key],
                    _median(report, line.record.key, f"bare-serve:{interface}", "cpu"),
                    *(ratio_cell(line, label) for label in labels),
                ]
                for line in lines
            ]
            yield rows([[interface.upper(), "CPU us", *labels], *body])


def _compute(report: Report) -> Iterator[str]:
    """Yield both sides of the gate before calls that compute."""
    record = report.record("mixed-compute")
    if record is None or not (
        ours_of(record, "wsgi") and measured(record.row("bare-serve:wsgi:ungated"))
    ):
        return

    def side(row: str) -> str:
        quick, p99, slow = (_median(report, record.key, row, m) for m in ("rate", "p99", "slow"))
        return f"{quick} requests/s with a p99 of {p99} ms, and {slow} computing ones a second"

    yield (
        "A quick WSGI view beside four clients of a view that computes for 50 ms:"
        f" {side('bare-serve:wsgi')}; without turns for calls that compute"
        f" {side('bare-serve:wsgi:ungated')}."
    )


def _logging(report: Report) -> Iterator[str]:
    """Yield what a line of the access log costs: medians of differences, paired by round."""
    costs = [
        f"{number(figure.median)} us in {found.subject.rpartition('(')[2].rstrip(')')}"
        f" {'where all varies' if 'varies' in found.aim.scenario else 'for one head'}"
        for found in judge(report)
        if found.aim.difference
        for _, figure, _ in found.figures
    ]
    if costs:
        yield f"The access log costs {', '.join(costs)}."


def _median(report: Report, scenario: str, row: str, measure: str) -> str:
    record = report.record(scenario)
    found = record.row(row) if record else None
    middle = found.spread(measure) if found else None
    return number(middle.median) if middle else "-"


def put(readme: str, fresh: str) -> str:
    """Return the README with its section replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlace(f"the README has no place between {BEGIN} and {END}")
    return before + fresh + after
