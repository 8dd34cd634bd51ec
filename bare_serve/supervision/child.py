"""One worker process as its master sees it: how it is born, what it says, how it ended.

`spawn` forks; what happens on the child's side is in worker_process.py. On the master's side a
Child is what is known about it.

Child decides nothing: when to start, stop or kill one is the supervisor's business.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from itertools import count
from typing import Any, Protocol

from bare_serve.supervision.messages import FAILURES, LONGEST, parse
from bare_serve.supervision.scoreboard import Row
from bare_serve.supervision.signals import blocked
from bare_serve.supervision.worker_process import DUMP_SIGNAL, RunWorker, WorkerSlot, live
from bare_serve.system import forks
from bare_serve.workers import shutdown

# What processes that a worker's application has started get beside it, once it is given up.
_PASSED_ON = {DUMP_SIGNAL: signal.SIGTERM, int(signal.SIGKILL): signal.SIGKILL}
_WISHES = (signal.SIGTERM, signal.SIGQUIT)
# How much is read of one worker's words at a time: it must not keep the master from the others.
_READS = 32


class Wear(Protocol):
    """What the policy says about the age of workers."""

    def requests_of_one(self) -> int: ...

    def lifetime_of_one(self) -> float: ...


class State(Enum):
    BOOTING = "importing the application"
    READY = "serving"
    LEAVING = "asked to stop"
    TO_KILL = "asked what it was doing"
    DUMPED = "asked for its stacks"
    WARNED = "sent SIGTERM before SIGKILL"
    KILLED = "sent SIGKILL"


ENDING = (State.TO_KILL, State.DUMPED, State.WARNED, State.KILLED)


_births = count()


class Child:
    """One worker as the master sees it."""

    def __init__(self, index: int, pid: int, fd: int, row: Row) -> None:
        self.index = index
        self.order = next(_births)
        """The smaller, the older its code; those that are taken over come first, in their order."""
        self.pid = pid
        self.fd = fd
        self.row = row
        self.state = State.BOOTING
        self.deadline: float | None = None
        self.deadline_if_ready: float | None = None
        """The one of a worker that leaves, if it turns out that it serves already."""
        self.ready_at: float | None = None
        self.expires_at = math.inf
        self.requests_at_most: float = math.inf
        self.failure: tuple[str, str] | None = None
        self.was_misused = False
        """Whether it failed to boot because settings are wrong."""
        self.was_asked = False
        """Whether it was asked to leave before anything worse was done to it."""
        self.record = ""
        """Of a boot that failed, the exception's structure as JSON, if the worker told it."""
        self.take_imported: Callable[[Iterable[str]], None] | None = None
        """What takes the files that it tells of; None if nobody wants to know."""
        self.asked_for = "asked"
        """Why, as one of counts/layout.EXIT_REASONS."""
        self.facts: Mapping[str, str] = {}
        """What it has said of itself as it became ready."""
        self.ended_for = ""
        """Once it has ended, why: the same."""
        self.started = time.monotonic_ns()
        self.is_asked = False
        """Whether a debugger holds it; unanswered."""
        self.debugged_at = 0.0
        """When it last said that one does."""
        self.owes_reopening = False
        """Log files are to be reopened, and it has nothing yet that would hear of it."""
        self._status: int | None = None
        self._unread = b""

    def __str__(self) -> str:
        return f"Worker {self.index} (pid {self.pid})"

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield what the worker has said since the last call.

        Nothing is read where nothing is: even that would send SIGIO to the worker, and interrupt
        what it does; see `WorkerSlot._watch_the_master`.
        """
        for _ in range(_READS):
            if self.fd < 0:
                return
            poller = select.poll()
            poller.register(self.fd, select.POLLIN)
            if not poller.poll(0):
                return
            try:
                data = os.read(self.fd, 65536)
            except ConnectionResetError:  # all is read; the worker had not read all of ours
                data = b""
            if not data:
                self._hang_up()
            *lines, self._unread = (self._unread + data).split(b"\n")
            if len(self._unread) > LONGEST:
                self._unread = b""
            for message in filter(None, map(parse, lines)):
                if message[0] == "ready":
                    self.facts = message[1]
                elif message[0] in FAILURES:
                    self.was_misused = message[0] == "misused"
                    self.record = message[1][2]
                elif message[0] == "imported" and self.take_imported is not None:
                    self.take_imported(message[1])
                yield message

    def wear_out(self, policy: Wear, now: float) -> None:
        """Set from now on how long it is kept; each worker is a little different."""
        self.ready_at = now
        self.requests_at_most = policy.requests_of_one() or math.inf
        self.expires_at = now + (policy.lifetime_of_one() or math.inf)

    def has_ended(self) -> bool:
        """Reap the process if it has ended. Once True, `how_it_ended` and `close` make sense."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # a program around run() reaped it before us
                self._status = 0
            else:
                self._status = status if pid else None
        return self._status is not None

    @property
    def ended_badly(self) -> bool:
        """By itself and not as asked."""
        return self.state not in ENDING and self._status not in (0, signal.SIGTERM)

    def how_it_ended(self) -> str:
        assert self._status is not None
        code = os.waitstatus_to_exitcode(self._status)
        if code >= 0:
            return f"exited with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was killed by {name}"

    @property
    def was_killed_from_outside(self) -> bool:
        """SIGKILL that we did not send: an operator, or the kernel for lack of memory."""
        return self._status == signal.SIGKILL and self.state is not State.KILLED

    def send(self, signum: int) -> None:
        # Until it is reaped the pid cannot belong to anybody else.
        if self._status is None:
            # A worker that cannot end its children any more leaves none behind all the same.
            below = shutdown.descendants(self.pid, shutdown.stays) if signum in _PASSED_ON else ()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)
            if signum in _WISHES:
                # Behind the signal: by this alone an idle worker may end before the signal comes,
                # and a handler of the application's for it would not run.
                with suppress(OSError):  # one that is ending, or whose master had only a pipe
                    os.write(self.fd, bytes((signum,)))
            for process in below:
                process.send(_PASSED_ON[signum])

    def reopen_logs(self) -> None:
        """Ask for log files to be reopened, or owe it to one that has nothing yet to hear it."""
        if self.state is State.BOOTING:
            self.owes_reopening = True
        else:
            self.send(signal.SIGUSR1)

    def destroy(self) -> None:
        """Kill and reap, whatever it is doing; for a master that is failing itself."""
        self.send(signal.SIGKILL)
        if self._status is None:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            self._hang_up()

    def _hang_up(self) -> None:
        os.close(self.fd)
        self.fd = -1


def reap_strangers(ours: set[int]) -> None:
    """As process 1, which inherits every orphan of its container, reap those that have ended."""
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid in ours:
                return  # its turn is next, and then the others'
            os.waitpid(ended.si_pid, os.WNOHANG)


def spawn(run_worker: RunWorker, index: int, row: Row, shed: Callable[[], None]) -> Child:
    """Fork a worker. `shed` runs in it first and closes what belongs to the master alone."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or the child would write it a second time
    own, other = (end.detach() for end in socket.socketpair())
    try:
        with blocked(), forks.ours():
            pid = os.fork()
            if pid == 0:
                os.close(own)
                live(run_worker, index, WorkerSlot(other, row), shed)
    except BaseException:
        os.close(own)
        raise
    finally:
        os.close(other)
    return Child(index, pid, own, row)
