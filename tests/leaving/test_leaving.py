"""What an application leaves running at the end of a worker: waited for, or given up by name.

The table: each kind of work x each way in which a worker ends x both interfaces. `make test` has
all kinds at once in one server for each end; `make test-long` each of them alone.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.leaving.leaving_app import ASGI_KINDS, CANCELLED, DROPPED, ENDED, FINISHES, IDLE, KINDS
from tests.support import RawClient, Server, eventually, is_alive, serve
from tests.support.processes import COMMAND

BY_INTERFACE = {"wsgi": KINDS, "asgi": ASGI_KINDS}
ENDS = {
    "term": (),
    "hup": (),
    "usr2": (),
    "recycling": ("--max-requests", "1", "--max-requests-jitter", "0"),
    "workers-0": ("--workers", "0"),
    "preload-hup": ("--preload",),
    "many": ("--workers", "3"),
}
USUAL = ("term", "hup", "recycling", "workers-0")


class Left:
    """A server in which something has been started, in a worker that is to end."""

    def __init__(self, server: Server, directory: Path, end: str) -> None:
        self.server = server
        self.directory = directory
        self.end = end
        self.worker = 0

    def start(self, *kinds: str) -> None:
        with RawClient(self.server.address) as client:
            response = client.request("GET", f"/?{','.join(kinds)}", "Connection: close")
            self.worker = int(response.body)
        for kind in kinds:
            if kind != "background-task" or kinds == ("background-task",):
                eventually(lambda kind=kind: self.pids(kind), f"{kind} has started")

    @property
    def notes(self) -> list[str]:
        path = self.directory / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def pids(self, kind: str) -> list[int]:
        return [int(line.split()[2]) for line in self.notes if line.startswith(f"started {kind} ")]

    def finished(self, kind: str) -> bool:
        return f"finished {kind}" in self.notes

    def ask_to_end(self) -> None:
        if self.end in ("hup", "preload-hup"):
            self.server.send_signal(signal.SIGHUP)
        elif self.end == "usr2":
            self.server.send_signal(signal.SIGUSR2)
        elif self.end != "recycling":
            self.server.send_signal(signal.SIGTERM)

    def go(self) -> None:
        (self.directory / "go").touch()

    def wait(self) -> None:
        """Until the worker has ended, and the server if it was asked to."""
        if self.end in ("term", "workers-0", "many"):
            assert self.server.wait(30) == 0
        eventually(lambda: not is_alive(self.worker), "the worker has ended", 30)

    def nobody_is_left(self) -> None:
        pids = [int(line.split()[2]) for line in self.notes if line.startswith("started ")]
        eventually(lambda: not any(map(is_alive, pids)), f"none of {pids} is left")


@contextmanager
def left(directory: Path, interface: str, end: str, *args: str) -> Iterator[Left]:
    target = f"tests.leaving.leaving_app:{interface}"
    with serve(target, *ENDS[end], *args, cwd=directory) as server:
        yield Left(server, directory, end)


def becomes_of(it: Left, kind: str, fate: str) -> None:
    """Check what has become of something when the worker is gone."""
    output = it.server.output
    if fate == FINISHES:
        assert it.finished(kind), f"{kind} was not finished"
        if kind == "executor":
            assert it.finished("executor-second")
    elif fate == CANCELLED:
        assert "ended task" in it.notes
        assert not it.finished("task")
        assert "Cancelling tasks that the application has left running: Task-" in output
    elif fate == DROPPED:
        assert not it.finished(kind)
    elif fate == ENDED:
        assert not it.finished(kind)
        if kind != "daemon-process":  # multiprocessing itself ends these, and says nothing
            [pid] = it.pids(kind)
            assert re.search(rf"Given up at the end: .*process {pid} \(\S.*\) by SIGTERM", output)
        if kind == "subprocess":
            assert "terminated subprocess" in it.notes
    else:
        assert fate == IDLE
    assert "did not finish in time" not in output
    assert "SIGKILL" not in output


@pytest.mark.parametrize("end", USUAL)
@pytest.mark.parametrize("interface", BY_INTERFACE)
def test_everything_at_once(tmp_path: Path, interface: str, end: str) -> None:
    kinds = BY_INTERFACE[interface]
    with left(tmp_path, interface, end) as it:
        it.start(*kinds)
        it.ask_to_end()
        if interface == "asgi":  # the request itself lasts as long as its background task
            eventually(lambda: it.pids("background-task"))
        else:
            it.server.wait_for_output("Waiting for ")
        assert is_alive(it.worker)
        it.go()
        it.wait()
        for kind, fate in kinds.items():
            if fate in (FINISHES, IDLE):
                becomes_of(it, kind, fate)
        it.nobody_is_left()
        assert f"atexit {it.worker}" in it.notes


@pytest.mark.parametrize("end", USUAL)
@pytest.mark.parametrize("interface", BY_INTERFACE)
def test_what_idles_or_need_not_be_waited_for_holds_up_nobody(
    tmp_path: Path, interface: str, end: str
) -> None:
    fates = {k: v for k, v in BY_INTERFACE[interface].items() if v != FINISHES}
    with left(tmp_path, interface, end, "--timeout-graceful-shutdown", "600") as it:
        it.start(*fates)
        it.ask_to_end()
        it.wait()  # without the file that they wait for
        for kind, fate in fates.items():
            becomes_of(it, kind, fate)
        it.nobody_is_left()
        assert f"atexit {it.worker}" in it.notes


@pytest.mark.parametrize("end", ["term", "workers-0"])
@pytest.mark.parametrize(("interface", "threads"), [("wsgi", "1"), ("wsgi", "8"), ("asgi", "1")])
def test_what_never_ends_is_given_up_by_name(
    tmp_path: Path, interface: str, end: str, threads: str
) -> None:
    kinds = [k for k, v in BY_INTERFACE[interface].items() if v == FINISHES]
    args = ("--timeout-graceful-shutdown", "3", "--threads", threads)
    with left(tmp_path, interface, end, *args) as it:
        it.start(*kinds)
        it.ask_to_end()
        it.wait()
        it.nobody_is_left()
        output = it.server.output
        assert "did not finish in time" not in output
        [line] = [each for each in output.splitlines() if "Given up at the end: thread" in each]
        assert "thread 'late'" in line
        assert "thread 'ThreadPoolExecutor-0_0'" in line
        [pid] = it.pids("process")
        assert re.search(rf"process {pid} \(.*?\) by SIGTERM", line)
        assert f"atexit {it.worker}" in it.notes


@pytest.mark.parametrize(
    ("interface", "end", "signals"),
    [
        ("wsgi", "term", [signal.SIGTERM, signal.SIGTERM]),
        ("asgi", "term", [signal.SIGINT, signal.SIGINT]),
        ("wsgi", "term", [signal.SIGQUIT]),
        ("asgi", "workers-0", [signal.SIGTERM, signal.SIGTERM]),
        ("wsgi", "workers-0", [signal.SIGTERM, signal.SIGQUIT]),
    ],
)
def test_hurry_cuts_the_waiting_short(
    tmp_path: Path, interface: str, end: str, signals: list[int]
) -> None:
    with left(tmp_path, interface, end, "--timeout-graceful-shutdown", "600") as it:
        it.start("thread", "process", "subprocess")
        for number, signum in enumerate(signals):
            if number:
                it.server.wait_for_output("Waiting for ")
            it.server.send_signal(signum)
        it.wait()
        it.nobody_is_left()


CHILD_THAT_HOLDS_ON = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    pass  # the child of a child, which does not listen either
with open("notes", "a") as file:
    file.write(f"started deaf {os.getpid()}\\n")
time.sleep(600)
"""

DEAF = f"""
import subprocess, sys
kept = []
def app(environ, start_response):
    kept.append(subprocess.Popen([sys.executable, "-c", {CHILD_THAT_HOLDS_ON!r}]))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_children_and_theirs_that_ignore_term_are_killed(tmp_path: Path, workers: str) -> None:
    # What the worker has left for the last words is a second, of a machine that may be busy.
    args = ("--workers", workers, "--timeout-graceful-shutdown", "9")
    with serve("app:app", *args, cwd=tmp_path, source=DEAF) as server:
        with RawClient(server.address) as client:
            client.request("GET", "/", "Connection: close")
        it = Left(server, tmp_path, "term")
        eventually(lambda: len(it.pids("deaf")) == 2)
        assert server.stop() == 0
        it.nobody_is_left()
        assert server.output.count("by SIGKILL") == 2
        assert "did not finish in time" not in server.output


def test_worker_that_has_to_be_killed_leaves_no_child_behind(tmp_path: Path) -> None:
    source = DEAF.replace(
        "    start_response", "    __import__('time').sleep(600)\n    start_response"
    )
    args = ("--threads", "1", "--timeout-graceful-shutdown", "0.5")
    with (
        serve("app:app", *args, cwd=tmp_path, source=source) as server,
        RawClient(server.address) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        it = Left(server, tmp_path, "term")
        eventually(lambda: len(it.pids("deaf")) == 2)
        server.stop()
        it.nobody_is_left()
        assert "did not finish in time" in server.output


DETACHED = """
import subprocess, sys
kept = []
def app(environ, start_response):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"],
                             start_new_session=True)
    kept.append(child)
    body = str(child.pid).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_a_process_that_was_detached_on_purpose_goes_on_and_is_named(tmp_path: Path) -> None:
    with serve("app:app", cwd=tmp_path, source=DETACHED) as server:
        with RawClient(server.address) as client:
            pid = int(client.request("GET", "/", "Connection: close").body)
        try:
            assert server.stop() == 0
            assert is_alive(pid)
            assert re.search(
                rf"process {pid} \(.*\), which is in a session of its own", server.output
            )
        finally:
            os.kill(pid, signal.SIGKILL)


HANGING_EXIT = """
import atexit, time
atexit.register(time.sleep, 600)
async def app(scope, receive, send):
    pass
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_exit_function_that_hangs_ends_with_the_grace(tmp_path: Path, workers: str) -> None:
    args = ("--workers", workers, "--timeout-graceful-shutdown", "0.5")
    with serve("app:app", *args, cwd=tmp_path, source=HANGING_EXIT) as server:
        assert server.stop() == 0
        assert "Given up at the end: an exit function." in server.output
        assert "did not finish in time" not in server.output


THREAD_AT_IMPORT = """
import threading, time
threading.Thread(target=time.sleep, args=(600,), name="forever").start()
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_a_thread_of_a_preloaded_application_does_not_keep_the_master(tmp_path: Path) -> None:
    args = ("--preload", "--timeout-graceful-shutdown", "0.5")
    # Python warns of forks beside threads, which is what this is about.
    env = {"PYTHONWARNINGS": "default,ignore:This process:DeprecationWarning"}
    with serve("app:app", *args, cwd=tmp_path, source=THREAD_AT_IMPORT, env=env) as server:
        server.send_signal(signal.SIGHUP)  # tried in a process of its own, which ends as well
        server.wait_for_output("Reloaded: all workers are new.")
        assert server.stop() == 0
        assert "thread 'forever'" in server.output


def test_processes_that_were_there_before_are_nobodys_business(tmp_path: Path) -> None:
    script = 'sleep 60 & echo $! > sleeper; exec "$@"'
    command = ("/bin/sh", "-c", script, "sh", *COMMAND)
    args = ("app:app", "--workers", "0")
    with serve(*args, cwd=tmp_path, source=DEAF, command=command) as server:
        sleeper = int((tmp_path / "sleeper").read_text())
        assert server.stop() == 0
        assert is_alive(sleeper)
        assert "Given up" not in server.output


@pytest.mark.long
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("interface", "kind"), [(name, kind) for name, kinds in BY_INTERFACE.items() for kind in kinds]
)
def test_each_alone(tmp_path: Path, interface: str, kind: str, end: str) -> None:
    fate = BY_INTERFACE[interface][kind]
    with left(tmp_path, interface, end) as it:
        it.start(kind)
        it.ask_to_end()
        if fate == FINISHES:
            if kind != "background-task":
                it.server.wait_for_output("Waiting for ")
            assert is_alive(it.worker)
            it.go()
        it.wait()
        becomes_of(it, kind, fate)
        it.nobody_is_left()
        assert f"atexit {it.worker}" in it.notes


HOLDS_THE_INTERPRETER = """
import atexit, ctypes, os
libc = ctypes.PyDLL(None)  # calls that keep the interpreter
atexit.register(libc.sleep, 60)
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_not_even_code_in_c_holds_up_the_end(tmp_path: Path) -> None:
    args = ("--workers", "0", "--timeout-graceful-shutdown", "0.2")
    with serve("app:app", *args, cwd=tmp_path, source=HOLDS_THE_INTERPRETER) as server:
        server.stop()  # by force, so not with 0
        assert "(most recent call first)" in server.output
