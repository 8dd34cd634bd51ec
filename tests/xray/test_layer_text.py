"""The tree of a request as lines of text."""

from __future__ import annotations

import pytest

from bare_serve.xray.layer_text import text
from bare_serve.xray.layer_tree import Label, Trace, Tree


def layer(label: Label, own: float, *below: Tree, waiting: float = 0, calls: int = 1) -> Tree:
    made = Tree()
    made.label = label
    made.trace = Trace(None, lambda: 0)
    made.running_ns = round((own - waiting) * 1e6)
    made.waiting_ns = round(waiting * 1e6)
    made.children = below
    made.calls = calls
    return made


def library(name: str, package: str = "flask", *, named: bool = True) -> Label:
    return Label(name, package, named=named)


def users(name: str, place: str) -> Label:
    return Label(name, place, users=True)


ORDERS = layer(
    library("Flask"),
    0.02,
    layer(
        library("ProxyFix", "werkzeug"),
        0.02,
        layer(
            users("timing.layer", "shop.py:12"),
            0.01,
            layer(
                library("Flask.wsgi_app", named=False),
                0.40,
                layer(users("orders()", "shop.py:5"), 1.43),
            ),
        ),
    ),
)


def test_a_line_for_each_layer() -> None:
    assert text(ORDERS) == [
        "layers                                total      own",
        "  Flask                 flask          1.88     0.02",
        "    ProxyFix            werkzeug       1.86     0.02",
        "      timing.layer      shop.py:12     1.84     0.01",
        "        Flask.wsgi_app  flask          1.83     0.40",
        "          orders()      shop.py:5      1.43     1.43   <- 76 % of the time is here",
    ]


def test_waiting_has_a_column_where_there_is_some() -> None:
    tree = layer(library("App"), 2, layer(users("view()", "a.py:1"), 10, waiting=9))
    lines = text(tree)
    assert lines[0].split() == ["layers", "total", "own", "waiting"]
    assert lines[2].split()[:5] == ["view()", "a.py:1", "10.00", "10.00", "9.00"]


def test_functions_that_pass_on_are_one_line() -> None:
    def nest(*labels: Label) -> Tree:
        below: tuple[Tree, ...] = (layer(users("view()", "a.py:1"), 5),)
        for label in reversed(labels):
            below = (layer(label, 0.01, *below),)
        return below[0]

    inner = [library(f"inner{each}", "starlette", named=False) for each in range(3)]
    tree = nest(library("App", "fastapi"), *inner, library("last", "fastapi", named=False))
    names = [" ".join(line.split()[:-2]) for line in text(tree)[1:3]]
    assert names == ["App fastapi", "... 4 of starlette, fastapi"]
    assert len(text(tree)) == 4
    assert len(text(tree, full=True)) == 7


def test_one_that_takes_time_is_a_line_of_its_own() -> None:
    slow = layer(library("slow", named=False), 5, layer(users("view()", "a.py:1"), 5))
    tree = layer(library("App"), 0.1, layer(library("fast", named=False), 0.1, slow))
    assert [line.split()[0] for line in text(tree)[1:]] == ["App", "fast", "slow", "view()"]


def test_calls_are_counted() -> None:
    tree = layer(library("App"), 1, layer(users("hook()", "a.py:1"), 1, calls=3))
    assert text(tree)[2].split()[:2] == ["hook()", "x3"]


def test_lines_keep_to_the_width() -> None:
    deep: tuple[Tree, ...] = ()
    for number in range(12):
        deep = (layer(library(f"AVeryLongNameOfAMiddleware{number}", "x" * 60), 1, *deep),)
    lines = text(deep[0], 80)
    assert len(lines) == 13
    assert {len(line) for line in lines} == {80}
    assert all("..." in line for line in lines[1:])


def test_own_times_sum_up_to_the_total() -> None:
    total = sum(each.own for _, each in ORDERS.walk())
    assert total == pytest.approx(ORDERS.total)
