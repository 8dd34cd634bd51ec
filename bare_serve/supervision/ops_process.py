"""The ops process as the master sees it: executed, kept alive, and heard.

It is a program of its own (ops/__main__.py), executed with descriptors by number, so that nothing
of the master's memory, environment or keys is in it. The master never waits for it, and if it dies,
only probes and scrapers notice. What it says is one of a few words (ops/orders.py), and is believed
only if orders are permitted: it may be another user's.

What must not live here: HTTP, and what an order means.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from typing import NamedTuple

from bare_serve import ops
from bare_serve.counts import layout
from bare_serve.ops import orders
from bare_serve.ops.orders import Order
from bare_serve.ops.rules import Rules
from bare_serve.supervision.background import Means, Work
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.signals import INTENTS, Intent
from bare_serve.workers.last_words import error_log_descriptor

logger = logging.getLogger("bare_serve.supervision")

_BEAT = 1.0
"""Seconds between two turns of the master's loop, at the most: each is a sign of life."""
_FAREWELL = 0.5
"""Seconds for the process to end by itself."""
_ORDERS = 16
"""Orders that are heard at a time: the master has other things to do."""
_FIRST = 3
"""The first of the descriptors that the process is given."""
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Variables that a Python may need to run at all."""
_FILE = os.path.join(os.path.dirname(ops.__file__), "__main__.py")  # noqa: PTH118, PTH120


_MEANINGS = {
    "reload": Intent.RELOAD,
    "more": Intent.MORE,
    "fewer": Intent.FEWER,
    "reopen": Intent.REOPEN,
}


class Running(NamedTuple):
    """The process, while there is one."""

    pid: int
    pipe: socket.socket
    since: float


class OpsProcess(Work):
    """Keeps the ops process alive, by the same rules as a worker."""

    def __init__(self, listener: socket.socket, rules: Rules) -> None:
        self.listener = listener
        self._rules = rules
        self._means: Means | None = None
        self._policy = Policy()
        self._running: Running | None = None
        self._crashes = 0
        self._start_at = 0.0
        self.due = 0.0

    def look(self, now: float) -> None:
        """See `Work`."""
        self.due = now + _BEAT
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

    def renew(self, rules: Rules) -> None:
        """Have other rules from now on."""
        self._rules = rules
        if self._running is not None:
            self._tell(self._running)

    def end(self) -> None:
        """End the process; it has a moment for the clients that it is answering."""
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
        """In a new child: keep neither the socket nor the listener."""
        self.listener.close()
        if self._running is not None:
            self._running.pipe.close()

    def _start(self, now: float) -> None:
        try:
            running = self._spawn(now)
        except OSError as error:
            self._try_again(now, f"Cannot start the ops process: {error.strerror}.")
            return
        self._running = running
        self.pid, self.fd = running.pid, running.pipe.fileno()
        self._tell(running)
        logger.debug("The ops process (pid %d) starts.", running.pid)

    def _spawn(self, now: float) -> Running:
        memory = -1 if self._means is None else self._means.memory
        with ExitStack() as stack:
            # Messages keep their bounds: each is one record, or one order.
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(theirs.close)
            kept = stack.enter_context(ExitStack())
            kept.callback(ours.close)
            # Opened anew, as what is inherited could be written to.
            readable = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, readable)
            given = []
            for fd in (theirs.fileno(), self.listener.fileno(), readable):
                # Above those that they are to have; none can be inherited by another program.
                given.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST + 3))
                stack.callback(os.close, given[-1])
            numbers = range(_FIRST, _FIRST + len(given))
            # Isolated from the user's environment, directory and packages; see ops/__main__.py.
            flags = ("-I", "-S", *(["-B"] if sys.dont_write_bytecode else ()))
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *flags, _FILE, *map(str, numbers)],
                {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, error_log_descriptor(), 2),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    *((os.POSIX_SPAWN_DUP2, *each) for each in zip(given, numbers, strict=True)),
                ],
                # What is meant for the master may reach the whole group. The end of the pipe ends
                # it, not TERM: it answers until the last worker has gone.
                setsigmask=INTENTS,
            )
            kept.pop_all()
        ours.setblocking(False)
        return Running(pid, ours, now)

    def _tell(self, running: Running) -> None:
        try:
            running.pipe.send(self._rules.message())
        except OSError:
            _signal(running.pid)  # one that does not listen is started anew

    def listen(self, running: Running) -> bool:
        """Hear what the process says; False if it has ended, or is about to."""
        for _ in range(_ORDERS):
            try:
                message = running.pipe.recv(orders.LONGEST + 1)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not message:
                return False
            order = orders.parse(message)
            if order is not None and self._rules.control:
                logger.info("The ops process passes on an order: %s.", order)
                self._obey(order)
        return True

    def _obey(self, order: Order) -> None:
        assert self._means is not None
        if order.verb in _MEANINGS:
            self._means.ask(_MEANINGS[order.verb])
        elif self._means.replace(order.place) != layout.ACCEPTED:
            logger.warning("Worker %d cannot be replaced now.", order.place)

    def _has_ended(self, running: Running, now: float) -> None:
        self._forget_running(running)
        running.pipe.close()
        _signal(running.pid)  # it has closed the pipe: nothing is left that it could do
        how = _how(_reap(running.pid, 0))
        if now - running.since >= self._policy.stable_after:
            self._crashes = 0
        self._try_again(now, f"The ops process (pid {running.pid}) {how}.")

    def _forget_running(self, running: Running) -> Running:
        self._running, self.fd, self.pid = None, None, -1
        return running

    def _try_again(self, now: float, what: str) -> None:
        self._crashes += 1
        delay = self._policy.backoff(self._crashes)
        self._start_at = now + delay
        then = f"The next attempt is in {delay:g} s." if delay else "It is started again."
        logger.error("%s %s", what, then)


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
