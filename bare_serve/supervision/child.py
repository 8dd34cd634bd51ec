"""One worker process: how it is born, what it says, how it ended.

`spawn` forks. On the child's side `_live` sheds everything of the master's, runs the worker
and never returns; what the worker has to say goes through WorkerSlot, as JSON lines in a pipe
and as numbers in its scoreboard row. On the master's side a Child is what is known about it. The
pipe is a pair of sockets: the other way goes the wish to stop, as the number of its signal, since
the application may have taken the signal itself for its own.

Child decides nothing: when to start, stop or kill one is the supervisor's business.
"""

from __future__ import annotations

import atexit
import faulthandler
import fcntl
import gc
import json
import logging
import math
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from itertools import count
from types import FrameType
from typing import Any, NoReturn, Protocol

from bare_serve.supervision.messages import LONGEST, parse
from bare_serve.supervision.scoreboard import Row
from bare_serve.supervision.signals import blocked, nothing
from bare_serve.system import forks
from bare_serve.workers import shutdown
from bare_serve.workers.debuggers import holds_any
from bare_serve.workers.last_words import error_log_descriptor
from bare_serve.workers.slot import TELL_SIGNAL, WorkerLife

logger = logging.getLogger("bare_serve.supervision")

# Has all threads' stacks written to the error log by C code, even if Python never runs again. A
# real-time signal where there are some: applications have plans of their own for USR1 and USR2.
DUMP_SIGNAL: int = getattr(signal, "SIGRTMIN", signal.SIGUSR2)
# Asks a silent worker whether a debugger holds it. Ignored by one that knows nothing of it, such as
# those of an earlier version that a handover brings.
ASK_SIGNAL = signal.SIGURG
BOOT_FAILED = 3

# Wanted by the master alone, for the program that replaces it; the application and the programs it
# starts do not get them.
_SECRETS = ("BARE_SERVE_SSL_KEYFILE_PASSWORD",)

# What processes that a worker's application has started get beside it, once it is given up.
_PASSED_ON = {DUMP_SIGNAL: signal.SIGTERM, int(signal.SIGKILL): signal.SIGKILL}
_WISHES = (signal.SIGTERM, signal.SIGQUIT)
# How much is read of one worker's words at a time: it must not keep the master from the others.
_READS = 32

_FOR_THE_MASTER = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


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


class WorkerSlot:
    """What a worker may tell the master; see workers.slot.Slot."""

    def __init__(self, fd: int, row: Row) -> None:
        self._fd = fd
        self._row = row
        self._is_telling = False
        self._counts = (0, 0)
        self.exit_code = 0
        self.is_ready = False
        self.life: WorkerLife | None = None
        """Known once the application is imported."""

    def ready(self, facts: Mapping[str, str]) -> None:
        self.is_ready = True
        self._row.beat(0, 0)
        self._tell("ready", dict(facts))
        self._watch_the_master()

    def failed(self, message: str, details: str = "") -> None:
        self.exit_code = BOOT_FAILED
        self._tell("failed", [message, details])

    def beat(self, connections: int, requests: int) -> None:
        self._counts = connections, requests
        self._row.beat(connections, requests)

    def still_there(self) -> None:
        """Give a sign of life when there is nothing new to count."""
        self._row.beat(*self._counts)

    def asked(self) -> int:
        """Return the signal by which the master asks to stop, if it has done so; else 0."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        with suppress(OSError):
            if poller.poll(0) and (wishes := os.read(self._fd, 4096)):
                return signal.SIGQUIT if signal.SIGQUIT in wishes else signal.SIGTERM
        return 0

    def descriptors(self) -> tuple[int, ...]:
        """Return what a process that the application forks has to close."""
        return (self._fd,)

    def report_activity(self, what: str) -> None:
        self._row.doing = what

    def answer(self, _signum: int, frame: FrameType | None) -> None:
        """To ASK_SIGNAL: a worker that sits at a debugger's prompt is not stuck."""
        if holds_any(frame) and not self._is_telling:  # lines stay whole
            self._tell("debugged", None)

    def master_is_gone(self) -> bool:
        poller = select.poll()
        poller.register(self._fd, 0)  # POLLHUP is always told: the other end is closed
        return bool(poller.poll(0))

    def _watch_the_master(self) -> None:
        """Have the kernel send SIGIO when the master's end of the pipe closes with the master,
        or when the master says something.

        A worker that ticks finds out by itself; one that is stuck is interrupted by this. The
        kernel sends it for other reasons too, so the handler asks `alone` and `asked`.
        """
        if hasattr(os, "O_ASYNC"):
            with suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETOWN, os.getpid())
                flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
                fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | os.O_ASYNC)

    def _tell(self, kind: str, value: object) -> None:
        data = json.dumps([kind, value]).encode() + b"\n"
        self._is_telling = True
        # A master that is gone reads no more; the next tick notices by itself.
        with suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]
        self._is_telling = False


RunWorker = Callable[[WorkerSlot, int], None]

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
        self.was_asked = False
        """Whether it was asked to leave before anything worse was done to it."""
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
        what it does; see `_watch_the_master`.
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
            yield from filter(None, map(parse, lines))

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
            if signum in _WISHES:
                with suppress(OSError):  # one that is ending, or whose master had only a pipe
                    os.write(self.fd, bytes((signum,)))
            # A worker that cannot end its children any more leaves none behind all the same.
            below = shutdown.descendants(self.pid, shutdown.stays) if signum in _PASSED_ON else ()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)
            for process in below:
                process.send(_PASSED_ON[signum])

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
                _live(run_worker, index, WorkerSlot(other, row), shed)
    except BaseException:
        os.close(own)
        raise
    finally:
        os.close(other)
    return Child(index, pid, own, row)


def _live(
    run_worker: RunWorker, index: int, slot: WorkerSlot, shed: Callable[[], None]
) -> NoReturn:
    """Live the whole life of the child process; never unwind the master's stack."""
    code = 1
    try:
        shed()
        _settle()
        signal.signal(ASK_SIGNAL, slot.answer)
        forks.holds(slot.descriptors, _dump_no_more)
        run_worker(slot, index)
        code = slot.exit_code
    except SystemExit as end:
        forks.end_copy()
        code = _exit_code(end)
        if not slot.is_ready:
            slot.failed(f"The application called sys.exit({code}) while starting.", _trace())
            code = BOOT_FAILED
    except BaseException:  # noqa: BLE001  (nothing may unwind into the master's stack)
        forks.end_copy()
        if slot.is_ready:
            logger.critical("Worker %d (pid %d) failed:\n%s", index, os.getpid(), _trace())
        else:
            slot.failed("The worker failed while starting.", _trace())
            code = BOOT_FAILED
    finally:
        try:
            forks.end_copy()
            _finish(slot, code)
        finally:
            os._exit(code)


def _settle() -> None:
    """Make a fork of the master into a process of its own."""
    gc.freeze()  # the collector would write to all that is shared with the master, 3 MiB
    atexit._clear()  # what the master registered is the master's to do
    shutdown.start_afresh()
    forks.begin()
    for name in _SECRETS:
        os.environ.pop(name, None)
    # What is meant for the master may reach the whole group (Ctrl-C, pkill); the master says what
    # follows from it. SIGIO: see WorkerSlot. TERM has its default: until the worker installs its
    # own handler there is nothing to drain.
    for signum in (*_FOR_THE_MASTER, TELL_SIGNAL, signal.SIGIO):
        signal.signal(signum, nothing)
    signal.signal(signal.SIGQUIT, lambda signum, frame: os._exit(0))
    fd = error_log_descriptor()  # a descriptor, as sys.stderr may be anything
    faulthandler.enable(fd)  # a crash in C says where
    faulthandler.register(DUMP_SIGNAL, fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _dump_no_more() -> None:
    """In a process that the application forks."""
    faulthandler.unregister(DUMP_SIGNAL)


def _finish(slot: WorkerSlot, code: int) -> None:
    """Do what the interpreter would do at its end, for as long as there is time for it."""
    life = slot.life
    if life is None or not slot.is_ready:  # it has served nobody, and another error is told
        shutdown.End(until=time.monotonic(), silent=True).run(code)
    else:
        shutdown.End(life.leave_by, lambda: life.hurry, slot.still_there).run(code)


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    return end.code if isinstance(end.code, int) else 1


def _trace() -> str:
    return traceback.format_exc()
