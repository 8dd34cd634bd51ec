"""The queue and the clock over requests, on a loop whose time is the test's."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from bare_serve.asgi.admission import QUEUE_SECONDS, Admission, RequestTimeouts


class Loop:
    """What the two use of an event loop."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[..., Any]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any]) -> object:
        assert when >= self.now, "in the past"
        self._count += 1
        heapq.heappush(self._due, (when, self._count, callback))
        return object()

    def call_later(self, delay: float, callback: Callable[..., Any]) -> object:
        return self.call_at(self.now + delay, callback)

    def call_soon(self, callback: Callable[..., Any]) -> object:
        return self.call_at(self.now, callback)

    def until(self, time: float) -> None:
        """All that is due by then happens, at its time."""
        while self._due and self._due[0][0] <= time:
            self.now, _, callback = heapq.heappop(self._due)
            callback()
        self.now = time

    @property
    def timers(self) -> list[float]:
        return sorted(when for when, *_ in self._due)


class Request:
    """Remembers what became of it."""

    def __init__(self, running: set[Any], begun: float = 0.0) -> None:
        self.running = running
        self.gone = 0
        self.left = 0
        self.timed = True
        self.begun = begun
        self.cancelled = 0.0
        self.told: list[str] = []

    def start(self) -> None:
        self.told.append("started")
        self.running.add(self)

    def refuse(self) -> None:
        self.told.append("refused")

    def cancel_late(self) -> None:
        self.told.append("cancelled")

    def answer_late(self) -> None:
        self.told.append("answered")


class Queue:
    """An admission, its loop, and requests of it."""

    def __init__(self, limit: int) -> None:
        self.loop = Loop()
        self.running: set[Any] = set()
        self.admission = Admission(limit, self.loop, self.running)  # type: ignore[arg-type]

    def enter(self, count: int = 1) -> list[Request]:
        made = [Request(self.running) for _ in range(count)]
        for request in made:
            self.admission.enter(request)
        return made

    def end(self, request: Request) -> None:
        self.running.discard(request)
        self.admission.leave(request)
        self.loop.until(self.loop.now)

    def forsake(self, request: Request) -> None:
        request.left = 1
        self.admission.forsaken(request)
        self.loop.until(self.loop.now)


def told(requests: list[Request]) -> list[str]:
    return ["".join(request.told) for request in requests]


def test_as_many_run_as_many_wait_and_no_more() -> None:
    queue = Queue(2)
    requests = queue.enter(6)
    assert told(requests) == ["started", "started", "", "", "refused", "refused"]
    queue.end(requests[0])
    assert told(requests[2:4]) == ["started", ""], "in their order"
    assert told(queue.enter()) == [""], "there is room for one again, behind the other"


def test_who_comes_later_does_not_pass_who_waits() -> None:
    queue = Queue(1)
    first, second = queue.enter(2)
    queue.running.discard(first)  # it has ended, and the queue has not been told yet
    (third,) = queue.enter()
    assert told([second, third]) == ["", "refused"]
    queue.admission.leave(first)
    queue.loop.until(queue.loop.now)
    assert told([second]) == ["started"]


def test_each_waits_for_its_own_second() -> None:
    assert QUEUE_SECONDS == 1.0
    queue = Queue(3)
    queue.enter(3)
    (early,) = queue.enter()
    queue.loop.until(100.5)
    (late,) = queue.enter()
    queue.loop.until(100.9)
    assert told([early, late]) == ["", ""]
    queue.loop.until(101.0)
    assert told([early, late]) == ["refused", ""]
    queue.loop.until(101.4)
    assert told([late]) == [""]
    queue.loop.until(101.5)
    assert told([late]) == ["refused"]
    assert queue.loop.timers == []
    (again,) = queue.enter()
    queue.loop.until(102.4)
    assert told([again]) == [""]
    queue.loop.until(102.5)
    assert told([again]) == ["refused"], "the timer is there anew"


def test_the_next_timer_is_for_who_has_waited_longest() -> None:
    queue = Queue(3)
    queue.enter(3)
    waiting = []
    for second in (0.0, 0.3, 0.6):
        queue.loop.until(100.0 + second)
        waiting += queue.enter()
    seen = {}
    for second in (0.9, 1.0, 1.2, 1.3, 1.5, 1.6):
        queue.loop.until(100.0 + second)
        seen[second] = told(waiting).count("refused")
    assert seen == {0.9: 0, 1.0: 1, 1.2: 1, 1.3: 2, 1.5: 2, 1.6: 3}


def test_who_has_its_turn_is_not_refused_later() -> None:
    queue = Queue(1)
    first, second = queue.enter(2)
    queue.end(first)
    queue.loop.until(105)
    assert told([second]) == ["started"]


def test_a_turn_of_who_has_left_goes_to_the_next() -> None:
    queue = Queue(2)
    first, _, gone, fourth = queue.enter(4)
    gone.gone = 1
    queue.end(first)
    assert told([gone, fourth]) == ["refused", "started"]


def test_nobody_has_a_turn_behind_the_end() -> None:
    queue = Queue(2)
    requests = queue.enter(4)
    queue.admission.close()
    assert told(requests) == ["started", "started", "refused", "refused"]
    queue.end(requests[0])
    queue.loop.until(105)
    assert told(requests) == ["started", "started", "refused", "refused"], "once"


def test_requests_whose_clients_have_left_do_not_count() -> None:
    queue = Queue(2)
    first, _, third, fourth = queue.enter(4)
    queue.forsake(first)
    assert told([third, fourth]) == ["started", ""]
    queue.end(first)
    assert told([fourth]) == [""], "the place of the first was given away before"
    queue.end(third)
    assert told([fourth]) == ["started"]


def test_who_leaves_before_it_begins_does_not_count_once_it_runs() -> None:
    queue = Queue(1)
    first, second = queue.enter(2)
    second.left = 1
    queue.admission.forsaken(second)  # it has no place that it could give back
    queue.loop.until(queue.loop.now)
    (third,) = queue.enter()
    assert told([second, third]) == ["", "refused"]
    queue.end(first)
    (third,) = queue.enter()
    assert told([second, third]) == ["started", "started"]


def test_not_any_number_of_clients_may_leave() -> None:
    queue = Queue(1)
    (latest,) = queue.enter()
    for _ in range(8):
        queue.forsake(latest)
        (latest,) = queue.enter()
        assert told([latest]) == ["started"]
    queue.forsake(latest)
    (waits,) = queue.enter()
    assert told([waits]) == [""], "as many as eight times the limit go uncounted"
    queue.end(latest)
    assert told([waits]) == ["started"]


# ------------------------------------------------------------------------------ the clock


@pytest.mark.parametrize(
    ("seconds", "period"), [(0.1, 0.02), (0.4, 0.02), (0.6, 0.03), (2, 0.1), (20, 1), (600, 1)]
)
def test_how_often_the_clock_looks(seconds: float, period: float) -> None:
    loop = Loop()
    RequestTimeouts(seconds, loop, [])  # type: ignore[arg-type]
    for count in range(1, 4):
        assert loop.timers == [pytest.approx(100 + count * period)]
        loop.until(loop.timers[0])


def test_a_request_is_cancelled_and_then_answered() -> None:
    loop = Loop()
    late, stream = Request(set()), Request(set())
    stream.timed = False
    running = [stream, late]
    RequestTimeouts(10, loop, running)  # type: ignore[arg-type]
    loop.until(100.5)
    assert late.begun == 100.5, "seen by the first look"
    loop.until(110.4)
    assert late.told == []
    loop.until(110.5)
    assert late.told == ["cancelled"]
    assert late.cancelled == 110.5
    loop.until(111.4)
    assert late.told == ["cancelled"], "it has a second for its own last words"
    loop.until(111.5)
    assert late.told == ["cancelled", "answered"]
    assert stream.told == []


def test_a_request_that_ends_is_forgotten() -> None:
    loop = Loop()
    request = Request(set())
    running = [request]
    RequestTimeouts(2, loop, running)  # type: ignore[arg-type]
    loop.until(101)
    running.clear()
    loop.until(200)
    assert request.told == []
