"""Which slow calls compute, and how those take turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from bare_serve.workers.wsgi import compute_gate
from bare_serve.workers.wsgi.compute_gate import CallProfile, ComputeGate, Spent, is_gil_bound


@pytest.mark.parametrize(
    ("own", "queued", "wall", "everybody", "rivals", "verdict"),
    [
        pytest.param(0.05, 0, 0.25, 0.25, 5, True, id="four compute beside the leader"),
        pytest.param(0.05, 0, 0.10, 0.10, 2, True, id="one computes beside a leader with work"),
        pytest.param(0.05, 0, 0.10, 0.14, 2, True, id="whose system calls need no interpreter"),
        pytest.param(0.05, 0.05, 0.5, 0.25, 5, True, id="four, half of the core is stolen"),
        pytest.param(0.05, 0, 0.052, 0.052, 2, None, id="one computes beside an idle leader"),
        pytest.param(0.05, 0, 0.055, 0.16, 5, None, id="four compute without the interpreter"),
        pytest.param(0.05, 0, 0.10, 0.20, 5, False, id="the same, with too few cores for all"),
        pytest.param(0.05, 0.05, 0.10, 0.05, 2, None, id="one computes, half of it is stolen"),
        pytest.param(0.000, 0, 0.05, 0.001, 5, False, id="four sleep"),
        pytest.param(0.001, 0, 0.05, 0.05, 5, False, id="four sleep beside a leader with work"),
        pytest.param(0.01, 0, 0.10, 0.04, 5, False, id="four wait most of the time"),
        pytest.param(0.01, 0, 0.20, 0.20, 2, False, id="one waits most of the time, leader works"),
        pytest.param(0.025, 0, 0.05, 0.025, 2, False, id="one waits half of the time"),
    ],
)
def test_verdicts(
    own: float, queued: float, wall: float, everybody: float, rivals: int, verdict: bool | None
) -> None:
    assert is_gil_bound(Spent(own, queued, wall), everybody, rivals) is verdict


def test_one_verdict_does_not_convince() -> None:
    profile = CallProfile()
    profile.learn(True)
    profile.learn(False)
    profile.learn(True)
    assert not profile.computes
    profile.learn(True)
    assert profile.computes


def test_bad_luck_is_held_against_few_others() -> None:
    profile = convinced()
    for _ in range(50):
        profile.learn(True)
    for _ in range(compute_gate.MOST_EVIDENCE - 1):
        profile.learn(False)
    assert profile.computes
    profile.learn(False)
    assert not profile.computes


def test_a_kind_that_took_turns_in_vain_is_spared() -> None:
    profile = convinced()
    for _ in range(compute_gate.CONVINCED):
        profile.learn(False)
    assert not profile.computes
    for _ in range(compute_gate.SPARED_CALLS - 1):
        profile.learn(True)
    assert not profile.computes
    for _ in range(compute_gate.CONVINCED):
        profile.learn(True)
    assert profile.computes


def test_what_was_found_out_is_valid_for_a_while() -> None:
    profile = convinced()
    for _ in range(compute_gate.VALID_CALLS):
        assert profile.computes
        profile.learn(None)
    assert not profile.computes
    for _ in range(compute_gate.CONVINCED):
        profile.learn(True)
    assert profile.computes


def convinced() -> CallProfile:
    profile = CallProfile()
    for _ in range(compute_gate.CONVINCED):
        profile.learn(True)
    assert profile.computes
    return profile


# ---------------------------------------------------------------- the gate


def test_calls_that_compute_run_one_at_a_time() -> None:
    gate, profile = ComputeGate(patience=30), convinced()
    first = gate.begin(profile)
    second = begun(gate, profile)
    gate.end(gate.begin(CallProfile()))
    assert not second.wait(0), "those that do not compute have passed, it has not"
    gate.end(first)
    assert second.wait(30)


def begun(gate: ComputeGate, profile: CallProfile) -> threading.Event:
    """Set once another thread has had its turn."""
    done = threading.Event()

    def call() -> None:
        gate.end(gate.begin(profile))
        done.set()

    threading.Thread(target=call).start()
    return done


def test_patience_has_an_end() -> None:
    """A call may wait for one that waits for its turn."""
    gate, profile = ComputeGate(patience=0.01), convinced()
    first = gate.begin(profile)
    assert begun(gate, profile).wait(30)
    gate.end(first)
    third = gate.begin(convinced())
    assert third.has_gate, "who went without the gate has not opened it for others"
    gate.end(third)


def test_nobody_waits_behind_a_call_that_holds_the_gate_for_long() -> None:
    gate, profile = ComputeGate(patience=3600), convinced()
    first = gate.begin(profile)
    gate._taken_at -= 7200
    assert not gate.begin(profile).has_gate
    gate.end(first)
    assert gate.begin(profile).has_gate


def test_the_time_before_its_turn_is_not_the_calls() -> None:
    gate, profile = ComputeGate(patience=0.2), convinced()
    first = gate.begin(profile)
    assert gate.end(gate.begin(profile)) < 0.2
    assert gate.end(first) >= 0.2


@pytest.mark.long
def test_calls_that_compute_are_found_out() -> None:
    """A machine that does much else hides it now and then."""
    assert any(found_out(lambda: sum(range(1000))) for _ in range(5))


def test_calls_that_sleep_are_left_alone() -> None:
    assert not found_out(lambda: time.sleep(0.001))


def found_out(step: Callable[[], object]) -> bool:
    """Whether four threads, each of whose calls needs 10 ms, end up taking turns."""
    gate, profile = ComputeGate(), CallProfile()

    def loop() -> None:
        for _ in range(30):
            compute_pass = gate.begin(profile)
            needed = time.thread_time if step() else time.monotonic
            end = needed() + 0.01
            while needed() < end:
                step()
            gate.end(compute_pass)
            if profile.computes:
                return

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return profile.computes


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)
    before = compute_gate.spent()
    assert compute_gate.spent().since(before).queued == 0
