"""The life of a process that is a worker, whatever its kind: ready, tick, drain, gone.

Lifecycle adds to a service's life (service_life.py) all that a process has once. It owns the
signals from `install` on: TERM drains and QUIT hurries; without a master (`--workers 0`) INT counts
as TERM, a second one hurries, one that finds that stuck a second later kills, and HUP, which has
nothing to reload, is answered in the log. Else handlers only set a flag and wake the loop. The
master's wish to stop comes by its pipe as well, and handlers that the application has replaced are
put back (signal_handlers.py). A worker whose master is gone drains as after a TERM, and if it is
stuck it ends all the same.

No loop, socket or application is known here.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import FrameType
from typing import Any

from bare_serve.logs.access_log import AccessLog
from bare_serve.system.terminal import has_terminal
from bare_serve.workers.last_words import error_log_descriptor
from bare_serve.workers.memory import MemoryTrimmer
from bare_serve.workers.service_life import ServiceLife
from bare_serve.workers.signal_handlers import Handlers
from bare_serve.workers.slot import TELL_SIGNAL, Slot
from bare_serve.workers.stacks import LOOK_SIGNAL, is_free

logger = logging.getLogger("bare_serve.worker")

Handler = Callable[[int, FrameType | None], None]

_TOLD = 20
"""At most so many requests in progress, and so many background tasks, are listed in a report."""
_IN_FLIGHT = 50
"""The same for somebody who looks; memory bounds it, too."""
_ORPHANS_MARGIN = 5.0
_AT_ONCE = 1.0
"""Seconds within which a stop at once is over; a signal that comes later finds it stuck."""


class Lifecycle(ServiceLife):
    """A worker's relation to signals and to its master.

    `master_pid` is None when there is no master and the loop runs in the user's own process.
    `grace` is how long requests have to finish once the worker stops.
    """

    __slots__ = (
        "_asked_by_pipe", "_changed", "_handlers", "_hung_up", "_hurried_at", "_insist",
        "_loss_untold", "_master_pid", "_orphaned", "_terminal", "_tidy", "_told",
        "reopen", "theirs", "to_reopen",
    )  # fmt: skip

    def __init__(self, slot: Slot, master_pid: int | None, grace: float = 30.0) -> None:
        super().__init__(slot, grace)
        self._master_pid = master_pid
        self._orphaned = self._loss_untold = False
        self._hung_up = self._terminal = False
        self._told = ""
        self._tidy = MemoryTrimmer()
        self.to_reopen = False
        self.reopen: Callable[[], None] = lambda: None
        """Has the other log files of this process reopened."""
        self._insist: Callable[[], None] = lambda: None
        self._hurried_at = 0.0
        self._changed = ExitStack()
        """What of the process is put back at the end."""
        self._handlers = Handlers()
        self.theirs: Mapping[int, Any] = {}
        """Handlers that the application has set while it was imported."""
        # Not every slot has a pipe behind it.
        self._asked_by_pipe: Callable[[], int] = getattr(slot, "asked", int)

    def install(self, wake: Callable[[], None], insist: Callable[[], None] = lambda: None) -> None:
        """Take over the signals; `wake` must interrupt the loop and is called in the handler.

        `insist` is called after it, and may raise into whatever code the signal has interrupted.
        Outside the main thread Python allows no handlers: then only `stop` stops the loop.
        """
        super().install(wake)
        self._insist = insist
        if threading.current_thread() is not threading.main_thread():
            return
        handlers: dict[int, Handler] = {
            signal.SIGTERM: self._on_signal,
            signal.SIGQUIT: self._on_signal,
        }
        if self._master_pid is None:
            handlers[signal.SIGINT] = self._on_signal
            # nohup(1), or a program that calls run(), may have decided about these.
            others = {signal.SIGUSR1: self._on_reopen, signal.SIGHUP: self._on_hangup}
            handlers |= {
                signum: handler
                for signum, handler in others.items()
                if signal.getsignal(signum) is signal.SIG_DFL
            }
            self._terminal = has_terminal()
        else:
            handlers |= {TELL_SIGNAL: self._on_tell, signal.SIGIO: self._on_pipe}
            handlers[signal.SIGUSR1] = self._on_reopen
        self._handlers.install(handlers, self.theirs)
        self._offer_look()
        self._heed()

    def _offer_look(self) -> None:
        if is_free(LOOK_SIGNAL):
            self._handlers.install({LOOK_SIGNAL: self._on_look}, {})
            signal.siginterrupt(LOOK_SIGNAL, False)  # calls of C code are not to fail by it
            self.slot.offer_look(LOOK_SIGNAL)

    def _look_whether_it_is_ours(self) -> None:
        """Have nobody send the signal any more once the application has taken it."""
        ours = self._handlers.installed.get(LOOK_SIGNAL)
        if ours is not None and signal.getsignal(LOOK_SIGNAL) is not ours:
            del self._handlers.installed[LOOK_SIGNAL]
            self.slot.offer_look(0)

    def keep_handlers(self) -> None:
        """Put back our handlers of signals where the application has set its own."""
        if self._handlers.installed and threading.current_thread() is threading.main_thread():
            self._handlers.keep()

    def has_booted(self, interval: AbstractContextManager[object] | None = None) -> None:
        """See `ServiceLife.has_booted`.

        What the boot left behind lives as long as the worker: it need not be looked at by every
        collection, nor copied by it in a forked process.
        """
        gc.collect()
        gc.freeze()
        if interval is not None:
            self._changed.enter_context(interval)

    @property
    def has_master(self) -> bool:
        """See `ServiceLife.has_master`."""
        return self._master_pid is not None

    def restore(self) -> None:
        """Give the signals back at the end, in case the process goes on without the server."""
        # The master may send a TERM of its own to a worker that has ended by one, and one more
        # while what the application has left running is waited for.
        # Nor does one end by a signal of somebody who looks at this moment.
        kept = (signal.SIGTERM, signal.SIGQUIT, LOOK_SIGNAL) if self.has_master else ()
        self.slot.offer_look(0)
        self._handlers.give_back(*kept)
        super().restore()
        self._changed.close()
        self._tell_of_loss()  # an idle worker ends before its next tick

    def stop(self, *, hurry: bool = False) -> None:
        """See `ServiceLife.stop`."""
        super().stop(hurry=hurry)
        self._insist()

    def tick(self, connections: int, requests: int, *, alive: bool = True) -> None:
        """Show a sign of life, look whether the master is there; see `ServiceLife.tick`."""
        super().tick(connections, requests, alive=alive)
        self.keep_handlers()
        self._heed()
        self._tidy.look(connections)
        self._look_whether_it_is_ours()
        if self.slot.is_watched():
            self._report_in_flight()
        told = "; ".join(self._first_in_progress())
        if told != self._told:
            self._told = told
            self.slot.report_activity(told)
        if self._master_pid not in (None, os.getppid()):
            self._lose_master()
        self._tell_of_loss()
        if self._hung_up:
            self._hung_up = False
            self._answer_hangup()

    def reopen_if_asked(self, access_log: AccessLog | None) -> None:
        """Have the log's file reopened if the master asked for it."""
        if self.to_reopen:
            self.to_reopen = False
            self.reopen()
            if access_log is not None:
                access_log.reopen()

    def _heed(self) -> None:
        """Do what the master asks by its pipe: the signal that goes with it may be lost."""
        wish = self._asked_by_pipe()
        hurry = wish == signal.SIGQUIT
        if wish and (not self.stopping or (hurry and not self.hurry)):
            self.stop(hurry=hurry)

    def _first_in_progress(self) -> Iterable[str]:
        return itertools.islice(self.in_progress(), _TOLD)

    def _lose_master(self) -> None:
        if self._orphaned:
            return
        self._orphaned = self._loss_untold = True
        # No master is there to end this process: C code does, whatever Python does.
        faulthandler.dump_traceback_later(
            self.grace + _ORPHANS_MARGIN, exit=True, file=error_log_descriptor()
        )
        if not self.stopping:
            self.stop()

    def _tell_of_loss(self) -> None:
        """Not from a handler: the interrupted code may hold the lock of logging."""
        if self._loss_untold:
            self._loss_untold = False
            logger.error(
                "The master (pid %d) is gone: this worker finishes its requests and ends.",
                self._master_pid,
            )

    def _answer_hangup(self) -> None:
        if self._terminal and not has_terminal():
            self.stop()  # its window was closed, and no user would find it again
        else:
            logger.warning("HUP reloads nothing with --workers 0; with --workers 1 it does.")

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        # With a master a second TERM says nothing new: a service manager may send it to
        # the whole group, as systemd does by default, and the master sends its own.
        again = self.stopping and self._master_pid is None
        if again and self.hurry and time.monotonic() - self._hurried_at > _AT_ONCE:
            # Whoever should have heard of it is in a call of the application, in this thread,
            # and there is no master to end it.
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        hurry = again or signum == signal.SIGQUIT
        if hurry and not self.hurry:
            self._hurried_at = time.monotonic()
        self.stop(hurry=hurry)

    def _on_pipe(self, _signum: int, _frame: FrameType | None) -> None:
        if self.slot.master_is_gone():  # a dying process closes its files before its children move
            self._lose_master()
        else:
            self._heed()

    def _on_hangup(self, _signum: int, _frame: FrameType | None) -> None:
        self._hung_up = True

    def _on_reopen(self, _signum: int, _frame: FrameType | None) -> None:
        self.to_reopen = True

    def _on_look(self, signum: int, _frame: FrameType | None) -> None:
        self._report_in_flight()
        wake = self._wake
        if wake is not None and (self.attached is not None or self.slot.xray_order()[0]):
            wake()

    def _report_in_flight(self) -> None:
        self.slot.report_in_flight("\n".join(itertools.islice(self.in_flight(), _IN_FLIGHT)))

    def _on_tell(self, _signum: int, _frame: FrameType | None) -> None:
        # Not by logging, whose lock the interrupted code may hold.
        lines = [f"  in progress: {line}\n" for line in self._first_in_progress()]
        lines += [f"  beside: {line}\n" for line in itertools.islice(self.beside(), _TOLD)]
        with contextlib.suppress(OSError):
            os.write(error_log_descriptor(), "".join(lines).encode("utf-8", "replace"))
