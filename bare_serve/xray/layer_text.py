"""The tree of a request as lines of text: the block "layers" of an x-ray."""

from __future__ import annotations

from collections.abc import Iterator

from bare_serve.xray.layer_tree import Tree

_FIGURES = 9
_MOST = 0.5
"""A layer with so much of the total gets a note."""
_OF_NOTE = 0.2
"""Inner functions of libraries with less of the total than this are counted, not shown."""
_DEEP = 8
"""Deeper trees are indented by one column, not by two."""


def text(tree: Tree, width: int = 100, *, full: bool = False) -> list[str]:
    """Return the lines: a heading, then a layer each, with its times in milliseconds.

    `width` is the number of columns that names, places and figures may take; a note stands behind
    them. Runs of functions in which libraries only pass a request on are one line, unless `full`.
    """
    rows = [*_rows(tree, full)]
    step = 2 if max(row.depth for row in rows) <= _DEEP else 1
    for row in rows:
        row.name = " " * step * (row.depth + 1) + row.name
    waited = any(each.waiting >= 0.05 for _, each in tree.walk())
    figures = _FIGURES * (3 if waited else 2)
    place = min(max(len(row.place) for row in rows), 40)
    name = max(20, min(max(len(row.name) for row in rows), width - figures - place - 2))
    heading = _line("layers", "", "total", "own", "waiting" if waited else "", name, place)
    return [heading, *(row.line(name, place, waited) for row in rows)]


class _Row:
    """A layer, or a run of layers that is one line."""

    def __init__(self, depth: int, trees: list[Tree], own_total: float, total: float) -> None:
        first = trees[0]
        self.own = sum(each.own for each in trees)
        self.waiting = sum(each.waiting for each in trees)
        self.total = own_total
        self.note = ""
        self.depth = depth
        if len(trees) > 1:
            packages = dict.fromkeys(each.package for each in trees)
            self.name = f"... {len(trees)} of {', '.join(packages)}"
            self.place = ""
        else:
            times = f" x{first.calls}" if first.calls > 1 else ""
            self.name = first.name + times
            self.place = first.package
            if total and self.own >= _MOST * total:
                self.note = f"   <- {self.own / total:.0%} of the time is here".replace("%", " %")

    def line(self, name: int, place: int, waited: bool) -> str:
        figures = [f"{each:.2f}" for each in (self.total, self.own, self.waiting)]
        last = figures[2] if waited else ""
        return _line(self.name, self.place, figures[0], figures[1], last, name, place) + self.note


def _line(name: str, place: str, total: str, own: str, waiting: str, wide: int, far: int) -> str:
    if len(name) > wide:
        name = name[: wide - 3] + "..."
    if len(place) > far:
        place = "..." + place[3 - far :]
    line = f"{name:<{wide}}  {place:<{far}}{total:>{_FIGURES}}{own:>{_FIGURES}}"
    return f"{line}{waiting:>{_FIGURES}}" if waiting else line


def _rows(tree: Tree, full: bool) -> Iterator[_Row]:
    totals = {id(each): figure for _, each, figure in tree.with_totals()}
    total = totals[id(tree)]

    def passes_on(each: Tree) -> bool:
        return not (full or each.label.named or each.label.users) and each.own < _OF_NOTE * total

    def walk(each: Tree, depth: int) -> Iterator[_Row]:
        run = [each]
        while passes_on(run[-1]) and len(run[-1].children) == 1 and passes_on(run[-1].children[0]):
            run.append(run[-1].children[0])
        yield _Row(depth, run, totals[id(each)], total)
        for child in run[-1].children:
            yield from walk(child, depth + 1)

    yield from walk(tree, 0)
