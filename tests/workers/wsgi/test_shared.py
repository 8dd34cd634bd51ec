"""What the threads of a worker share, and how long a stop may take, without a thread."""

from __future__ import annotations

import math
import time

import pytest

from bare_serve.workers.idle_rounds import FRESH_LINGER, IDLE_LINGER
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.wsgi.shared import Drain, Shared
from tests.workers.wsgi.threads import Slot, hello, running


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle(Slot(), None)


def test_without_a_wish_to_stop_time_is_infinite(lifecycle: Lifecycle) -> None:
    drain = Drain(lifecycle)
    assert not drain.out_of_time(1e12)
    assert drain.seconds_left() == math.inf
    assert not drain.begun


def test_the_grace_period_begins_with_the_wish_to_stop(lifecycle: Lifecycle) -> None:
    """Its last second is for what is given up: a master kills half a second behind its end."""
    drain = Drain(lifecycle)
    before = time.monotonic()
    lifecycle.stop()
    after = time.monotonic()
    assert not drain.out_of_time(before + 28.9)
    assert drain.out_of_time(after + 29.0)
    assert not drain.begun, "also while no thread can drain"


def test_a_drain_begins_the_rounds(lifecycle: Lifecycle) -> None:
    drain = Drain(lifecycle)
    lifecycle.stop()
    drain.begin(100.0)
    assert drain.begun
    assert drain.rounds.due == 100.0 + IDLE_LINGER
    assert not drain.rounds.fresh(100.0 + FRESH_LINGER - 0.01)
    assert drain.rounds.fresh(100.0 + FRESH_LINGER)


def test_a_hurry_leaves_no_time(lifecycle: Lifecycle) -> None:
    drain = Drain(lifecycle)
    lifecycle.stop(hurry=True)
    assert drain.out_of_time(100.0)
    assert drain.seconds_left() == 0.0


def test_what_a_stop_leaves_to_requests(lifecycle: Lifecycle) -> None:
    drain = Drain(lifecycle)
    lifecycle.stop()
    first = drain.seconds_left()
    assert 0.0 < first < math.inf
    assert drain.seconds_left() <= first, "it grows less"


def test_requests_of_threads_that_have_ended_count_on() -> None:
    with running(hello) as worker, worker.client() as client:
        shared: Shared = worker.shared
        client.request()
        before = shared.requests
        ended = shared.new_call()
        shared.calls.append(ended)
        ended.requests = 7
        assert shared.requests == before + 7
        shared.retire(ended)
        assert ended not in shared.calls
        assert shared.requests == before + 7


def test_half_of_the_threads_may_read_bodies_piece_by_piece() -> None:
    with running(hello, threads=4) as worker:
        shared: Shared = worker.shared
        numbers = set()
        for allowed in (True, True, False):
            assert shared.may_stream() is allowed
            call = shared.new_call()
            call.streams = True
            numbers.add(call.number)
            shared.calls.append(call)
        assert len(numbers) == 3
