"""Signals before the loop and after it: files are gone, hooks were called, the code is 0."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from bare_serve.supervision.orderly import Orderly
from bare_serve.supervision.signals import Intent
from tests.support import Server, eventually, serve

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hi"]
"""
HOOKS = """
import os, pathlib, time

def on_starting(facts):
    if os.path.exists("gate"):
        pathlib.Path("gate").read_text()

def on_exit(facts):
    pathlib.Path("exiting").touch()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:  # a signal must not end it
        time.sleep(0.01)
    pathlib.Path("exited").touch()
"""
OPTIONS = ("--hooks", "hooks.py", "--pid", "pid", "-b", "unix:sock", "-b", "127.0.0.1:0")


def _hooks(cwd: Path) -> None:
    (cwd / "hooks.py").write_text(HOOKS)


def _storm(server: Server, signum: signal.Signals) -> int:
    """One each millisecond until the process has gone."""
    gone = threading.Event()

    def send() -> None:
        while not gone.wait(0.001):
            server.send_signal(signum)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return server.wait(30)
    finally:
        gone.set()
        thread.join()


def _nothing_is_left(cwd: Path) -> None:
    assert (cwd / "exited").exists(), "the hook was interrupted"
    assert not (cwd / "pid").exists()
    assert not (cwd / "sock").exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [("-w", "2"), ("--preload",), ("-w", "0")])
def test_a_signal_each_millisecond_is_one_stop(
    signum: signal.Signals, options: tuple[str, ...], tmp_path: Path
) -> None:
    _hooks(tmp_path)
    with serve("app:app", *OPTIONS, *options, source=APP, cwd=tmp_path) as server:
        assert _storm(server, signum) == 0
        assert "Traceback" not in server.output
    _nothing_is_left(tmp_path)


WITH_A_THREAD = (
    """
import os, pathlib, threading
threading.Thread(target=threading.Event().wait, name="forever").start()
if os.path.exists("import"):
    pathlib.Path("import").read_text()
"""
    + APP
)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [("--preload",), ("-w", "0")])
def test_one_stop_also_of_a_process_that_has_something_to_wait_for(
    signum: signal.Signals, options: tuple[str, ...], tmp_path: Path
) -> None:
    _hooks(tmp_path)
    # Python warns of forks beside threads, which is what this is about.
    env = {"PYTHONWARNINGS": "default,ignore:This process:DeprecationWarning"}
    options = (*OPTIONS, *options)
    with serve("app:app", *options, source=WITH_A_THREAD, cwd=tmp_path, env=env) as server:
        assert _storm(server, signum) == 0, "and it is not waited for, since signals make haste"
        assert "Traceback" not in server.output
    _nothing_is_left(tmp_path)


@pytest.mark.parametrize("options", [("--preload",), ("-w", "0")])
def test_a_stop_at_the_start_is_not_held_up_by_threads(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    _hooks(tmp_path)
    gate = tmp_path / "import"
    os.mkfifo(gate)
    args = ("app:app", *OPTIONS, "--timeout-graceful-shutdown", "1", *options)
    with (
        serve(*args, source=WITH_A_THREAD, cwd=tmp_path, ready=False) as server,
        gate.open("w"),  # returns once the import reads, beside its thread
    ):
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    _nothing_is_left(tmp_path)


def test_signals_end_what_waits_for_the_thread_of_a_hook(tmp_path: Path) -> None:
    thread = "\nimport threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    (tmp_path / "hooks.py").write_text(HOOKS + thread)
    env = {"PYTHONWARNINGS": "default,ignore:This process:DeprecationWarning"}
    with serve("app:app", *OPTIONS, source=APP, cwd=tmp_path, env=env) as server:
        assert _storm(server, signal.SIGTERM) == -signal.SIGTERM
    _nothing_is_left(tmp_path)


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGHUP, signal.SIGTTOU])
def test_other_signals_do_not_disturb_the_end(signum: signal.Signals, tmp_path: Path) -> None:
    _hooks(tmp_path)
    with serve("app:app", *OPTIONS, source=APP, cwd=tmp_path) as server:
        server.send_signal(signal.SIGTERM)
        eventually((tmp_path / "exiting").exists, "the last hook")
        assert _storm(server, signum) == 0
    _nothing_is_left(tmp_path)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_stop_while_a_hook_runs_at_the_start(workers: str, tmp_path: Path) -> None:
    _hooks(tmp_path)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    options = ("-w", workers, *OPTIONS)
    with (
        serve("app:app", *options, source=APP, cwd=tmp_path, ready=False) as server,
        gate.open("w"),  # returns once the hook reads: pid file and socket are there
    ):
        assert (tmp_path / "pid").exists()
        assert (tmp_path / "sock").exists()
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    _nothing_is_left(tmp_path)


def test_quit_ends_an_end_that_hangs(tmp_path: Path) -> None:
    source = HOOKS.replace("+ 0.3", "+ 600")
    (tmp_path / "hooks.py").write_text(source)
    with serve("app:app", *OPTIONS, source=APP, cwd=tmp_path) as server:
        server.send_signal(signal.SIGTERM)
        eventually((tmp_path / "exiting").exists, "the last hook")
        server.send_signal(signal.SIGTERM)
        server.send_signal(signal.SIGQUIT)
        assert server.wait(30) == -signal.SIGQUIT


def test_what_comes_at_the_start_waits_for_the_queue_and_handlers_are_given_back() -> None:
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    before = {signum: signal.getsignal(signum) for signum in wanted}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Orderly(queue=True, process_ends=False) as orderly:
        os.kill(os.getpid(), signal.SIGHUP)
        orderly.has_started()
        with orderly.queue() as signals:
            assert signals.take() is Intent.RELOAD
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert {signum: signal.getsignal(signum) for signum in wanted} == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def _swallowed(then: Exception | None) -> None:
    with Orderly(queue=True, process_ends=False) as orderly:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit:
            if then is not None:
                raise then from None
        orderly.has_started()


@pytest.mark.parametrize("then", [None, ValueError("an import's own")])
def test_a_stop_that_somebody_has_caught_is_not_forgotten(then: Exception | None) -> None:
    with pytest.raises(SystemExit):
        _swallowed(then)


def test_other_threads_change_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def enter() -> None:
        with Orderly(queue=True, process_ends=True) as orderly:
            orderly.has_started()
            assert orderly.queue() is not None

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before
