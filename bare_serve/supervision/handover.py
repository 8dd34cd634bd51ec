"""The master replaced by a new program in the same process: same pid, same sockets, same workers.

The new program is tried first, in a process of its own that loads the application and ends. If
that goes well the master writes down what it has (listeners, workers, scoreboard) and executes
the command it was started by anew. The new master receives all this, and replaces the workers
one by one as in any reload; until then they serve. Signals wait meanwhile.

A debugger that has put itself into `os` is left behind by both, as it cannot follow: its port is
taken by itself.

The record is JSON. A later version must read this one's, so its names stay.
"""

from __future__ import annotations

import json
import logging
import os
import posix
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from bare_serve.supervision.child import Child, State
from bare_serve.supervision.scoreboard import LAYOUT, ROW, Row, Scoreboard

logger = logging.getLogger("bare_serve.supervision")

_RECORD = "_BARE_SERVE_HANDOVER"
_TRIAL = "_BARE_SERVE_TRIAL"
_WITHOUT_VALUE = frozenset(("--wait-for-client", "--log-to-stderr"))
"""Options of debugpy; all others have a value."""


class Handover:
    """What a master has got from the one before it, and the way to the next one."""

    def __init__(self) -> None:
        self.directory = start_directory(os.environ)
        self.environ = {**os.environ}
        """What the next program is started with: nothing that was put there since."""
        self.listeners: dict[str, int] = {}
        """Listening descriptors by the text of their addresses: those received, then our own."""
        self.roles: dict[str, str] = {}
        """What each of them is for, where that is anything special."""
        self.ops: dict[str, int] = {}
        """The listening descriptor of the ops process, likewise; there is one at most."""
        self.dev = -1
        """The descriptor of what workers of a server under development are told; -1 for none."""
        self.seen: dict[str, Any] = {}
        """What the watcher of files knows of them, as JSON can have it."""
        self.pid_file = ""
        """The path of the one that names this process."""
        self.children: list[Child] = []
        self.holders: list[Child] = []
        self.more_workers = 0
        """How many more places there were than the settings said."""
        self.scoreboard: Scoreboard | None = None
        self.received = False
        self.has_served = False
        """A master before this one had a worker that was ready."""
        self.pid = -1
        """The trial that runs."""
        self.deadline: float | None = None
        self._output: tuple[int, int] | None = None

    # The new master

    @classmethod
    def receive(cls, environ: MutableMapping[str, str]) -> Handover:
        """Take what was handed over to this process, if anything was."""
        text = environ.pop(_RECORD, "")
        self = cls()
        if text.isdigit():
            with open(int(text), "rb") as file:
                file.seek(0)
                self._take(json.load(file))
        return self

    def _take(self, record: Mapping[str, Any]) -> None:
        self.received = True
        self.has_served = record.get("has_served", True)  # the first versions did not say
        self.listeners = dict(record["listeners"])
        self.roles = dict(record.get("roles", {}))
        self.ops = dict(record.get("ops", {}))
        self.dev = record.get("dev", -1)
        self.seen = dict(record.get("seen", {}))
        self.pid_file = record.get("pid_file", "")
        self.more_workers = record["more_workers"]
        board = record["scoreboard"]
        if board["fd"] >= 0:
            os.set_inheritable(board["fd"], False)
            if board["layout"] == LAYOUT and Scoreboard.is_sound(board["fd"], board["rows"]):
                self.scoreboard = Scoreboard(board["rows"], board["fd"])
            else:
                os.close(board["fd"])
        for fd in {*self.listeners.values(), *self.ops.values(), self.dev} - {-1}:
            os.set_inheritable(fd, False)
        for each in record["children"]:
            self._adopt(each)

    def _adopt(self, each: Mapping[str, Any]) -> None:
        if each["fd"] >= 0:
            os.set_inheritable(each["fd"], False)
        board = self.scoreboard
        row = board.at(each["row"]) if board else Row(each["row"], memoryview(bytearray(ROW)))
        child = Child(each["index"], each["pid"], each["fd"], row)
        child.state = State[each["state"]]
        child.deadline = each["deadline"]
        child.deadline_if_ready = each.get("deadline_if_ready", child.deadline)
        child.ready_at = each["ready_at"]
        child.started = each.get("started", child.started)
        child.was_asked = each.get("was_asked", child.state is State.LEAVING)
        self.children.append(child)
        if each["holds"]:
            self.holders.append(child)

    # The old one

    def keep_output(self) -> None:
        """Before descriptors 1 and 2 are captured: the next program gets them as they are now."""
        self._output = os.dup(1), os.dup(2)

    def try_out(self, seconds: float) -> None:
        """Start the new program for a trial; OSError if even that cannot be done."""
        self.go_home()
        told = {"listeners": [*self.listeners], "ops": [*self.ops], "pid_file": self.pid_file}
        environ = {**self.environ, _TRIAL: json.dumps({**told, "dev": self.dev})}
        command = _command()
        if len(command) < len(sys.orig_argv):
            logger.warning("The debugger stays behind: it cannot follow into the new server.")
        with _inherited({self.dev} - {-1}):
            self.pid = posix.posix_spawn(sys.executable, command, environ, setsigmask=())
        self.deadline = time.monotonic() + seconds if seconds else None

    def works(self) -> bool | None:
        """Once, when the trial has ended: whether it went well. Else None."""
        if self.pid < 0:
            return None
        if self.deadline is not None and time.monotonic() >= self.deadline:
            logger.error("The new server did not load the application in time.")
            self.abandon()
            return False
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 1
        if not pid:
            return None
        self.pid, self.deadline = -1, None
        return status == 0

    def abandon(self) -> None:
        """End the trial."""
        if self.pid >= 0:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid, self.deadline = -1, None

    def execute(
        self, children: Iterable[Child], holders: Iterable[Child], scoreboard: Scoreboard, more: int
    ) -> None:
        """Become the new program; returns only by an OSError."""
        held = {*holders}
        record = {
            "listeners": self.listeners,
            "roles": self.roles,
            "ops": self.ops,
            "dev": self.dev,
            "seen": self.seen,
            "pid_file": self.pid_file,
            "more_workers": more,
            "has_served": self.has_served,
            "scoreboard": {"layout": LAYOUT, "fd": scoreboard.fd, "rows": scoreboard.rows},
            "children": [_describe(child, child in held) for child in children],
        }
        fds = {*self.listeners.values(), *self.ops.values(), scoreboard.fd, self.dev}
        fds = {*fds, *(child.fd for child in children)} - {-1}
        with _nameless_file() as file:
            file.write(json.dumps(record).encode())
            file.flush()
            with _inherited({*fds, file.fileno()}):
                self.go_home()
                sys.stdout.flush()
                environ = {**self.environ, _RECORD: str(file.fileno())}
                with self._original_output():
                    posix.execve(sys.executable, _command(), environ)

    @contextmanager
    def _original_output(self) -> Iterator[None]:
        if self._output is None:
            yield
            return
        captured = os.dup(1), os.dup(2)
        try:
            _put_in_place(self._output)
            yield
        finally:
            _put_in_place(captured)
            for fd in captured:
                os.close(fd)

    def forget_dev(self) -> None:
        """Let go of what a server under development tells its workers: this one is none."""
        if self.dev >= 0:
            os.close(self.dev)
            self.dev = -1

    def go_home(self) -> None:
        """Be where the command was started, by its name: see `start_directory`."""
        with suppress(OSError):
            os.chdir(self.directory)


class Trial(NamedTuple):
    """This process only tries whether it could take the place of the one that started it."""

    inherited: frozenset[str] | None
    """The addresses it would be handed; None if the master does not say."""
    pid_file: str = ""
    ops: frozenset[str] = frozenset()
    """The same for the ops process."""
    dev: int = -1
    """A descriptor; see `Handover.dev`."""

    @classmethod
    def asked(cls, environ: MutableMapping[str, str]) -> Trial | None:
        """Return whether that is so; to be asked once."""
        if not (text := environ.pop(_TRIAL, "")):
            return None
        if environ.get("LISTEN_PID") == str(os.getppid()):
            environ["LISTEN_PID"] = str(os.getpid())  # systemd's sockets: it would be that process
        told = json.loads(text)
        if not isinstance(told, dict):  # an older master just says 1
            return cls(None)
        ops = frozenset(told.get("ops", ()))
        return cls(frozenset(told["listeners"]), told["pid_file"], ops, told.get("dev", -1))


def start_directory(environ: Mapping[str, str]) -> Path:
    """Return the current directory by the name the user knows it by.

    A deployment may switch a symbolic link from one release to the next; who was started behind
    that link is to find the new release there.
    """
    here = Path.cwd()
    named = Path(environ.get("PWD", ""))
    with suppress(OSError):
        if named.is_absolute() and named.samefile(here):
            return named
    return here


def _nameless_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("bare-serve"), "r+b")
    import tempfile  # 2 MiB and 4 ms

    return tempfile.TemporaryFile()


@contextmanager
def _inherited(fds: Iterable[int]) -> Iterator[None]:
    """Have programs that are executed meanwhile inherit these descriptors."""
    try:
        for fd in fds:
            os.set_inheritable(fd, True)
        yield
    finally:
        for fd in fds:
            os.set_inheritable(fd, False)


def _put_in_place(fds: tuple[int, int]) -> None:
    for standard, fd in zip((1, 2), fds, strict=True):
        os.dup2(fd, standard)


def _command() -> list[str]:
    return [sys.executable, *without_debugger(sys.orig_argv[1:])]


def without_debugger(arguments: list[str]) -> list[str]:
    """Return a command line without `-m debugpy` and its options in front of the program.

    The debugger of this process has the port that another one would listen on.
    """
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "-m":
        at += 2 if arguments[at] in ("-X", "-W") else 1
    rest = at + 1 + (arguments[at : at + 1] == ["-m"])
    if arguments[rest - 1 : rest] and arguments[rest - 1].rpartition("/")[2] == "debugpy":
        while rest < len(arguments) and arguments[rest].startswith("--"):
            rest += 1 if arguments[rest] in _WITHOUT_VALUE else 2
        return [*arguments[:at], *arguments[rest:]]
    return [*arguments]


def _describe(child: Child, holds: bool) -> dict[str, Any]:
    return {
        "index": child.index,
        "pid": child.pid,
        "fd": child.fd,
        "row": child.row.number,
        "state": child.state.name,
        "deadline": child.deadline,
        "deadline_if_ready": child.deadline_if_ready,
        "ready_at": child.ready_at,
        "was_asked": child.was_asked,
        "started": child.started,
        "holds": holds,
    }
