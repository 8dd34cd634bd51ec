"""The switch interval: whose it is, and how it finds the share of a call that computes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from bare_serve.workers.wsgi.compute_gate import CONVINCED, CallProfile, ComputeGate
from bare_serve.workers.wsgi.switch_interval import BRIEF, LONGEST, SHARE, SwitchInterval


@pytest.fixture(autouse=True)
def pythons_own() -> Iterator[float]:
    before = sys.getswitchinterval()
    yield before
    sys.setswitchinterval(before)


def after_calls(share: Callable[[float], float], calls: int = 40) -> tuple[float, float]:
    """Return the interval that is found and the share it gives, on a machine with this law."""
    interval = SwitchInterval()
    for _ in range(calls):
        had = share(interval.while_computing)
        interval.learn(0.05, 0.05 / had, 0.05 / had)
    return interval.while_computing, share(interval.while_computing)


@pytest.mark.parametrize("leader", [0.0001, 0.0003, 0.001, 0.002])
def test_a_call_gets_its_share_whatever_the_leader_takes_at_a_time(leader: float) -> None:
    _, share = after_calls(lambda interval: interval / (interval + leader))
    assert share == pytest.approx(SHARE, abs=0.02)


def test_one_that_has_more_at_the_briefest_interval_is_left_there() -> None:
    assert after_calls(lambda interval: 0.8) == (BRIEF, 0.8)


def test_one_that_never_gets_its_share_has_pythons_own_interval_at_most() -> None:
    assert after_calls(lambda interval: 0.3) == (LONGEST, 0.3)
    assert LONGEST == 0.005


def test_quick_requests_that_stop_coming_make_it_brief_again() -> None:
    interval = SwitchInterval()
    interval.while_computing = LONGEST
    for _ in range(6):
        interval.learn(0.05, 0.05, 0.05)
    assert interval.while_computing == BRIEF


def test_who_computes_without_the_interpreter_takes_nothing_from_the_call() -> None:
    interval = SwitchInterval()
    interval.while_computing = 0.001
    interval.learn(0.05, 0.20, 0.05)  # three cores beside
    assert interval.while_computing < 0.001


def test_time_that_other_processes_took_is_nobodys() -> None:
    interval = SwitchInterval()
    interval.while_computing = 0.001
    interval.learn(0.05, 0.05 / SHARE, 0.5)
    assert interval.while_computing == pytest.approx(0.001)


def test_it_is_the_workers_for_as_long_as_that_serves() -> None:
    before = sys.getswitchinterval()
    interval = SwitchInterval()
    interval.begin_turn()
    assert sys.getswitchinterval() == before
    with interval:
        assert sys.getswitchinterval() == pytest.approx(BRIEF)
        interval.while_computing = 0.002
        interval.begin_turn()
        assert sys.getswitchinterval() == pytest.approx(0.002)
        interval.end_turn()
        assert sys.getswitchinterval() == pytest.approx(BRIEF)
    interval.end_turn()  # of a call that outlives its worker
    assert sys.getswitchinterval() == pytest.approx(before)


def in_turn(gate: ComputeGate) -> CallProfile:
    profile = CallProfile()
    for _ in range(CONVINCED):
        profile.learn(True)
    gate.interval.while_computing = 0.002
    return profile


@pytest.mark.parametrize("how", ["ends", "waits for its client"])
def test_the_longer_interval_is_that_of_a_turn(how: str) -> None:
    gate = ComputeGate()
    profile = in_turn(gate)
    with gate.interval:
        call = gate.begin(profile)
        assert sys.getswitchinterval() == pytest.approx(0.002)
        if how == "ends":
            gate.end(call)
        else:
            gate.let_pass(call)
        assert sys.getswitchinterval() == pytest.approx(BRIEF)
        if how != "ends":
            gate.end(call)
    assert gate.interval.while_computing == 0.002, "a call that hardly computed teaches nothing"


def test_a_call_whose_nature_is_not_known_can_be_interrupted_at_once() -> None:
    gate = ComputeGate()
    in_turn(gate)
    with gate.interval:
        gate.end(gate.begin(CallProfile()))
        call = gate.begin(CallProfile())
        assert sys.getswitchinterval() == pytest.approx(BRIEF)
        gate.end(call)


def test_a_turn_that_was_not_shared_makes_the_next_one_briefer() -> None:
    gate = ComputeGate()
    profile = in_turn(gate)
    with gate.interval:
        call = gate.begin(profile)
        while call.since.own + 0.01 > time.thread_time():
            pass
        gate.end(call)
    assert gate.interval.while_computing == pytest.approx(0.001)
