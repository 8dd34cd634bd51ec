"""Signals become intents, rows are handed out and taken back, a child starts out clean."""

from __future__ import annotations

import os
import signal

import pytest

from bare_serve.supervision.scoreboard import Scoreboard
from bare_serve.supervision.signals import INTENTS, Intent, SignalQueue
from tests.supervision.master import master


def test_signals_are_taken_in_order_and_given_back() -> None:
    before = {signum: signal.getsignal(signum) for signum in INTENTS}
    with SignalQueue() as signals:
        assert signals.take() is None
        for signum in (signal.SIGHUP, signal.SIGTTIN, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), signum)
        taken = [signals.take() for _ in range(4)]
        assert taken == [Intent.RELOAD, Intent.MORE, Intent.RELOAD, Intent.STOP]
        assert signals.take() is None
    assert {signum: signal.getsignal(signum) for signum in INTENTS} == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("signum", [signal.SIGWINCH, signal.SIGRTMIN + 3])
def test_signal_of_somebody_else_is_no_intent(signum: int) -> None:
    before = signal.signal(signum, lambda *_: None)
    try:
        with SignalQueue() as signals:
            os.kill(os.getpid(), signum)
            os.kill(os.getpid(), signal.SIGTERM)
            assert [signals.take(), signals.take()] == [None, Intent.STOP]
    finally:
        signal.signal(signum, before)


def test_rows_are_apart_and_start_clear() -> None:
    scoreboard = Scoreboard(rows=2)
    first, second = scoreboard.acquire(), scoreboard.acquire()
    first.beat(3, 4)
    second.beat(5, 6)
    assert (first.number, first.connections, first.requests) == (0, 3, 4)
    assert (second.number, second.connections, second.requests) == (1, 5, 6)
    assert 0 < first.last_beat <= second.last_beat
    scoreboard.release(first)
    again = scoreboard.acquire()
    assert (again.number, again.connections, again.requests, again.last_beat) == (0, 0, 0, 0)


def test_scoreboard_says_when_it_is_full() -> None:
    scoreboard = Scoreboard(rows=1)
    with pytest.raises(ZeroDivisionError), scoreboard.lend():
        raise ZeroDivisionError  # and the row comes back
    with scoreboard.lend():
        pass
    with pytest.raises(OSError, match="still finishing"):
        scoreboard.acquire()


def test_child_has_dispositions_and_luck_of_its_own() -> None:
    source = """
import random
def run_worker(slot, index):
    shown = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGCHLD, signal.SIGTTIN)]
    note("default", shown == [signal.SIG_DFL] * 3)
    note("ignored", signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN)
    note("blocked", len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    note("wakeup", signal.set_wakeup_fd(-1))
    note("random", random.random())
    for signum in (signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), signum)
    serve(slot, index)
"""
    with master(source, workers=2) as m:
        m.ready(2)
        assert m.notes("default") == m.notes("ignored") == [["True"]] * 2
        assert m.notes("blocked") == [["0"]] * 2
        assert m.notes("wakeup") == [["-1"]] * 2
        one, other = m.notes("random")
        assert one != other
        assert m.stop() == 0


def test_child_does_not_hand_on_the_keys_password() -> None:
    name = "BARE_SERVE_SSL_KEYFILE_PASSWORD"
    source = f"""
os.environ[{name!r}] = "secret"
def run_worker(slot, index):
    note("seen", {name!r} in os.environ)
    serve(slot, index)
"""
    with master(source, workers=1) as m:
        m.ready(1)
        assert m.notes("seen") == [["False"]]
        assert m.stop() == 0
