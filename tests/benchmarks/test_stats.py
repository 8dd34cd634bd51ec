"""The arithmetic of the reports: medians, paired ratios, who is ahead."""

from __future__ import annotations

import pytest

from benchmarks.stats import Spread, paired_ratio, spread, verdict


def test_spread_of_an_even_number_of_rounds_is_between_the_middle_two() -> None:
    assert spread([4.0, 1.0, 3.0, 100.0]) == Spread(3.5, 1.0, 100.0, 4)


def test_nothing_measured_is_none_and_not_zero() -> None:
    assert spread([]) is None


def test_ratio_is_paired_by_round_so_common_drift_cancels() -> None:
    # The machine halves its speed in the second round for both: the ratio does not move.
    assert paired_ratio([200.0, 100.0, 210.0], [100.0, 50.0, 105.0]) == Spread(2.0, 2.0, 2.0, 3)


def test_rounds_one_side_lacks_are_left_out() -> None:
    assert paired_ratio([2.0, None, 6.0], [1.0, 5.0, 2.0, 9.0]) == Spread(2.5, 2.0, 3.0, 2)


def test_a_figure_of_zero_makes_no_ratio() -> None:
    assert paired_ratio([0.0], [1.0]) is None
    assert paired_ratio([1.0], [0.0]) is None


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ((1.2, 1.1, 1.3), "ahead"),
        ((0.8, 0.7, 0.9), "behind"),
        ((1.2, 0.9, 1.3), "level"),  # the rounds do not agree
        ((0.9, 0.8, 1.1), "level"),
        ((1.01, 1.005, 1.015), "level"),  # within the margin
        ((0.985, 0.98, 0.99), "level"),
    ],
)
def test_verdict(ratios: tuple[float, float, float], said: str) -> None:
    assert verdict(Spread(*ratios, 3)) == said


@pytest.mark.parametrize(
    ("first", "second", "touching"),
    [((1, 3), (3, 5), True), ((1, 3), (3.1, 5), False), ((2, 3), (1, 9), True)],
)
def test_overlap(first: tuple[float, float], second: tuple[float, float], touching: bool) -> None:
    one, other = Spread(0, *first, 1), Spread(0, *second, 1)
    assert one.overlaps(other) is touching
    assert other.overlaps(one) is touching
