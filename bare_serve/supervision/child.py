"""One worker process: how it is born, what it says, how it ended.

`spawn` forks. On the child's side `_live` sheds everything of the master's, runs the worker
and never returns; what the worker has to say goes through WorkerSlot, as JSON lines in a pipe
and as numbers in its scoreboard row. On the master's side a Child is what is known about it.

Child decides nothing: when to start, stop or kill one is the supervisor's business.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import logging
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, NoReturn

from bare_serve.supervision.scoreboard import Row
from bare_serve.supervision.signals import blocked, nothing

log = logging.getLogger("bare_serve.supervision")

# Has all threads' stacks written to stderr by C code, even if Python never runs again. A
# real-time signal where there are some: applications have plans of their own for USR1 and USR2.
DUMP_SIGNAL: int = getattr(signal, "SIGRTMIN", signal.SIGUSR2)

BOOT_FAILED = 3


class State(Enum):
    BOOTING = "importing the application"
    READY = "serving"
    LEAVING = "asked to stop"
    CONDEMNED = "about to be killed"
    KILLED = "sent SIGKILL"


class WorkerSlot:
    """What a worker may tell the master; see workers.lifecycle.Slot."""

    def __init__(self, fd: int, row: Row) -> None:
        self._fd = fd
        self._row = row
        self.exit_code = 0
        self.is_ready = False

    def ready(self, facts: Mapping[str, str]) -> None:
        self.is_ready = True
        self._row.beat(0, 0)
        self._tell("ready", dict(facts))

    def failed(self, message: str, details: str = "") -> None:
        self.exit_code = BOOT_FAILED
        self._tell("failed", [message, details])

    def beat(self, connections: int, requests: int) -> None:
        self._row.beat(connections, requests)

    def _tell(self, kind: str, value: object) -> None:
        data = json.dumps([kind, value]).encode() + b"\n"
        # A master that is gone reads no more; the next tick notices by itself.
        with suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]


RunWorker = Callable[[WorkerSlot, int], None]


class Child:
    """One worker as the master sees it."""

    def __init__(self, index: int, pid: int, fd: int, row: Row) -> None:
        self.index = index
        self.pid = pid
        self.fd = fd
        self.row = row
        self.state = State.BOOTING
        self.deadline: float | None = None
        self.ready_at: float | None = None
        self.failure: tuple[str, str] | None = None
        self._status: int | None = None
        self._unread = b""

    def __str__(self) -> str:
        return f"Worker {self.index} (pid {self.pid})"

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What the worker has said since the last call."""
        while self.fd >= 0:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return
            if not data:
                self._hang_up()
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                try:
                    kind, value = json.loads(line)
                except (ValueError, TypeError):  # not from a WorkerSlot: nothing to us
                    continue
                yield kind, value

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
        ours = self.state in (State.CONDEMNED, State.KILLED)
        return not ours and self._status not in (0, signal.SIGTERM)

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
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

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


def spawn(run_worker: RunWorker, index: int, row: Row, shed: Callable[[], None]) -> Child:
    """Fork a worker. `shed` runs in it first and closes what belongs to the master alone."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or the child would write it a second time
    read, write = os.pipe()
    try:
        with blocked():
            pid = os.fork()
            if pid == 0:
                os.close(read)
                _live(run_worker, index, WorkerSlot(write, row), shed)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    os.set_blocking(read, False)
    return Child(index, pid, read, row)


def _live(
    run_worker: RunWorker, index: int, slot: WorkerSlot, shed: Callable[[], None]
) -> NoReturn:
    """The whole life of the child process; nothing of the master's stack is ever unwound."""
    code = 1
    try:
        shed()
        _settle()
        run_worker(slot, index)
        code = slot.exit_code
    except SystemExit as end:
        code = _exit_code(end)
        if not slot.is_ready:
            slot.failed(f"The application called sys.exit({code}) while starting.", _trace())
            code = BOOT_FAILED
    except BaseException:  # noqa: BLE001  (nothing may unwind into the master's stack)
        if slot.is_ready:
            log.critical("Worker %d (pid %d) failed:\n%s", index, os.getpid(), _trace())
        else:
            slot.failed("The worker failed while starting.", _trace())
            code = BOOT_FAILED
    finally:
        try:
            _finish()
        finally:
            os._exit(code)


def _settle() -> None:
    """Make a fork of the master into a process of its own."""
    atexit._clear()  # what the master registered is the master's to do
    random.seed()  # or every worker would draw the same numbers
    # Ctrl-C and a hangup reach the whole group; the master says what follows from them. TERM
    # has its default: until the worker installs its own handler there is nothing to drain.
    signal.signal(signal.SIGINT, nothing)
    signal.signal(signal.SIGHUP, nothing)
    signal.signal(signal.SIGQUIT, lambda signum, frame: os._exit(0))
    faulthandler.enable(2)  # a crash in C says where; descriptor 2, as sys.stderr may be anything
    faulthandler.register(DUMP_SIGNAL, 2)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _finish() -> None:
    """What the interpreter would do at its end, except to wait for threads that never return."""
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    return end.code if isinstance(end.code, int) else 1


def _trace() -> str:
    return traceback.format_exc()
