"""Several observers as one: none, one, more, and some that fail."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bare_serve.logs.on_answered import OnAnswered, compose
from tests.support.answers import Answer, KeptAnswers, request


def tell(observer: OnAnswered | None, target: bytes = b"/") -> None:
    assert observer is not None
    observer("192.0.2.1", request(target), Answer(204, 7), 0.25, "a note")


class Failing:
    """Keeps what it is told, and fails each time."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.kept = KeptAnswers()

    def __call__(self, *told: Any) -> None:
        self.kept(*told)
        raise self.error


def test_nobody_is_none() -> None:
    assert compose() is None
    assert compose(None, None) is None


def test_one_is_itself() -> None:
    one = KeptAnswers()
    assert compose(None, one, None) is one


def test_of_several_each_is_told_in_order() -> None:
    order: list[str] = []
    answers = [KeptAnswers(), KeptAnswers()]

    def first(*told: Any) -> None:
        order.append("first")
        answers[0](*told)

    def second(*told: Any) -> None:
        order.append("second")
        answers[1](*told)

    tell(compose(first, None, second), b"/a")
    assert order == ["first", "second"]
    told = ("192.0.2.1", "GET", b"/a", "1.1", 204, 7, 0.25, "a note")
    assert [each.kept for each in answers] == [[told], [told]]


def test_the_note_may_be_left_out() -> None:
    answers = KeptAnswers()
    both = compose(answers, KeptAnswers())
    assert both is not None
    both("", request(), Answer(), 0.0)
    assert answers.kept[0].note == ""


def test_one_that_fails_harms_nobody_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, worse, good = Failing(LookupError("bad")), Failing(OSError("worse")), KeptAnswers()
    all_three = compose(bad, worse, good)
    for target in (b"/a", b"/b", b"/c"):
        tell(all_three, target)
    for told in (bad.kept, worse.kept, good):
        assert [line.target for line in told.kept] == [b"/a", b"/b", b"/c"]
    told_of = [(record.name, record.levelno) for record in caplog.records]
    assert told_of == [("bare_serve.worker", logging.ERROR)] * 2
    assert caplog.text.count("LookupError: bad") == 1
    assert caplog.text.count("OSError: worse") == 1


def test_one_that_ends_the_process_is_not_held_up() -> None:
    all_told = compose(Failing(KeyboardInterrupt()), KeptAnswers())
    with pytest.raises(KeyboardInterrupt):
        tell(all_told)
