"""Pairs of checkouts: the order of their turns, and what their figures are worth."""

from __future__ import annotations

import pytest

from benchmarks import pairs
from benchmarks.pairs import CASES, Found, take_turns
from benchmarks.scenarios import BY_NAME
from benchmarks.servers import BY_KEY


def test_each_case_can_be_served() -> None:
    for name, interface in CASES:
        assert BY_KEY[f"bare-serve:{interface}"].key in BY_NAME[name].servers


def test_each_round_begins_with_another_server() -> None:
    order: list[int] = []

    def sample(which: int) -> float:
        order.append(which)
        return float(len(order))

    assert take_turns(3, 4, sample) == [[1, 6, 8, 10], [2, 4, 9, 11], [3, 5, 7, 12]]
    assert order == [0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2]


def test_chance_is_what_two_servers_that_are_alike_differ_by() -> None:
    found = Found("hello (WSGI)", [(10.0, 11.0, 10.0), (10.0, 9.0, 8.0), (8.0, 8.1, 10.0)])
    assert found.ratio.median == pytest.approx(1.0)
    assert (found.ratio.low, found.ratio.high) == pytest.approx((0.9, 1.1))
    assert (found.chance.low, found.chance.median, found.chance.high) == (0.8, 1.0, 1.25)
    assert found.cells() == [
        *("hello (WSGI)", "9.0", "9.0", "1.000", "0.900 - 1.100", "1.000", "0.800 - 1.250", ""),
    ]


@pytest.mark.parametrize(
    ("now", "said"), [(6.2, "at most 0.62: holds"), (6.3, "at most 0.62: **missed**")]
)
def test_a_case_with_an_aim_says_whether_that_holds(now: float, said: str) -> None:
    assert Found("connections", [(10.0, now, 10.0)], 0.62).cells()[-1] == said


def test_the_table_has_a_head_for_each_cell() -> None:
    head, rule = pairs.table_head()
    row = pairs.table_row(Found("hello", [(1.0, 1.0, 1.0)]).cells())
    assert head.count("|") == rule.count("|") == row.count("|") == 9
