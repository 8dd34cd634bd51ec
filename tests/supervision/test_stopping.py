"""Every stop ends, in the order and the time that was asked for."""

from __future__ import annotations

import logging
import math
import os
import pty
import signal
import time

import pytest

from bare_serve.supervision.stop_remark import StopRemark
from tests.supervision.master import master
from tests.support import eventually, is_alive

FINISHES_LATER = """
def run_worker(slot, index):
    def stop(life):
        if life.stopping and not (SCRATCH / f"asked-{index}").exists():
            (SCRATCH / f"asked-{index}").touch()
        return life.stopping and (SCRATCH / "finished").exists()
    serve(slot, index, stop)
"""

NEVER_FINISHES = """
def run_worker(slot, index):
    serve(slot, index, stop=lambda life: life.hurry)
"""

STUBBORN = """
def holding_on(slot, index):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    slot.ready({"index": str(index)})
    note("ready", index, os.getpid())
    while True:
        time.sleep(60)
def run_worker(slot, index):
    (holding_on if index == 1 else serve)(slot, index)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_graceful_stop_waits_for_the_workers(signum: int) -> None:
    with master(FINISHES_LATER, workers=2) as m:
        m.ready(2)
        m.send(signum)
        eventually(lambda: all((m.scratch / f"asked-{index}").exists() for index in (1, 2)))
        assert len(m.workers) == 2
        (m.scratch / "finished").touch()
        assert m.wait() == 0
        assert len(m.notes("drained")) == 2


def test_interrupt_of_the_whole_group_is_one_stop() -> None:
    with master(FINISHES_LATER, workers=2) as m:
        m.ready(2)
        os.killpg(m.pid, signal.SIGINT)  # what Ctrl-C does
        eventually(lambda: all((m.scratch / f"asked-{index}").exists() for index in (1, 2)))
        (m.scratch / "finished").touch()
        assert m.wait() == 0
        assert len(m.notes("drained")) == 2


def test_how_long_requests_have_is_said_where_there_are_some() -> None:
    with master(FINISHES_LATER, workers=2) as m:
        m.ready(2)
        (m.scratch / "finished").touch()
        assert m.stop() == 0
        assert "Stopping.\n" in m.stderr
    remark = StopRemark()
    assert remark.due == math.inf
    remark.begin(30, hurry=True)
    assert remark.due == math.inf


@pytest.mark.parametrize("waits", [True, False])
def test_of_requests_is_said_once_and_late(waits: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    remark = StopRemark()
    remark.begin(30, hurry=False)
    due = remark.due
    for now in (due - 0.1, due, due + 1):
        remark.look(now, waits)
    said = [record.getMessage() for record in caplog.records]
    later = "Stopping: requests have 30 s to finish. Once more stops at once."
    assert said == (["Stopping.", later] if waits else ["Stopping."])


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_forces(signum: int) -> None:
    with master(NEVER_FINISHES, workers=2, timeout_graceful_shutdown=600) as m:
        m.ready(2)
        m.send(signum)
        m.logged("requests have 600 s to finish")
        m.send(signum)
        assert m.wait() == 0
        assert len(m.notes("drained")) == 2


def test_two_signals_in_one_breath_are_two() -> None:
    with master(NEVER_FINISHES, workers=1, timeout_graceful_shutdown=600) as m:
        m.ready(1)
        m.send(signal.SIGSTOP)  # so that both wait together
        m.send(signal.SIGINT)
        m.send(signal.SIGTERM)
        m.send(signal.SIGCONT)
        assert m.wait() == 0


def test_quit_is_quick() -> None:
    with master(NEVER_FINISHES, workers=2, timeout_graceful_shutdown=600) as m:
        m.ready(2)
        m.send(signal.SIGQUIT)
        assert m.wait() == 0
        assert len(m.notes("drained")) == 2


def test_worker_that_outlives_its_grace_is_named_dumped_and_killed() -> None:
    with master(STUBBORN, workers=2, timeout_graceful_shutdown=0.2) as m:
        stubborn = dict(m.ready(2))[1]
        begin = time.monotonic()
        assert m.stop() == 0
        assert 0.2 <= time.monotonic() - begin < 10
        assert f"Worker 1 (pid {stubborn}) did not finish in time" in m.stderr
        assert "Worker 2" not in m.stderr.partition("Stopping")[2]
        assert "in holding_on" in m.stderr
        assert not is_alive(stubborn)


def test_stubborn_worker_cannot_delay_a_forced_stop() -> None:
    with master(STUBBORN, workers=2, timeout_graceful_shutdown=600) as m:
        m.ready(2)
        m.send(signal.SIGINT)
        m.logged("Stopping")
        m.send(signal.SIGINT)
        assert m.wait() == 0


def test_third_signal_kills_without_a_word_more() -> None:
    with master(STUBBORN, workers=1, timeout_graceful_shutdown=600) as m:
        m.ready(1)
        for text in ("requests have", "Stopping at once"):
            m.send(signal.SIGTERM)
            m.logged(text)
        m.send(signal.SIGTERM)
        assert m.wait() == 0
        assert "did not finish" not in m.stderr


def test_stop_while_the_workers_still_import() -> None:
    source = """
def run_worker(slot, index):
    note("born", index)
    time.sleep(600)
"""
    with master(source, workers=2, timeout_graceful_shutdown=600) as m:
        eventually(lambda: len(m.notes("born")) == 2)
        assert m.stop() == 0
        assert "SIGTERM" not in m.stderr


STARTS_FOR_EVER = """
def run_worker(slot, index):
    life = Lifecycle(slot, MASTER)
    life.install(lambda: None)
    if index == 2 or not (SCRATCH / "first").exists():
        note("born", index)
        while index == 2 or not life.stopping:
            time.sleep(0.01)
        # It became ready when the master had already asked it to leave.
        slot.ready({"index": str(index)})
        while not (SCRATCH / "finished").exists():
            time.sleep(0.01)
        note("drained", index)
        return
    serve(slot, index)
"""


def test_who_was_never_ready_has_no_request_to_wait_for() -> None:
    """Its startup holds the main thread, so that it hears of the stop and can do nothing."""
    with master(STARTS_FOR_EVER, workers=2, timeout_graceful_shutdown=600) as m:
        eventually(lambda: len(m.notes("born")) == 2)
        m.send(signal.SIGTERM)
        log = m.logged("was not ready yet, and does not stop by itself")
        assert "Worker 2 (pid" in log.partition(" was not ready yet")[0].splitlines()[-1]
        # The other one said that it is ready, and may have requests: it has the whole grace.
        assert not m.notes("drained")
        (m.scratch / "finished").touch()
        assert m.wait() == 0
        assert m.notes("drained") == [["1"]]
        assert "did not finish" not in m.stderr


def test_successor_that_is_not_ready_when_its_place_goes_is_not_waited_for() -> None:
    with master(STARTS_FOR_EVER, workers=1, timeout_graceful_shutdown=600) as m:
        (m.scratch / "first").touch()
        m.ready(1)
        m.send(signal.SIGTTIN)
        eventually(lambda: m.notes("born") == [["2"]])
        m.send(signal.SIGTTOU)
        m.logged("Worker 2")
        m.logged("was not ready yet, and does not stop by itself")
        eventually(lambda: len(m.workers) == 1)
        assert m.stop() == 0


def test_stop_during_a_backoff_does_not_wait_for_it() -> None:
    source = """
def run_worker(slot, index):
    if (SCRATCH / "broken").exists():
        os._exit(1)
    serve(slot, index)
"""
    with master(source, workers=1, backoff_first=600, backoff_most=600) as m:
        [(_, pid)] = m.ready(1)
        (m.scratch / "broken").touch()
        os.kill(pid, signal.SIGKILL)
        m.logged("The next attempt is in 600 s.")
        assert m.stop() == 0


def test_no_worker_is_replaced_while_stopping() -> None:
    with master(FINISHES_LATER, workers=2) as m:
        pids = dict(m.ready(2))
        m.send(signal.SIGTERM)
        eventually((m.scratch / "asked-1").exists)
        os.kill(pids[1], signal.SIGKILL)
        m.logged(f"Worker 1 (pid {pids[1]}) was killed by SIGKILL while stopping")
        (m.scratch / "finished").touch()
        assert m.wait() == 0
        assert len(m.notes("ready")) == 2


def test_closing_the_terminal_stops_what_runs_in_it() -> None:
    window, line = pty.openpty()
    try:
        # A session leader without a terminal gets the first one that it opens.
        # These tests may run under nohup, and what is ignored is inherited.
        source = f"""
signal.signal(signal.SIGHUP, signal.SIG_DFL)
keep = os.open({os.ttyname(line)!r}, os.O_RDWR)
"""
        with master(source, workers=1) as m:
            m.ready(1)
            m.send(signal.SIGHUP)  # by hand, with the window still open
            m.logged("Reloaded")
            os.close(window)
            window = -1
            assert m.wait() == 0
            assert len(m.notes("drained")) == 2
    finally:
        os.close(line)
        if window >= 0:
            os.close(window)


def test_workers_leave_when_their_master_is_gone() -> None:
    with master(workers=2) as m:
        pids = [pid for _, pid in m.ready(2)]
        m.send(signal.SIGKILL)
        m.wait()
        eventually(lambda: not any(map(is_alive, pids)))
        assert len(m.notes("drained")) == 2


def test_worker_runs_its_own_exit_handlers_and_not_the_masters() -> None:
    source = """
atexit.register(lambda: note("atexit-master", os.getpid()))
def run_worker(slot, index):
    atexit.register(lambda: note("atexit-worker", os.getpid()))
    print("buffered words")
    serve(slot, index)
"""
    with master(source, workers=1) as m:
        [(_, pid)] = m.ready(1)
        assert m.stop() == 0
        assert m.notes("atexit-worker") == [[str(pid)]]
        assert m.notes("atexit-master") == [[str(m.pid)]]
        assert m.notes("buffered") == [["words"]]


def test_masters_buffered_output_is_not_repeated_by_workers() -> None:
    with master("print('once only')", workers=3) as m:
        m.ready(3)
        assert m.stop() == 0
        assert m.notes("once") == [["only"]]
