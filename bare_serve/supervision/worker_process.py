"""The worker's side of the fork: what it says to its master, and its process from birth to end.

`live` sheds everything of the master's, runs the worker and never returns. What the worker has to
say goes through WorkerSlot, as JSON lines in a pipe (messages.py) and as numbers in its scoreboard
row. The pipe is a pair of sockets: the other way goes the wish to stop, as the number of its
signal, since the application may have taken the signal itself for its own.

What must not live here: serving, and anything that the master decides or runs.
"""

from __future__ import annotations

import atexit
import faulthandler
import fcntl
import gc
import json
import logging
import os
import select
import signal
import time
import traceback
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from bare_serve.supervision.scoreboard import Row
from bare_serve.supervision.signals import nothing
from bare_serve.system import forks
from bare_serve.workers import shutdown
from bare_serve.workers.debuggers import holds_any
from bare_serve.workers.last_words import error_log_descriptor
from bare_serve.workers.slot import TELL_SIGNAL, WorkerLife
from bare_serve.workers.stacks import Stacks

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

_FOR_THE_MASTER = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class WorkerSlot:
    """What a worker may tell the master; see workers.slot.Slot."""

    def __init__(self, fd: int, row: Row) -> None:
        self._fd = fd
        self._row = row
        self._is_telling = False
        self._counts = (0, 0)
        self.stacks = Stacks()
        self.exit_code = 0
        self.is_ready = False
        self.life: WorkerLife | None = None
        """Known once the application is imported."""

    def ready(self, facts: Mapping[str, str]) -> None:
        self.is_ready = True
        self._row.beat(0, 0)
        self._tell("ready", dict(facts))
        self._watch_the_master()

    def failed(
        self, message: str, details: str = "", exception: str = "", *, misused: bool = False
    ) -> None:
        """See workers.slot.Slot; `exception` is its structure as JSON, for a developer; `misused`:
        settings are wrong, and not the application."""
        self.exit_code = BOOT_FAILED
        self._tell(
            "misused" if misused else "failed", [message, details, *filter(None, (exception,))]
        )

    def imported(self, files: Sequence[str]) -> None:
        """Tell which files the application consists of, for a master that watches them."""
        self._tell("imported", [*files])

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
        """Return what a process that the application forks has to let go of."""
        return (self._fd, *self.stacks.descriptors())

    def begin(self) -> None:
        """In the new process: be ready to be asked."""
        signal.signal(ASK_SIGNAL, self.answer)
        self.stacks.register()
        self._row.offer_stacks(self.stacks.signal)
        forks.holds(self.descriptors, self._forget)

    def _forget(self) -> None:
        """In a process that the application forks."""
        faulthandler.unregister(DUMP_SIGNAL)
        self.stacks.forget()

    def report_activity(self, what: str) -> None:
        self._row.doing = what

    def publish(self, gauges: array[int], counters: array[int], windows: array[int]) -> None:
        self._row.publish(gauges, counters, windows)
        self._row.offer_stacks(self.stacks.signal)

    def introduce(self, interface: str) -> None:
        self._row.introduce(interface)

    def offer_look(self, signum: int) -> None:
        self._row.offer_look(signum)

    def is_watched(self) -> bool:
        return self._row.is_watched

    def report_in_flight(self, lines: str) -> None:
        self._row.report_in_flight(lines)

    def offer_xray(self, can: bool) -> None:
        self._row.offer_xray(can)

    def obey_xray(self, number: int) -> None:
        self._row.obey_xray(number)

    def xray_order(self) -> tuple[int, bytes]:
        return self._row.xray_order()

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
        kernel sends it for other reasons too, so the handler asks `master_is_gone` and
        `asked`.
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


def live(run_worker: RunWorker, index: int, slot: WorkerSlot, shed: Callable[[], None]) -> NoReturn:
    """Live the whole life of the child process; nothing of the master's stack is ever unwound."""
    code = 1
    try:
        shed()
        _settle()
        slot.begin()
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
