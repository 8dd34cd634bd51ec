"""The core of this checkout beside that of another one: both run in turns, each with its own cases.

What lives here: the turns, and what is compared. What must not: the cases (cases.py), the clock
(timing.py).

The cores of a shared machine change their speed within milliseconds, which only makes a figure
worse. So each checkout runs several times, and the best figure of each case is compared: it is that
of the fastest moments of the machine, which both have seen after enough turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.pairs import take_turns
from benchmarks.peers import REPOSITORY

Figures = dict[str, float]
"""Microseconds by case, the best of one run."""


def figures(text: str) -> Figures:
    """Return the best of each case in what `python -m benchmarks.core` has printed."""
    found = {}
    for line in text.splitlines()[2:]:  # the version of Python, and the head of the table
        name, best, _median = line.rsplit(maxsplit=2)
        found[name.rstrip()] = float(best)
    return found


def run(checkout: Path, arguments: Sequence[str]) -> Figures:
    """Run the core of `checkout` in a process of its own.

    Raises:
        RuntimeError: the run failed; with what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.core", *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(f"the core of {checkout} ended with {done.returncode}: {said[-1]}")
    return figures(done.stdout)


def take_best(
    other: Path, rounds: int, sample: Callable[[Path], Figures]
) -> tuple[Figures, Figures]:
    """Return the best figures of `other` and of this checkout, which take turns."""
    checkouts = (other, REPOSITORY)
    before, now = take_turns(2, rounds, lambda which: sample(checkouts[which]))
    return _best(before), _best(now)


def _best(runs: Sequence[Figures]) -> Figures:
    return {name: min(run[name] for run in runs) for name in runs[0]}


def table(before: Mapping[str, float], now: Mapping[str, float]) -> Iterator[str]:
    """Yield a table in Markdown of the cases that both have, and name those that one has alone."""
    yield "| case | before | now | now/before |"
    yield "| --- | --- | --- | --- |"
    for name, figure in now.items():
        if name in before:
            yield f"| {name} | {before[name]:.2f} | {figure:.2f} | {figure / before[name]:.2f} |"
    for word, one, another in (("Gone", before, now), ("New", now, before)):
        alone = [name for name in one if name not in another]
        if alone:
            yield f"\n{word}: {', '.join(alone)}."
