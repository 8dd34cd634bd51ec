"""Workers are replaced for their age, their requests or their memory: the next one ready first."""

from __future__ import annotations

import os

import pytest

from bare_serve.supervision import Policy
from tests.supervision.master import Master, master
from tests.support import eventually

COUNTING = """
def run_worker(slot, index):
    # Of the first generation every worker has served 100 requests at once.
    old = not (SCRATCH / str(index)).exists()
    (SCRATCH / str(index)).touch()
    real = slot.beat
    slot.beat = lambda connections, requests: real(connections, 100 if old else 0)
    serve(slot, index)
"""


def _each_was_replaced_ready_first(m: Master, count: int) -> None:
    m.ready(2 * count)
    eventually(lambda: len(m.notes("drained")) == count)
    for index, pid in m.notes("drained"):
        [successor] = [p for i, p in m.notes("ready") if i == index and p != pid]
        drained = m.notes().index(["drained", index, pid])
        assert m.notes().index(["up", index, successor]) < drained


def test_after_so_many_requests() -> None:
    with master(COUNTING, workers=2, max_requests=100, max_requests_jitter=0) as m:
        _each_was_replaced_ready_first(m, 2)
        assert "has served 100 requests and is replaced." in m.stderr
        assert "Reloaded" not in m.stderr
        assert m.stop() == 0


def test_after_some_time() -> None:
    with master(workers=1, max_lifetime=0.2) as m:
        m.ready(4)
        assert "and is replaced." in m.stderr
        assert m.stop() == 0


def test_for_its_memory() -> None:
    source = """
import bare_serve.supervision.termination as warden
warden._SETTLED = 0.0
def run_worker(slot, index):
    first = not (SCRATCH / "seen").exists()
    (SCRATCH / "seen").touch()
    hoard = b"x" * (200 << 20 if first else 1)
    serve(slot, index)
"""
    with master(source, workers=1, max_memory=150 << 20) as m:
        _each_was_replaced_ready_first(m, 1)
        assert "MiB of memory, more than 150 MiB and is replaced." in m.stderr
        assert m.stop() == 0


def test_one_at_a_time() -> None:
    source = (
        COUNTING
        + """
real_run = run_worker
def run_worker(slot, index):
    note("born", os.getpid())
    while (SCRATCH / "1").exists() and (SCRATCH / "2").exists() and not (SCRATCH / "go").exists():
        time.sleep(0.005)
    real_run(slot, index)
"""
    )
    with master(source, workers=2, max_requests=100, max_requests_jitter=0) as m:
        m.logged("is replaced.")
        eventually(lambda: len(m.notes("born")) == 3)
        assert m.stderr.count("is replaced.") == 1
        (m.scratch / "go").touch()
        m.ready(4)
        assert m.stop() == 0


def test_replacement_that_cannot_boot_leaves_the_old_worker_and_waits() -> None:
    source = (
        COUNTING
        + """
real_run = run_worker
def run_worker(slot, index):
    if (SCRATCH / "1").exists() and not (SCRATCH / "repaired").exists():
        note("broken", time.monotonic())
        return slot.failed("Broken.", "Traceback of the app")
    real_run(slot, index)
"""
    )
    policy = {"max_requests": 1, "max_requests_jitter": 0, "backoff_first": 0.05}
    with master(source, workers=1, **policy) as m:
        [(_, pid)] = m.ready(1)
        m.logged(f"Worker 1 (pid {pid}) goes on. The next attempt is in 0.1 s.")
        assert m.workers[:1] == [pid]
        assert m.stderr.count("Traceback of the app") == 1
        (m.scratch / "repaired").touch()
        m.ready(2)
        eventually(lambda: m.notes("drained") == [["1", str(pid)]])
        assert m.stop() == 0


def test_not_all_workers_come_to_their_end_together() -> None:
    policy = Policy(max_requests=1000, max_lifetime=1000)
    requests = {policy.requests_of_one() for _ in range(1000)}
    assert min(requests) >= 1000
    assert max(requests) <= 1100
    assert len(requests) > 50
    lifetimes = [policy.lifetime_of_one() for _ in range(1000)]
    assert 900 <= min(lifetimes) < max(lifetimes) <= 1000
    exact = Policy(max_requests=5, max_requests_jitter=0)
    assert {exact.requests_of_one() for _ in range(10)} == {5}


@pytest.mark.parametrize("off", [Policy(), Policy(max_requests_jitter=100)])
def test_off_is_off(off: Policy) -> None:
    assert off.requests_of_one() == off.lifetime_of_one() == 0
    assert not off.looks_at_workers


def test_death_tells_what_was_in_progress() -> None:
    source = """
def run_worker(slot, index):
    slot.report_activity("GET /crash; POST /pay")
    serve(slot, index)
"""
    with master(source, workers=1) as m:
        [(_, pid)] = m.ready(1)
        os.kill(pid, 11)
        log = m.logged("It was at work on: GET /crash; POST /pay.")
        assert f"Worker 1 (pid {pid}) was killed by SIGSEGV." in log
        m.ready(2)
        assert m.stop() == 0
