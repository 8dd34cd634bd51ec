"""The charts of a run as SVG: throughput, CPU per request, latency curve, mixed load, memory.

Drawn with matplotlib (the `bench` extra); theme.py then makes them legible on light and dark pages.
Bars are sorted best first, ours in green, the range of the rounds as a thin line. Text stays text.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.machine import Machine
from benchmarks.results import MEASURES, Record, Report, Row, number
from benchmarks.stats import spread
from benchmarks.theme import colour, themed
from benchmarks.verdicts import measured

INTERFACES = ("wsgi", "asgi")
LINES = {
    "gunicorn-gthread": "line1",
    "gunicorn-asgi": "line1",
    "gunicorn-sync": "line6",
    "granian": "line2",
    "uvicorn": "line3",
    "waitress": "line3",
    "fastpysgi": "line4",
    "hypercorn": "line5",
}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bare-serve",
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "text.color": colour("ink"),
    "axes.edgecolor": colour("soft"),
    "axes.labelcolor": colour("soft"),
    "axes.facecolor": colour("card"),
    "figure.facecolor": colour("card"),
    "savefig.facecolor": colour("card"),
    "xtick.color": colour("soft"),
    "ytick.color": colour("ink"),
    "grid.color": colour("grid"),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.5,
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.use": True,
}


def draw_all(report: Report, folder: Path, only: Sequence[str] = ()) -> list[str]:
    """Write what the report has figures for; return the names of the charts written."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {
        "varies": lambda: _bars(
            report, "path-varies", "cpu", "CPU per request, another path each time (microseconds)"
        ),
        "all-varies": lambda: _bars(
            report, "all-varies", "cpu", "CPU per request, all varies (microseconds)"
        ),
        "throughput": lambda: _bars(report, "hello", "rate", "Requests per second, hello"),
        "cpu": lambda: _bars(
            report, "hello", "cpu", "CPU per request, hello (microseconds, less is better)"
        ),
        "latency": lambda: _curves(report, "hello"),
        "mixed": lambda: _bars(
            report, "mixed-sleep", "rate", "Requests per second beside a view that sleeps 50 ms"
        ),
        "memory": lambda: _memory(report),
    }
    written = []
    # Fonts named for the reader's machine need not be on this one.
    mpl.set_loglevel("ERROR")
    for name, draw in drawings.items():
        if only and name not in only:
            continue
        with mpl.rc_context(STYLE):  # type: ignore[arg-type]
            figure = draw()  # type: ignore[no-untyped-call]
            if figure is None:
                continue
            out = io.StringIO()
            figure.savefig(out, format="svg", metadata={"Date": None})
            (folder / f"{name}.svg").write_text(themed(out.getvalue()))
            written.append(name)
    return written


def _rows(record: Record, interface: str) -> list[Row]:
    return [row for row in record.rows if row.interface == interface and measured(row)]


def _panels(report: Report, key: str) -> tuple[Record, list[tuple[str, list[Row]]]] | None:
    record = report.record(key)
    if record is None:
        return None
    found = [(name, rows) for name in INTERFACES if (rows := _rows(record, name))]
    return (record, found) if found else None


def _framed(report: Report, title: str, panels: list[int]) -> tuple[Figure, list[Axes]]:
    """Return a figure with one panel below the other, as tall as their numbers of bars ask."""
    height = 0.9 + sum(0.55 + 0.3 * count for count in panels)
    figure = Figure(figsize=(8, height))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=panels)[:, 0]
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(_source(report), x=0.01, ha="left", fontsize=7.5, color=colour("soft"))
    return figure, list(axes)


def _source(report: Report) -> str:
    machine = Machine(**report.machine)
    names = ("gunicorn", "uvicorn", "granian", "hypercorn", "waitress", "fastpysgi")
    peers = ", ".join(f"{n} {report.versions[n]}" for n in names if n in report.versions)
    return (
        f"{machine.cpu}, {machine.cores} cores, {machine.kernel}, CPython {machine.python}; one"
        f" worker; {report.date}\n{peers}"
    )


def _bars(report: Report, key: str, measure: str, title: str) -> Figure | None:
    found = _panels(report, key)
    if found is None:
        return None
    _, panels = found
    kind = MEASURES[measure]
    figure, axes = _framed(report, title, [len(rows) for _, rows in panels])
    most = max(s.high for _, rows in panels for row in rows if (s := row.spread(measure)))
    for axis, (interface, rows) in zip(axes, panels, strict=True):
        known = [(row, s) for row in rows if (s := row.spread(measure))]
        known.sort(key=lambda pair: pair[1].median, reverse=not kind.more_is_better)
        for place, (row, value) in enumerate(known):
            shade = colour("ours" if row.peer == "bare-serve" else "peer")
            axis.barh(place, value.median, height=0.66, color=shade)
            axis.plot([value.low, value.high], [place, place], color=colour("ink"), linewidth=1)
            bound = kind.by_load and row.load_bound
            text = ("at least " if bound else "") + number(value.median)
            axis.text(max(value.high, value.median) + most * 0.012, place, text, va="center")
        _bar_axis(axis, interface, [row for row, _ in known], most)
    return figure


def _bar_axis(axis: Axes, interface: str, rows: list[Row], most: float) -> None:
    axis.set_yticks(range(len(rows)), [row.label for row in rows])
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        if row.peer == "bare-serve":
            label.set_fontweight("bold")
    axis.set_xlim(0, most * 1.16)
    axis.set_title(interface.upper(), loc="left", fontsize=10, color=colour("soft"))
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _curve(row: Row) -> tuple[list[float], list[float]]:
    """Medians over the rounds: x as the number of nines, y in ms."""
    points = sorted({p for found in row.rounds for p in found["latency"]}, key=float)
    xs, ys = [], []
    for point in points:
        middle = spread(
            [found["latency"][point] for found in row.rounds if point in found["latency"]]
        )
        if middle is not None and 50 <= float(point) <= 99.9:
            xs.append(-math.log10(1 - float(point) / 100))
            ys.append(middle.median)
    return xs, ys


def _curves(report: Report, key: str) -> Figure | None:
    found = _panels(report, key)
    if found is None:
        return None
    _, panels = found
    figure = Figure(figsize=(8, 1.2 + 3.2 * len(panels)))
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    title = "Latency at full load, 64 connections, hello"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(_source(report), x=0.01, ha="left", fontsize=7.5, color=colour("soft"))
    for axis, (interface, rows) in zip(axes, panels, strict=True):
        for row in sorted(rows, key=lambda row: row.peer != "bare-serve"):
            xs, ys = _curve(row)
            if row.peer != "bare-serve":
                axis.plot(xs, ys, label=row.label, color=colour(LINES.get(row.label, "peer")))
            elif row.label == "bare-serve":
                axis.plot(xs, ys, label=row.label, color=colour("ours"), linewidth=3)
            else:
                dashes = ":" if "asyncio" in row.label else "--"
                axis.plot(xs, ys, dashes, label=row.label, color=colour("ours"))
        _curve_axis(axis, interface)
    return figure


def _curve_axis(axis: Axes, interface: str) -> None:
    shown = (50, 75, 90, 95, 99, 99.5, 99.9)
    axis.set_xticks([-math.log10(1 - p / 100) for p in shown], [f"p{p:g}" for p in shown])
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylabel("ms, logarithmic")
    axis.set_title(interface.upper(), loc="left", fontsize=10, color=colour("soft"))
    axis.grid(axis="both", which="major")
    axis.tick_params(which="both", length=0)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _memory(report: Report) -> Figure | None:
    found = _panels(report, "footprint")
    if found is None:
        return None
    _, panels = found
    title = "Memory with one worker: idle (dark), after load (pale), MiB"
    figure, axes = _framed(report, title, [len(rows) for _, rows in panels])
    most = max(s.high for _, rows in panels for row in rows if (s := row.spread("loaded")))
    for axis, (interface, rows) in zip(axes, panels, strict=True):
        known = [
            (row, idle.median, loaded.median)
            for row in rows
            if (idle := row.spread("idle")) and (loaded := row.spread("loaded"))
        ]
        known.sort(key=lambda triple: -triple[2])
        for place, (row, idle_mib, loaded_mib) in enumerate(known):
            name = "ours" if row.peer == "bare-serve" else "peer"
            axis.barh(place, loaded_mib, height=0.66, color=colour(f"{name}_pale"))
            axis.barh(place, min(idle_mib, loaded_mib), height=0.66, color=colour(name))
            text = f"{number(idle_mib)}, {number(loaded_mib)}"
            axis.text(max(idle_mib, loaded_mib) + most * 0.012, place, text, va="center")
        _bar_axis(axis, interface, [row for row, _, _ in known], most)
    return figure
