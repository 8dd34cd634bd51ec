"""A small program beside the workers as the master sees it: executed, kept alive, and heard.

It is a program of its own, executed with descriptors by number, so that nothing of the master's
memory, environment or keys is in it. The master never waits for it, and if it dies, no request
notices. What it says are messages in a socket that keeps their bounds.

What must not live here: what such a program is for. Each is a subclass: ops_process.py, and
dev/watcher_process.py.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import posix
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import NamedTuple

from bare_serve.supervision.background import Means, Work
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.signals import INTENTS
from bare_serve.workers.last_words import error_log_descriptor

logger = logging.getLogger("bare_serve.supervision")

_FAREWELL = 0.5
"""Seconds for the process to end by itself."""
_MESSAGES = 16
"""Messages that are heard at a time: the master has other things to do."""
_ROOM = 1 << 18
"""Bytes of messages that wait, at least, where the system's default would be too few."""
_FIRST = 3
"""The first of the descriptors that the process is given."""
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Variables that a Python may need to run at all."""


class Running(NamedTuple):
    """The process, while there is one."""

    pid: int
    pipe: socket.socket
    since: float


class SideProcess(Work):
    """Keeps one such process alive, by the same rules as a worker."""

    name = "side process"
    """What messages call it."""
    program = ""
    """The path of its file."""
    longest = 4096
    """Bytes of a message from it, at the most."""
    beat = math.inf
    """Seconds between two looks, at the most."""

    def __init__(self) -> None:
        self._means: Means | None = None
        self._policy = Policy()
        self._running: Running | None = None
        self._crashes = 0
        self._start_at = 0.0
        self.due = 0.0

    # What each one adds

    def descriptors(self, stack: ExitStack) -> Iterable[int]:
        """Return what the process is given behind the socket; closed by the stack if it is new."""
        return ()

    def arguments(self) -> Iterable[str]:
        """Return its arguments behind the numbers of the descriptors."""
        return ()

    def greet(self, running: Running) -> None:
        """Tell a new process what it has to know."""

    def hear(self, message: bytes) -> None:
        """Act on what the process says."""
        raise NotImplementedError

    # What all of them have

    def look(self, now: float) -> None:
        """See `Work`."""
        self.due = now + self.beat
        if self._running is not None and not self.listen(self._running):
            self._has_ended(self._running, now)
        if self._running is None:
            if now >= self._start_at:
                self._start(now)
            else:
                self.due = min(self.due, self._start_at)

    def begin(self, means: Means) -> None:
        """See `Work`."""
        self._means = means

    def end(self) -> None:
        """End the process; it has a moment for what it is doing."""
        if self._running is None:
            return
        running = self._forget_running(self._running)
        self._start_at = self.due = 0.0
        running.pipe.close()
        until = time.monotonic() + _FAREWELL
        while time.monotonic() < until:
            if _reap(running.pid, os.WNOHANG) is not None:
                return
            time.sleep(0.005)
        _kill(running.pid)

    def forget(self) -> None:
        """In a new child: keep no socket."""
        if self._running is not None:
            self._running.pipe.close()

    def _start(self, now: float) -> None:
        try:
            running = self._spawn(now)
        except OSError as error:
            self._try_again(now, f"Cannot start the {self.name}: {error.strerror}.")
            return
        self._running = running
        self.pid, self.fd = running.pid, running.pipe.fileno()
        self.greet(running)
        logger.debug("The %s (pid %d) starts.", self.name, running.pid)

    def _spawn(self, now: float) -> Running:
        with ExitStack() as stack:
            ours, theirs = _pair()
            stack.callback(theirs.close)
            kept = stack.enter_context(ExitStack())
            kept.callback(ours.close)
            wanted = (theirs.fileno(), *self.descriptors(stack))
            given = []
            for fd in wanted:
                # Above those that they are to have; none can be inherited by another program.
                given.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST + len(wanted)))
                stack.callback(os.close, given[-1])
            numbers = range(_FIRST, _FIRST + len(given))
            # Isolated from the user's environment, directory and packages.
            flags = ("-I", "-S", *(["-B"] if sys.dont_write_bytecode else ()))
            arguments = (*map(str, numbers), *self.arguments())
            # Not by `os`, where a debugger that follows children has put itself: it would find
            # nothing here.
            pid = posix.posix_spawn(
                sys.executable,
                [sys.executable, *flags, self.program, *arguments],
                {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, error_log_descriptor(), 2),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    *((os.POSIX_SPAWN_DUP2, *each) for each in zip(given, numbers, strict=True)),
                ],
                # What is meant for the master may reach the whole group. The end of the pipe ends
                # it, not TERM: some answer until the last worker has gone.
                setsigmask=INTENTS,
            )
            kept.pop_all()
        ours.setblocking(False)
        return Running(pid, ours, now)

    def tell(self, running: Running, message: bytes) -> None:
        """Send one message; a process that does not listen is started anew."""
        try:
            running.pipe.send(message)
        except OSError:
            _signal(running.pid)

    def listen(self, running: Running) -> bool:
        """Hear what the process says; False if it has ended, or is about to."""
        for _ in range(_MESSAGES):
            try:
                message = running.pipe.recv(self.longest + 1)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not message:
                return False
            self.hear(message)
        return True

    def _has_ended(self, running: Running, now: float) -> None:
        self._forget_running(running)
        running.pipe.close()
        _signal(running.pid)  # it has closed the pipe: nothing is left that it could do
        how = _how(_reap(running.pid, 0))
        if now - running.since >= self._policy.stable_after:
            self._crashes = 0
        self._try_again(now, f"The {self.name} (pid {running.pid}) {how}.")

    def _forget_running(self, running: Running) -> Running:
        self._running, self.fd, self.pid = None, None, -1
        return running

    def _try_again(self, now: float, what: str) -> None:
        self._crashes += 1
        delay = self._policy.backoff(self._crashes)
        self._start_at = now + delay
        then = f"The next attempt is in {delay:g} s." if delay else "It is started again."
        logger.error("%s %s", what, then)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets between which messages keep their bounds."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:  # macOS, whose datagrams say as well that the other end has gone
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for each in pair:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        return pair


def _signal(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill(pid: int) -> None:
    _signal(pid)
    _reap(pid, 0)


def _reap(pid: int, options: int) -> int | None:
    """Return the status of a process that has ended; None if it has not."""
    try:
        ended, status = os.waitpid(pid, options)
    except ChildProcessError:  # somebody else was faster, such as a program around run()
        return 0
    return status if ended else None


def _how(status: int | None) -> str:
    code = os.waitstatus_to_exitcode(status or 0)
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
