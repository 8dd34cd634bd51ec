"""Signals before and after the loop that takes them: a server undoes whatever it has begun.

It binds, writes its pid file and calls hooks before its SignalQueue is there, and undoes all that
when the queue has gone. A signal with its default action would end the process in between and
leave the files behind. So while the server starts, TERM and QUIT end the process by SystemExit,
and the other intents wait for the queue. While it ends, signals say nothing new, and only QUIT is
heard: it ends what hangs.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from bare_serve.supervision.signals import INTENTS, SignalQueue

_ENDS = (signal.SIGTERM, signal.SIGQUIT)
_PLAIN = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)


class Orderly:
    """A `with` block around all that a server does; outside the main thread nothing is changed.

    With a `queue` a SignalQueue is to come; else the loop has handlers of its own, and may find the
    default action of those signals that it leaves to others. If the `process_ends` behind the
    block, signals are ignored from then on: the code that ends the process bounds that end, and
    decides what signals mean meanwhile.
    """

    def __init__(self, *, queue: bool, process_ends: bool) -> None:
        self._wanted = [*INTENTS] if queue else [*_ENDS, signal.SIGINT]
        self._process_ends = process_ends
        self._before: dict[signal.Signals, Any] = {}
        self._arrived: list[int] = []
        self._is_end = False

    def __enter__(self) -> Orderly:
        if threading.current_thread() is threading.main_thread():
            found = {signum: signal.getsignal(signum) for signum in self._wanted}
            # Ignored ones as well: of `nohup`, see SignalQueue.
            self._before = {
                signum: handler
                for signum, handler in found.items()
                if handler in _PLAIN and signum != signal.SIGCHLD
            }
            for signum in self._before:
                signal.signal(signum, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_end = True
        for signum, handler in self._before.items():
            ignored = self._process_ends and signum != signal.SIGQUIT
            signal.signal(signum, signal.SIG_IGN if ignored else handler)
        # Whatever an import or a hook made of the SystemExit that was raised in it.
        if error is not None and {*_ENDS} & {*self._arrived}:
            raise SystemExit(0) from None

    def has_started(self) -> None:
        """Nothing but the loop is to come.

        Raises:
            SystemExit: the end was asked for, and code in between has caught what was raised then.
        """
        if {*_ENDS} & {*self._arrived}:
            raise SystemExit(0)

    def queue(self) -> SignalQueue:
        """Make the queue of signals, which wait for it, blocked, and mean nothing behind it."""
        if self._before:
            signal.pthread_sigmask(signal.SIG_BLOCK, INTENTS)
        self.ends()
        nohup = self._before.get(signal.SIGHUP) == signal.SIG_IGN
        return SignalQueue(self._arrived, nohup)

    def ends(self) -> None:
        """Let signals from now on find the end under way, or a loop with handlers of its own."""
        self._is_end = True

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._is_end:
            if signum == signal.SIGQUIT:
                signal.signal(signum, signal.SIG_DFL)
                os.kill(os.getpid(), signum)
        elif self._before.get(signal.Signals(signum)) is signal.default_int_handler:
            signal.default_int_handler(signum, frame)
        else:
            self._arrived.append(signum)
            if signum in _ENDS:
                self._is_end = True
                raise SystemExit(0)
