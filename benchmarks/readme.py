"""The README's section about speed, made from a run: two charts, the machine, the way to repeat it.

Only what stands between the two marks is replaced, so that nobody types a figure.
"""

from __future__ import annotations

from benchmarks.aims import judge, summary
from benchmarks.machine import Machine
from benchmarks.results import Report

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
CHARTS = {
    "cpu": "CPU per request, a small answer",
    "mixed": "Requests per second on a fast view beside one that sleeps",
}
FOLDER = "docs/charts"
VERSIONS = ("gunicorn", "uvicorn", "granian", "hypercorn", "waitress", "fastpysgi", "wrk")


class NoPlace(Exception):
    """The marks are not there."""


def section(report: Report, drawn: list[str], place: str) -> str:
    """`place` is the Markdown report, as seen from the README."""
    machine = Machine(**report.machine)
    versions = ", ".join(f"{n} {report.versions[n]}" for n in VERSIONS if n in report.versions)
    pictures = [f"![{CHARTS[name]}]({FOLDER}/{name}.svg)" for name in CHARTS if name in drawn]
    settings = report.settings
    words = (
        f"{report.date}: {machine.sentence()}; one worker; medians of {settings['rounds']} rounds;"
        f" {versions}. `{settings.get('command', 'make bench')}` repeats it."
        f" [The whole report]({place}) has every scenario and each row that bare-serve loses."
        f" {summary(judge(report))}"
    )
    return "\n\n".join([BEGIN, *pictures, words, END])


def put(readme: str, fresh: str) -> str:
    """Return the README with its section replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlace(f"the README has no place between {BEGIN} and {END}")
    return before + fresh + after
