"""The terminal while a run goes on: the table of the scenario, and a line of progress.

On a terminal the table is redrawn in place after every measurement and the last line tells the
progress and the time left. In a pipe each table is printed once, when it is complete.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from benchmarks.plan import Plan, minutes
from benchmarks.results import Record
from benchmarks.tables import cells, grouped, headers, notes


def laid_out(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns in line: the first to the left, the others to the right; short rows run on."""
    full = max(len(row) for row in rows)
    widths = [
        max((len(row[i]) for row in rows if len(row) == full or i == 0), default=0)
        for i in range(full)
    ]
    lines = []
    for row in rows:
        first = f"{row[0]:<{widths[0]}}"
        if len(row) == full:
            rest = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        else:
            rest = list(row[1:])
        lines.append("  ".join([first, *rest]).rstrip())
    return lines


def table(record: Record) -> list[str]:
    """Return the scenario's table with its title and notes."""
    rows: list[list[str]] = [headers(record)]
    for interface, members in grouped(record):
        rows.append([f"-- {interface} --"])
        rows.extend(["  " + found[0], *found[1:]] for found in (cells(record, m) for m in members))
    lines = [record.title, *laid_out(rows), *notes(record)]
    if record.note:
        lines = [record.title, f"  {record.state}: {record.note}"]
    return lines


class Live:
    """Satisfies run.Watcher."""

    def __init__(self, plan: Plan, out: TextIO | None = None) -> None:
        self.plan = plan
        self.out = out or sys.stdout
        self.moving = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.begun = time.monotonic()
        self.planned_done = 0.0  # seconds of the plan behind us
        self.done = 0
        self.current = 0.0
        self.steps = 1
        self.step = 0
        self.drawn = 0
        self.lines: list[str] = []

    def started(self, record: Record, servers: int) -> None:
        task = self.plan.tasks[self.done]
        self.current = task.seconds(self.plan.rounds, self.plan.seconds)
        self.steps = max(1, servers * task.rounds(self.plan.rounds))
        self.step = 0
        self.lines = [record.title]
        self._draw(f"{record.title}: starting")

    def doing(self, what: str) -> None:
        self._draw(what)

    def changed(self, record: Record) -> None:
        self.step += 1
        self.lines = table(record)
        self._draw("")

    def finished(self, record: Record) -> None:
        self.planned_done += self.current
        self.current = 0.0
        self.done += 1
        self._erase()
        self._write("\n".join([*table(record), ""]) + "\n")

    def end(self) -> None:
        self._erase()

    def progress(self, now: float) -> str:
        """How far, and how long still: the plan's figure, corrected by the pace so far."""
        behind = self.planned_done + self.current * min(1.0, self.step / self.steps)
        took = now - self.begun
        pace = min(2.0, max(0.5, took / behind)) if behind > 10 else 1.0
        left = max(0.0, self.plan.estimate - behind) * pace
        share = behind / self.plan.estimate if self.plan.estimate else 1.0
        bar = ("#" * round(share * 20)).ljust(20, ".")
        return f"[{bar}] {self.done}/{len(self.plan.tasks)}  {minutes(left)} left"

    def _draw(self, what: str) -> None:
        if not self.moving:
            return
        self._erase()
        size = shutil.get_terminal_size()
        shown = [*self.lines, f"{self.progress(time.monotonic())}  {what}"]
        shown = [line[: size.columns - 1] for line in shown[-(size.lines - 1) :]]
        self._write("\n".join(shown))
        self.drawn = len(shown)

    def _erase(self) -> None:
        if self.drawn:
            up = f"\x1b[{self.drawn - 1}A" if self.drawn > 1 else ""
            self._write(f"\r{up}\x1b[J")
            self.drawn = 0

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
