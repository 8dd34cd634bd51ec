"""HUP replaces workers without a gap, TTIN and TTOU change their number."""

from __future__ import annotations

import os
import signal

from tests.supervision.master import master
from tests.support import eventually


def test_reload_replaces_each_worker_once_its_successor_is_ready() -> None:
    with master(workers=2) as m:
        old = m.ready(2)
        m.send(signal.SIGHUP)
        m.logged("Reloaded: all workers are new.")
        new = m.ready(4)[2:]
        eventually(lambda: len(m.notes("drained")) == 2)
        assert sorted(index for index, _ in new) == [1, 2]
        for index, pid in old:
            successor = ["up", str(index), str(dict(new)[index])]
            assert m.notes().index(successor) < m.notes().index(["drained", str(index), str(pid)])
        eventually(lambda: sorted(m.workers) == sorted(pid for _, pid in new))
        assert len(m.notes("banner")) == 1
        assert m.stop() == 0


CAN_BE_BROKEN = """
def run_worker(slot, index):
    if (SCRATCH / "broken").exists():
        note("broken", index)
        slot.failed("SyntaxError in shop.py, see its traceback", "Traceback of the app")
        return
    serve(slot, index)
"""


def test_reload_of_code_that_cannot_boot_leaves_the_old_workers_alone() -> None:
    with master(CAN_BE_BROKEN, workers=2) as m:
        old = sorted(pid for _, pid in m.ready(2))
        (m.scratch / "broken").touch()
        m.send(signal.SIGHUP)
        log = m.logged("Not reloaded")
        assert "Traceback of the app" in log
        assert "SyntaxError in shop.py, see its traceback. Not reloaded: " in log
        assert sorted(m.workers) == old
        assert len(m.notes("broken")) == 1  # the second place is not even tried
        (m.scratch / "broken").unlink()
        m.send(signal.SIGHUP)
        m.logged("Reloaded")
        assert m.stop() == 0


def test_reload_during_a_backoff_tries_the_new_code_at_once() -> None:
    with master(CAN_BE_BROKEN, workers=1, backoff_first=600, backoff_most=600) as m:
        [(_, pid)] = m.ready(1)
        (m.scratch / "broken").touch()
        os.kill(pid, signal.SIGKILL)
        m.logged("The next attempt is in 600 s.")
        (m.scratch / "broken").unlink()
        m.send(signal.SIGHUP)
        m.ready(2)
        m.logged("Reloaded: all workers are new.")
        assert m.stop() == 0


SLOW = """
def run_worker(slot, index):
    if (SCRATCH / "slow").exists():
        note("born", os.getpid())
        while (SCRATCH / "slow").exists():
            time.sleep(0.005)
    serve(slot, index)
"""


def test_holder_that_dies_during_a_reload_is_followed_by_its_successor() -> None:
    with master(SLOW, workers=1) as m:
        [(_, pid)] = m.ready(1)
        (m.scratch / "slow").touch()
        m.send(signal.SIGHUP)
        eventually(lambda: m.notes("born"))
        os.kill(pid, signal.SIGKILL)
        m.logged("was killed by SIGKILL")
        (m.scratch / "slow").unlink()
        successor = m.ready(2)[1][1]
        assert m.notes("born") == [[str(successor)]]
        assert m.workers == [successor]
        m.logged("Reloaded: all workers are new.")
        assert m.stop() == 0


def test_reload_ends_if_its_last_place_is_taken_away() -> None:
    source = SLOW.replace('"slow").exists()', '"slow").exists() and index == 2')
    with master(source, workers=2) as m:
        m.ready(2)
        (m.scratch / "slow").touch()
        m.send(signal.SIGHUP)
        eventually(lambda: m.notes("born"))  # the first place is new, the second waits
        m.send(signal.SIGTTOU)
        m.logged("Reloaded: all workers are new.")
        assert m.stop() == 0


def test_reload_that_does_not_mend_a_crash_loop_ends() -> None:
    with master(CAN_BE_BROKEN, workers=1, backoff_first=600, backoff_most=600) as m:
        [(_, pid)] = m.ready(1)
        (m.scratch / "broken").touch()
        os.kill(pid, signal.SIGKILL)
        m.logged("The next attempt is in 600 s.")
        m.send(signal.SIGHUP)
        m.logged("Reloaded: only 0 of 1 workers started.")
        assert m.stop() == 0


def test_reload_survives_whatever_reading_the_settings_raises() -> None:
    source = """
def fail():
    raise RuntimeError("nobody thought of this")
class Supervisor(Supervisor):
    def __init__(self, policy, callbacks):
        super().__init__(policy, callbacks._replace(reload_settings=fail))
"""
    with master(source, workers=1) as m:
        [(_, pid)] = m.ready(1)
        m.send(signal.SIGHUP)
        log = m.logged("nobody thought of this. Not reloaded: the workers there were go on.")
        assert "in fail" in log
        assert m.workers == [pid]
        assert m.stop() == 0


def test_storm_of_reloads_ends_with_new_workers() -> None:
    with master(workers=2) as m:
        m.ready(2)
        for _ in range(20):
            m.send(signal.SIGHUP)
        m.logged("Reloaded")
        eventually(lambda: len(m.workers) == 2)
        assert m.stop() == 0


def test_one_more_and_one_fewer() -> None:
    with master(workers=1) as m:
        [(_, first)] = m.ready(1)
        m.send(signal.SIGTTIN)
        index, second = m.ready(2)[1]
        assert index == 2
        m.send(signal.SIGTTOU)
        eventually(lambda: m.workers == [first])
        assert m.notes("drained") == [["2", str(second)]]
        m.send(signal.SIGTTOU)  # the last one stays
        m.logged("There can be from 1")
        assert m.workers == [first]
        assert m.stop() == 0


def test_reload_for_which_nothing_can_be_forked_says_so() -> None:
    source = """
real_fork, forks = os.fork, []
def fork():
    if os.getpid() == MASTER:
        forks.append(1)
        if len(forks) == 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
    return real_fork()
os.fork = fork
"""
    with master(source, workers=2) as m:
        old = m.ready(2)
        eventually(lambda: "All 2 workers are ready." in m.stderr)
        m.send(signal.SIGHUP)
        m.logged("Cannot start worker 1: Resource temporarily unavailable.")
        m.logged("Not reloaded: the workers there were go on.")
        assert sorted(m.workers) == sorted(pid for _, pid in old)
        m.send(signal.SIGHUP)
        m.logged("Reloaded: all workers are new.")
        assert m.stop() == 0


def test_reload_that_was_asked_for_while_another_fails_goes_on() -> None:
    source = """
def run_worker(slot, index):
    if (SCRATCH / "broken").exists():
        note("broken", index)
        while (SCRATCH / "broken").exists():
            time.sleep(0.01)
        slot.failed("It is broken.")
    else:
        serve(slot, index)
"""
    with master(source, workers=1) as m:
        [(_, old)] = m.ready(1)
        eventually(lambda: m.notes("banner"))
        (m.scratch / "broken").touch()
        m.send(signal.SIGHUP)
        eventually(lambda: m.notes("broken"))
        m.send(signal.SIGHUP)
        eventually(lambda: m.stderr.count("Reloading: every worker") == 2)
        (m.scratch / "broken").unlink()
        m.logged("It is broken. The reload that was asked for since goes on.")
        m.logged("Reloaded: all workers are new.")
        assert m.ready(2)[-1][1] != old
        assert m.stop() == 0


# Each successor waits until the test lets it go on, so that nothing depends on who is quicker.
ONE_BY_ONE = """
def run_worker(slot, index):
    note("born", index, os.getpid())
    if (SCRATCH / "slow").exists():
        while not (SCRATCH / str(os.getpid())).exists():
            time.sleep(0.005)
    serve(slot, index)
"""


def test_reloads_that_come_before_the_last_is_over_starve_nobody() -> None:
    with master(ONE_BY_ONE, workers=4) as m:
        old = {pid for _, pid in m.ready(4)}
        (m.scratch / "slow").touch()
        for turn in range(1, 9):
            m.send(signal.SIGHUP)
            eventually(lambda n=turn: m.stderr.count("Reloading: every worker") == n)
            born = eventually(lambda n=turn: m.notes("born")[4:][n - 1 :], "the next one")
            (m.scratch / born[0][1]).touch()
            m.ready(4 + turn)
        assert not old & set(m.workers)
        # All four within the first four turns, and again in the same order within the next four.
        order = [int(index) for index, _ in m.notes("born")[4:12]]
        assert order == [1, 2, 3, 4, 1, 2, 3, 4]
        (m.scratch / "slow").unlink()
        for pid in m.workers:
            (m.scratch / str(pid)).touch()
        m.logged("Reloaded: all workers are new.")
        assert m.stop() == 0


def test_a_reload_during_a_reload_says_how_far_the_first_one_was() -> None:
    with master(ONE_BY_ONE, workers=3) as m:
        m.ready(3)
        (m.scratch / "slow").touch()
        m.send(signal.SIGHUP)
        first = eventually(lambda: m.notes("born")[3:], "the first successor")
        assert "The reload before" not in m.stderr
        (m.scratch / first[0][1]).touch()
        eventually(lambda: m.notes("born")[4:], "the second successor")
        m.send(signal.SIGHUP)
        m.logged("The reload before is not over: 1 of 3 workers are new. The oldest one is next.")
        (m.scratch / "slow").unlink()
        (m.scratch / m.notes("born")[4][1]).touch()
        m.logged("Reloaded: all workers are new.")
        assert m.stop() == 0


def test_a_place_that_waits_for_its_next_attempt_holds_up_no_reload() -> None:
    source = """
def run_worker(slot, index):
    broken = (SCRATCH / "broken").exists()  # before "born", on which the test breaks the next one
    note("born", index, os.getpid())
    if broken and index == 1:
        slot.failed("It is broken.")
        return
    if (SCRATCH / "slow").exists():
        while (SCRATCH / "slow").exists():
            time.sleep(0.005)
    serve(slot, index)
"""
    policy = {"workers": 3, "backoff_first": 600, "backoff_most": 600}
    with master(source, **policy) as m:
        pids = dict(m.ready(3))
        (m.scratch / "slow").touch()
        m.send(signal.SIGHUP)  # a successor for the first place, which waits
        [born] = eventually(lambda: m.notes("born")[3:], "the first successor")
        (m.scratch / "broken").touch()
        m.send(signal.SIGHUP)  # all places are outdated again
        eventually(lambda: m.stderr.count("Reloading: every worker") == 2)
        os.kill(pids[1], signal.SIGKILL)
        m.logged(f"Worker 1 (pid {pids[1]}) was killed by SIGKILL")  # first, or the reload ends
        os.kill(int(born[1]), signal.SIGKILL)
        m.logged("The next attempt is in 600 s.")
        (m.scratch / "slow").unlink()
        eventually(lambda: {index for index, _ in m.ready(5)[3:]} == {2, 3})
        eventually(lambda: not {pids[2], pids[3]} & set(m.workers), "the old ones are gone")
        assert m.stop() == 0
