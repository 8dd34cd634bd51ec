"""Signals become intents, rows are handed out and taken back, a child starts out clean."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from bare_serve.supervision import handover
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.scoreboard import Scoreboard
from bare_serve.supervision.signals import INTENTS, Intent, SignalQueue
from tests.supervision.master import master
from tests.support import clean_environment


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


HOLDS = """
import os, signal, sys
from bare_serve.supervision.signals import Intent, SignalQueue
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
with SignalQueue() as signals:
    os.kill(os.getpid(), signal.SIGHUP)
    signals.hold()
    assert signal.SIGHUP in signal.sigpending()
    signals.release()
    assert signals.take() is Intent.RELOAD
"""


@pytest.mark.parametrize("before", ["SIG_DFL", "SIG_IGN"])
def test_what_arrives_before_another_program_takes_over_waits_for_it(before: str) -> None:
    """In a process with a single thread, as a master is; nohup ignores the signal."""
    command = [sys.executable, "-c", HOLDS, before]
    subprocess.run(command, check=True, timeout=30, env=clean_environment())


def test_child_that_is_handed_over_is_asked_no_second_time() -> None:
    row = Scoreboard(rows=1).acquire()
    child = Child(1, os.getpid(), -1, row)
    child.state, child.was_asked = State.LEAVING, True
    record = json.loads(json.dumps(handover._describe(child, True)))
    new = handover.Handover()
    new._adopt(record)
    assert new.children[0].was_asked
    del record["was_asked"]  # as a version before had it
    new._adopt(record)
    assert new.children[1].was_asked


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


# Without those that the master acts on, and those that are to end it whoever sends them.
STRAY = sorted(
    {*signal.valid_signals()}
    - {*INTENTS}
    - {
        signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGSEGV, signal.SIGBUS,
        signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS, signal.SIGXCPU,
    }
)  # fmt: skip


def test_no_stray_signal_ends_the_master_or_is_kept_from_workers() -> None:
    source = """
def run_worker(slot, index):
    note("kept", *(number for number in range(1, signal.NSIG) if number in valid and
         signal.getsignal(number) is not signal.SIG_DFL))
    serve(slot, index)
valid = signal.valid_signals()
"""
    with master(source, workers=1) as m:
        [(_, pid)] = m.ready(1)
        [kept] = m.notes("kept")
        timers = {signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF}
        assert not {str(int(signum)) for signum in timers} & {*kept}
        assert str(signal.SIGRTMAX) not in kept
        for signum in STRAY:
            m.send(signum)
        m.send(signal.SIGTTIN)  # it has heard all of them when it has heard this
        assert m.ready(2)[0] == (1, pid)
        assert m.stop() == 0


def test_a_timer_of_somebody_else_stays_his() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGALRM)
        with SignalQueue():
            assert signal.getsignal(signal.SIGALRM) is mine
            assert signal.getsignal(signal.SIGPROF) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getsignal(signal.SIGPROF) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_worker_is_sent_the_signal_before_the_pipe_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the pipe alone it may end before the application's own handler of the signal has run."""
    ours, its = socket.socketpair()
    with ours, its:
        child = Child(1, os.getpid(), ours.fileno(), Scoreboard(rows=1).acquire())
        heard: list[tuple[int, int]] = []

        def kill(pid: int, signum: int) -> None:
            its.setblocking(False)
            with pytest.raises(BlockingIOError):
                its.recv(1)
            heard.append((pid, signum))

        monkeypatch.setattr(os, "kill", kill)
        child.send(signal.SIGTERM)
        assert heard == [(os.getpid(), signal.SIGTERM)]
        assert its.recv(9) == bytes((signal.SIGTERM,))


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("-m debugpy --listen 5678 -m bare_serve app:app", "-m bare_serve app:app"),
        (
            "-X dev -m debugpy --connect 1.2.3.4:5 --wait-for-client --configure-qt none "
            "bin/bare-serve app:app --dev",
            "-X dev bin/bare-serve app:app --dev",
        ),
        ("/lib/debugpy --connect 5678 -m bare_serve app:app", "-m bare_serve app:app"),
        ("-m bare_serve debugpy --listen 5678", "-m bare_serve debugpy --listen 5678"),
        ("bin/bare-serve debugpy --dev", "bin/bare-serve debugpy --dev"),
        ("-I -m bare_serve app:app", "-I -m bare_serve app:app"),
        ("bin/bare-serve --app-dir /srv/debugpy", "bin/bare-serve --app-dir /srv/debugpy"),
        ("-X dev", "-X dev"),
    ],
)
def test_a_debugger_is_not_started_twice(given: str, left: str) -> None:
    assert handover.without_debugger(given.split()) == left.split()
