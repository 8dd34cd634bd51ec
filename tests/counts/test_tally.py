"""What is counted of answers, by class and by bucket."""

from __future__ import annotations

import threading

import pytest

from bare_serve.counts import numbers
from bare_serve.counts.records import Counters, quantile
from bare_serve.counts.tally import Tally
from tests.support.answers import Answer, KeptAnswers, request


def counters(tally: Tally) -> Counters:
    return Counters.of(tally.published(0, 0))


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (101, "1xx"), (200, "2xx"), (204, "2xx"), (308, "3xx"), (404, "4xx"), (499, "left"),
        (503, "5xx"), (600, "other"), (999, "other"), (1000, "websocket"), (4999, "websocket"),
    ],
)  # fmt: skip
def test_each_status_has_its_class(status: int, name: str) -> None:
    tally = Tally()
    tally.observer()("", request(), Answer(status, 7), 0.001)
    found = counters(tally)
    counted = {each: one.answers for each, one in found.durations.items() if one.answers}
    assert counted == {name: 1}
    assert found.bytes_out == 7


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.005, 0), (0.0051, 1), (0.01, 1), (0.3, 7), (10.0, 13), (11.0, 14)],
)
def test_a_bound_belongs_to_its_bucket(seconds: float, bucket: int) -> None:
    tally = Tally()
    tally.observer()("", request(), Answer(200, 0), seconds)
    found = counters(tally).durations["2xx"]
    assert found.buckets.index(1) == bucket
    assert found.seconds == pytest.approx(seconds, abs=1e-8)


def test_threads_lose_nothing() -> None:
    tally = Tally()
    count = tally.observer()

    def many() -> None:
        for _ in range(5000):
            count("", request(), Answer(200, 1), 0.02)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters(tally).durations["2xx"].answers == 20_000
    assert counters(tally).bytes_out == 20_000


def test_another_observer_is_told_as_well() -> None:
    kept = KeptAnswers()
    Tally().observer(kept)("192.0.2.1", request(), Answer(200, 3), 0.5, "a note")
    assert [(line.client, line.status, line.note) for line in kept.kept] == [
        ("192.0.2.1", 200, "a note")
    ]


def test_refusals_are_counted_by_status() -> None:
    tally = Tally()
    for status in (400, 400, 431, 418):
        tally.refused(status)
    found = {name: count for name, count in counters(tally).refused.items() if count}
    assert found == {"400": 2, "431": 1, "other": 1}


def test_a_window_begins_where_the_last_one_ended() -> None:
    tally = Tally()
    words = tally.published(0, 0)
    begun = tally.windows(words, 0.0)
    assert tally.windows(words, 0.0) == begun
    tally.observer()("", request(), Answer(200, 0), 0.02)
    later = tally.windows(tally.published(5, 0), 1e9)
    assert later != begun
    width = numbers.WINDOW_WORDS
    assert later[width + numbers.WINDOW_REQUESTS] == 5
    assert sum(later[width + numbers.WINDOW_BUCKETS : 2 * width]) == 1
    assert quantile(later[width + numbers.WINDOW_BUCKETS :][: numbers.BUCKETS], 0.5) is not None
