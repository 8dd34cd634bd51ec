"""A worker's signals and its bond to the master, in this very process."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from bare_serve.workers import lifecycle
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.slot import TELL_SIGNAL
from bare_serve.workers.stacks import LOOK_SIGNAL
from tests.support.slots import Unwatched

SIGNALS = (
    signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, TELL_SIGNAL, signal.SIGIO, signal.SIGHUP,
    signal.SIGUSR1, LOOK_SIGNAL,
)  # fmt: skip


class Record(Unwatched):
    """A slot that only remembers."""

    def __init__(self) -> None:
        self.beats: list[tuple[int, int]] = []
        self.done: list[str] = []

    def ready(self, facts: Mapping[str, str]) -> None: ...

    def failed(self, message: str, details: str = "") -> None: ...

    def beat(self, connections: int, requests: int) -> None:
        self.beats.append((connections, requests))

    def report_activity(self, what: str) -> None:
        self.done.append(what)

    def master_is_gone(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def master_is_gone() -> Lifecycle:
    return Lifecycle(Record(), master_pid=None)


@pytest.fixture
def kept() -> Lifecycle:
    return Lifecycle(Record(), master_pid=os.getppid())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_stops_and_second_hurries(master_is_gone: Lifecycle, signum: int) -> None:
    woken: list[bool] = []
    master_is_gone.install(lambda: woken.append(True))
    assert (master_is_gone.stopping, master_is_gone.hurry) == (False, False)
    os.kill(os.getpid(), signum)
    assert (master_is_gone.stopping, master_is_gone.hurry, len(woken)) == (True, False, 1)
    os.kill(os.getpid(), signum)
    assert (master_is_gone.stopping, master_is_gone.hurry, len(woken)) == (True, True, 2)


def test_quit_hurries_at_once(kept: Lifecycle) -> None:
    kept.install(lambda: None)
    os.kill(os.getpid(), signal.SIGQUIT)
    assert (kept.stopping, kept.hurry) == (True, True)


def test_interrupt_is_the_masters_business(kept: Lifecycle) -> None:
    before = signal.getsignal(signal.SIGINT)
    kept.install(lambda: None)
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_given_back(master_is_gone: Lifecycle) -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    master_is_gone.install(lambda: None)
    master_is_gone.install(lambda: None)  # a second time takes no handler of ours for the user's
    assert [signal.getsignal(signum) for signum in SIGNALS] != before
    master_is_gone.restore()
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


@pytest.mark.parametrize("error", [RuntimeError("Event loop is closed"), BlockingIOError(11, "x")])
def test_loop_that_cannot_be_woken_does_not_disturb_the_application(
    master_is_gone: Lifecycle, error: Exception
) -> None:
    def wake() -> None:
        raise error

    master_is_gone.install(wake)
    os.kill(os.getpid(), signal.SIGTERM)
    assert master_is_gone.stopping


def test_outside_the_main_thread_only_stop_stops(master_is_gone: Lifecycle) -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    woken = threading.Event()
    thread = threading.Thread(target=master_is_gone.install, args=(woken.set,))
    thread.start()
    thread.join(10)
    assert [signal.getsignal(signum) for signum in SIGNALS] == before
    master_is_gone.stop()
    assert (master_is_gone.stopping, master_is_gone.hurry, woken.is_set()) == (True, False, True)
    master_is_gone.stop(hurry=True)
    assert master_is_gone.hurry


def test_tick_beats_and_goes_on_while_the_master_lives(kept: Lifecycle) -> None:
    kept.tick(2, 10)
    kept.tick(3, 11)
    assert isinstance(kept.slot, Record)
    assert kept.slot.beats == [(2, 10), (3, 11)]
    assert not kept.stopping


def test_orphan_stops_once_and_gently() -> None:
    woken: list[bool] = []
    orphan = Lifecycle(Record(), master_pid=os.getpid())  # which is nobody's parent here
    orphan.install(lambda: woken.append(True))
    orphan.tick(0, 0)
    orphan.tick(0, 0)
    faulthandler.cancel_dump_traceback_later()  # or it would end the tests
    assert (orphan.stopping, orphan.hurry, len(woken)) == (True, False, 1)


def test_without_a_master_nobody_is_an_orphan(
    master_is_gone: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 1)
    master_is_gone.tick(0, 0)
    assert not master_is_gone.stopping


def test_options_have_defaults_and_are_frozen() -> None:
    options = ServeOptions()
    assert options.access_log is None
    with pytest.raises(AttributeError):
        options.parser = "python"  # type: ignore[misc]


def test_second_term_is_no_hurry_where_a_master_sends_one_as_well(kept: Lifecycle) -> None:
    # `kill -TERM -pgid`, or systemd stopping a control group: everybody gets it, and the master
    # passes it on.
    kept.install(lambda: None)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (kept.stopping, kept.hurry) == (True, False)


def test_requests_in_progress_are_left_word_of_at_each_change() -> None:
    slot = Record()
    life = Lifecycle(slot, os.getppid())
    life.tick(0, 0)
    life.in_progress = lambda: (f"GET /{number}" for number in range(100))
    life.tick(100, 100)
    life.tick(100, 101)
    life.in_progress = tuple
    life.tick(0, 102)
    some, none = slot.done
    assert some.startswith("GET /0; GET /1; ")
    assert some.count(";") < 25
    assert none == ""


def test_requests_in_progress_are_told_when_the_master_asks(
    kept: Lifecycle, capfd: pytest.CaptureFixture[str]
) -> None:
    kept.install(lambda: None)
    kept.in_progress = lambda: ["GET /stuck"]
    os.kill(os.getpid(), TELL_SIGNAL)
    assert capfd.readouterr().err == "  in progress: GET /stuck\n"


@pytest.mark.parametrize("next_thing", ["tick", "restore"])
def test_pipe_that_closes_is_the_masters_death(
    kept: Lifecycle, next_thing: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept.install(lambda: None)
    os.kill(os.getpid(), signal.SIGIO)
    faulthandler.cancel_dump_traceback_later()
    assert (kept.stopping, kept.hurry) == (True, False)
    assert caplog.messages == []  # the handler may have interrupted whoever holds logging's lock
    if next_thing == "tick":
        kept.tick(0, 0)
    kept.restore()
    pid = os.getppid()
    assert caplog.messages == [
        f"The master (pid {pid}) is gone: this worker finishes its requests and ends."
    ]


@pytest.mark.parametrize(
    ("before", "after", "stops"), [(False, False, False), (True, True, False), (True, False, True)]
)
def test_without_a_master_hup_is_answered_unless_the_terminal_is_gone(
    master_is_gone: Lifecycle,
    before: bool,
    after: bool,
    stops: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    monkeypatch.setattr(lifecycle, "has_terminal", lambda: before)
    master_is_gone.install(lambda: None)
    monkeypatch.setattr(lifecycle, "has_terminal", lambda: after)
    with caplog.at_level(logging.WARNING, "bare_serve"):
        os.kill(os.getpid(), signal.SIGHUP)
        master_is_gone.tick(0, 0)
    assert master_is_gone.stopping is stops
    assert ("HUP reloads nothing" in caplog.text) is not stops
    master_is_gone.restore()


def test_without_a_master_usr1_reopens(master_is_gone: Lifecycle) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    reopened: list[bool] = []
    master_is_gone.reopen = lambda: reopened.append(True)
    master_is_gone.install(lambda: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    master_is_gone.reopen_if_asked(None)
    assert reopened == [True]
    master_is_gone.restore()


def test_without_a_master_what_others_decided_stays(master_is_gone: Lifecycle) -> None:
    for signum in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    master_is_gone.install(lambda: None)
    for signum in (signal.SIGHUP, signal.SIGUSR1):
        assert signal.getsignal(signum) is signal.SIG_IGN
    master_is_gone.restore()


def test_worker_that_has_drained_is_not_ended_by_the_masters_own_term(kept: Lifecycle) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        kept.install(lambda: None)
        os.kill(os.getpid(), signal.SIGTERM)
        assert kept.stopping
        kept.restore()
        os.kill(os.getpid(), signal.SIGTERM)  # by default the end
    finally:
        signal.signal(signal.SIGTERM, before)


class Asking(Record):
    """The slot of a worker whose master asks it to stop by the pipe."""

    def __init__(self, *wishes: int) -> None:
        super().__init__()
        self.wishes = [*wishes]

    def asked(self) -> int:
        return self.wishes.pop(0) if self.wishes else 0

    def master_is_gone(self) -> bool:
        return False


def test_wish_of_the_master_is_heard_at_each_look() -> None:
    woken: list[bool] = []
    life = Lifecycle(Asking(0, 0, signal.SIGTERM, signal.SIGTERM, signal.SIGQUIT), os.getppid())
    life.install(lambda: woken.append(True))
    life.tick(0, 0)
    assert not life.stopping
    os.kill(os.getpid(), signal.SIGIO)  # something has come
    assert (life.stopping, life.hurry) == (True, False)
    life.tick(0, 0)
    assert (life.hurry, len(woken)) == (False, 1)
    life.tick(0, 0)
    assert (life.hurry, len(woken)) == (True, 2)


def test_wish_that_came_before_the_worker_had_handlers_is_heard_first_of_all() -> None:
    life = Lifecycle(Asking(signal.SIGTERM), os.getppid())
    life.install(lambda: None)
    assert life.stopping


def test_grace_counts_from_the_first_wish_and_is_short_if_there_was_none() -> None:
    life = Lifecycle(Record(), None, grace=20.0)
    before = time.monotonic()
    assert life.leave_by <= time.monotonic() + 1.0
    life.stop()
    life.stop(hurry=True)
    assert before + 19.0 <= life.leave_by <= time.monotonic() + 19.0
    assert Lifecycle(Record(), None, grace=0.0).leave_by <= time.monotonic()
