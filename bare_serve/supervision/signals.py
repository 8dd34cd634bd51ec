"""Signals of the master: each becomes an Intent in a queue, and nothing else happens.

Python's C handler writes the signal's number to a pipe (`set_wakeup_fd`), which wakes the
master's poll; the handlers themselves do nothing. So intents keep the order they arrived in,
and no code of ours ever runs between two instructions of the loop.

What a worker does about signals is in workers/lifecycle.py; here is only how a fresh child
gets rid of the master's.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType, TracebackType
from typing import Any

from bare_serve.errors import UsageError
from bare_serve.system.terminal import has_terminal


class Intent(Enum):
    """What a signal asks of the master."""

    STOP = "stop gracefully; asked again: at once"
    QUIT = "stop at once"
    RELOAD = "replace every worker"
    MORE = "one worker more"
    FEWER = "one worker fewer"
    REOPEN = "reopen the log files"
    UPGRADE = "replace the server itself"
    ORDER = "what a command has written into the shared memory"
    LOOK = "a child has changed; only to wake the loop"


INTENTS = {
    signal.SIGTERM: Intent.STOP,
    signal.SIGINT: Intent.STOP,
    signal.SIGQUIT: Intent.QUIT,
    signal.SIGHUP: Intent.RELOAD,
    signal.SIGTTIN: Intent.MORE,
    signal.SIGTTOU: Intent.FEWER,
    signal.SIGUSR1: Intent.REOPEN,
    signal.SIGUSR2: Intent.UPGRADE,
    signal.SIGCHLD: Intent.LOOK,
}
# Tells of an order in the shared memory. If the application has a handler of its own for it, in the
# master by --preload, there are no orders.
ORDER_SIGNAL: int = signal.SIGRTMIN + 4 if hasattr(signal, "SIGRTMIN") else 0
# These ask the master for nothing, and their default is to end the process: the clock of a
# timer, news of a descriptor or of the power supply, and the real-time signals: some are sent to
# workers, and one tells of an order. Those that stay: KILL, PIPE (ignored), errors of the program
# itself (SEGV, ABRT, SYS and their like), and the bounds of processor and files (XCPU, XFSZ).
_STRAY = [
    *(
        getattr(signal, name)
        for name in ("SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT")
        if hasattr(signal, name)
    ),
    *(range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()),
]
# Python has no names for most real-time signals, so nothing is looked up by name.
_BY_NUMBER = {int(signum): intent for signum, intent in INTENTS.items()}
_BY_NUMBER[ORDER_SIGNAL] = Intent.ORDER


class SignalQueue:
    """Takes over the master's signals for the length of a `with` block."""

    def __init__(self, arrived: Iterable[int] = (), nohup: bool = False) -> None:
        """`arrived` are signals of before; `nohup`: HUP was ignored until now."""
        self.fd = -1
        self._write_fd = -1
        self._numbers: deque[int] = deque(arrived)
        self._nohup = nohup
        self._previous: dict[int, Any] = {}
        self._previous_wakeup = -1
        self._on_terminal = False

    def __enter__(self) -> SignalQueue:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        try:
            # A full pipe holds 64 Ki signals; whatever is lost then was asked already.
            self._previous_wakeup = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        except ValueError:
            self._close_pipe()
            raise UsageError(
                "Worker processes can only be started from the main thread; "
                "in another thread serve with workers=0."
            ) from None
        for signum in INTENTS:
            self._previous[signum] = signal.signal(signum, nothing)
        # `nohup` is a wish to outlive the terminal, and leaves HUP its meaning for daemons.
        self._nohup = self._nohup or self._previous[signal.SIGHUP] == signal.SIG_IGN
        self._on_terminal = has_terminal() and not self._nohup
        for stray in _STRAY:
            if signal.getsignal(stray) is signal.SIG_DFL:  # an application's own timer may be there
                self._previous[stray] = signal.signal(stray, nothing)
        # As Python itself does; a program may have undone it before calling run(). Workers keep
        # it: writing to a client that left must be an error and not the end of the process.
        self._previous[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        # A master that replaces itself blocks them, and what came meanwhile arrives now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTENTS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        self._close_pipe()

    @property
    def for_orders(self) -> int:
        """The signal that tells of an order; 0 if there is none."""
        return ORDER_SIGNAL if ORDER_SIGNAL in self._previous else 0

    def take(self) -> Intent | None:
        """Return the next intent, oldest first; None when there is none."""
        if not self._numbers:
            try:
                self._numbers.extend(os.read(self.fd, 4096))
            except BlockingIOError:
                return None
        # The pipe may also carry signals that other code of this process has handlers for.
        intent = _BY_NUMBER.get(self._numbers.popleft())
        if intent is Intent.RELOAD and self._on_terminal and not has_terminal():
            return Intent.STOP  # the terminal was closed, which asks for this
        return intent

    def put(self, intent: Intent) -> None:
        """Have an intent follow as if its signal had come."""
        self._numbers.append(next(each for each, meant in INTENTS.items() if meant is intent))

    def wait(self, fds: Iterable[int], until: float) -> frozenset[int]:
        """Sleep until there is a signal to take, one of `fds` can be read, or it is time.

        Returns which descriptors can be read.
        """
        poller = select.poll()
        for fd in (self.fd, *fds):
            if fd >= 0:
                poller.register(fd, select.POLLIN)
        left = 0.0 if self._numbers else max(0.0, until - time.monotonic())
        found = poller.poll(None if left == math.inf else math.ceil(left * 1000))
        return frozenset(fd for fd, _ in found)

    def hold(self) -> None:
        """Before another program takes over this process: whatever comes waits for it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, INTENTS)
        with suppress(BlockingIOError):
            self._numbers.extend(os.read(self.fd, 4096))
        if self._nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # `nohup` is for the next program as well
        # Now: to ignore a signal is to forget those that wait, but one that is blocked may come.
        for number in {*self._numbers} & {*_BY_NUMBER}:
            os.kill(os.getpid(), number)
        self._numbers.clear()

    def release(self) -> None:
        """There is no other program after all."""
        signal.signal(signal.SIGHUP, nothing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTENTS)

    def forget(self) -> None:
        """In a new child: give up the master's handlers and pipe. Call with signals blocked."""
        signal.set_wakeup_fd(-1)
        for signum in (*INTENTS, *({*_STRAY} & {*self._previous})):
            signal.signal(signum, signal.SIG_DFL)
        self._close_pipe()

    def _close_pipe(self) -> None:
        os.close(self.fd)
        os.close(self._write_fd)


@contextmanager
def blocked() -> Iterator[None]:
    """Hold every signal back, so that a fork leaves no moment in which a child acts as master."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def nothing(signum: int, frame: FrameType | None) -> None:
    """Handle by doing nothing: programs that the application starts would inherit SIG_IGN."""
