"""The report for people: a run as Markdown, with what was lost said in plain words.

Text only, made from a `Report`; no figure is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.aims import judge, summary
from benchmarks.machine import Machine
from benchmarks.results import Record, Report
from benchmarks.stats import Spread, verdict
from benchmarks.tables import STATES, cells, grouped, headers, notes
from benchmarks.verdicts import Glance, at_a_glance, losses

CHARTS = (
    ("varies", "CPU per request, another path each time"),
    ("all-varies", "CPU per request, another path, cookie and X-Forwarded-For each time"),
    ("throughput", "Requests per second, hello"),
    ("cpu", "CPU per request, hello"),
    ("latency", "Latency curve, hello"),
    ("mixed", "Requests per second on a fast view beside one that sleeps"),
    ("memory", "Memory, idle and after load"),
)
SECTIONS = {
    "pythons": """## Other Pythons

The small answers once more, every server on the same newer CPython.""",
    "hostile": """## Hostile clients

An attacker and another client, each a process of its own: the attacker for 3 s, the other asking
every 2 ms or so, now and then on a fresh connection. What counts is the longest that the other
waited for one answer; nearly 3 s and more mean "until the end", and who had no answer 2 s after
the end counts with what it had waited. Beside it the p99 of its waits, the longest wait in the
0.25 s before the attack (what this machine does to a client by itself), what the memory of the
server's processes grew by at most, what the attack got rid of, and how often the server cut it
off.""",
}
_PURPOSE = """Above 1: bare-serve is that many times better; **bold**: it loses; in brackets: the
rounds do not agree, or the difference is under 2 %. Requests per second, or CPU per request where
wrk was the limit (c) or the cores were shared; the first figure that is judged for the others."""


def markdown(report: Report, charts: Sequence[str] = (), place: str = "") -> str:
    """`place` is the folder of the charts, seen from the report."""
    blocks = [
        f"# bare-serve beside its peers, {report.date}",
        *_machine(report),
        *(f"![{title}]({place}/{name}.svg)" for name, title in CHARTS if name in charts),
        f"{summary(judge(report))} They are listed [at the end](#aims).",
        *_glance(report),
        *_losses(report),
        *_absent(report),
        "## Every scenario",
        *(block for record in report.records if not record.section for block in _record(record)),
        *_sections(report),
        *_commands(report),
        *_aims(report),
    ]
    return "\n\n".join(blocks) + "\n"


def _machine(report: Report) -> Iterator[str]:
    machine = Machine(**report.machine)
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    settings = report.settings
    yield (
        f"{machine.sentence()}. {settings.get('cores', '')}; every server with one worker unless"
        f" said otherwise; {settings['rounds']} rounds of {settings['seconds']} s, interleaved"
        " server by server, after a warm-up; medians; ratios paired by round; access logs off."
    )
    yield f"Versions: {versions}."
    yield f"To repeat it: `{settings.get('command', 'make bench')}`."
    if not report.complete:
        yield "**This run was interrupted: the scenarios after the last one here are missing.**"


def rows(lines: Sequence[Sequence[str]], first: str = ":--") -> str:
    """Return a table in Markdown; the first line is its head."""
    width = len(lines[0])
    marks = "|".join([first, *["--:"] * (width - 1)])
    out = ["| " + " | ".join([*line, *[""] * (width - len(line))]) + " |" for line in lines]
    return "\n".join([out[0], f"|{marks}|", *out[1:]])


def _glance(report: Report) -> Iterator[str]:
    lines = at_a_glance(report)
    if not lines:
        return
    yield "## At a glance"
    yield _PURPOSE
    for interface in ("wsgi", "asgi"):
        chosen = [line for line in lines if line.interface == interface]
        if chosen:
            labels = list(dict.fromkeys(label for line in chosen for label in line.ratios))
            head = [f"{interface.upper()}, bare-serve against", *labels]
            body = [
                [line.record.title, *(ratio_cell(line, label) for label in labels)]
                for line in chosen
            ]
            yield rows([head, *body])


def ratio_cell(line: Glance, label: str) -> str:
    """Return a cell of a table at a glance: bold where bare-serve loses."""
    found = line.ratios.get(label)
    if found is None:
        return ""
    measure, ratio = found
    return _shown(ratio) + (" c" if measure == "cpu" else "")


def _shown(ratio: Spread) -> str:
    text = f"{ratio.median:.2f}"
    return {"behind": f"**{text}**", "level": f"({text})"}.get(verdict(ratio), text)


def _losses(report: Report) -> Iterator[str]:
    yield "## Where bare-serve loses"
    found = losses(report)
    if not found:
        yield "In no row that was measured here."
        return
    lines = []
    for title, interface in dict.fromkeys((loss.record.title, loss.interface) for loss in found):
        lines.append(f"- {title} ({interface.upper()})")
        lines += [
            f"  - {loss.sentence}."
            for loss in found
            if (loss.record.title, loss.interface) == (title, interface)
        ]
    yield "\n".join(lines)


def _absent(report: Report) -> Iterator[str]:
    lines = [f"- {peer} is not installed: {why}" for peer, why in report.missing.items()]
    lines += [f"- {record.title}: {record.note}" for record in report.records if record.note]
    for record in report.records:
        if record.state == "measured":
            for row in record.rows:
                if row.state != "measured":
                    said = STATES.get(row.state, row.state)
                    who = f"{row.label} ({row.interface.upper()})"
                    lines.append(f"- {record.title}: {who}: {said}: {row.note}")
    if lines:
        yield "## Not measured"
        yield "\n".join(lines)


def _record(record: Record) -> Iterator[str]:
    if record.state != "measured":
        return
    yield f"### {record.title}"
    for interface, members in grouped(record):
        head = headers(record)
        body = [found for row in members if len(found := cells(record, row)) == len(head)]
        if body:
            yield rows([[interface.upper(), *head[1:]], *body])
    if said := notes(record):
        yield "\n".join(f"- {line}" for line in said)


def _sections(report: Report) -> Iterator[str]:
    for section, opening in SECTIONS.items():
        members = [record for record in report.records if record.section == section]
        if members:
            yield opening
            yield from (block for record in members for block in _record(record))


def _commands(report: Report) -> Iterator[str]:
    if report.commands:
        yield "## How each server was started"
        yield rows(
            [["server", "command"], *([key, f"`{line}`"] for key, line in report.commands.items())],
        ).replace("|--:|", "|:--|")


def _aims(report: Report) -> Iterator[str]:
    """Each aim in a row; what was measured as a median with its range."""
    yield "## Aims"
    yield "What this project sets out to reach, with medians of figures paired by round."
    lines = [["scenario", "aim", "measured", ""]]
    for found in judge(report):
        said = {"missed": "**missed**", "not measured": f"not measured: {found.why}"}
        lines.append(
            [found.subject, found.wanted, found.found, said.get(found.outcome, found.outcome)]
        )
    yield rows(lines).replace("|--:|--:|--:|", "|:--|--:|:--|")
