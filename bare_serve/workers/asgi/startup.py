"""A stop while the application starts: a worker that never was ready has no request to wait for.

What lives here: the interruption of a startup that holds the loop, so that the loop does not see
the stop. A startup that awaits something is cancelled by the worker, in the loop. What must not:
processes; the master kills a worker that no signal handler of Python's can reach.

The handler cannot know whether the loop is about to come round. So a thread waits for a moment, and
sends the signal once more; then the handler raises in the code that holds the loop.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time

# Seconds that a loop has to come round.
_PATIENCE = 0.5


class StartAbandoned(BaseException):
    """Raised into a startup that holds the loop; no Exception, which applications may catch."""


class Starting:
    """One startup; `told_to_stop` is called in the signal handler."""

    def __init__(self) -> None:
        self.heard = False
        """The loop has run, or the startup is over: there is nothing to interrupt."""
        self._asked = False
        self._late = False
        self._thread = threading.get_ident()

    def told_to_stop(self) -> None:
        """Have the startup interrupted if nothing comes of it.

        Raises:
            StartAbandoned: nothing has come of it.
        """
        if self.heard or threading.get_ident() != self._thread:
            return
        if self._late:
            self._late = False
            raise StartAbandoned("the server was told to stop while the application started")
        if not self._asked and threading.current_thread() is threading.main_thread():
            self._asked = True
            # Not by threading, whose locks the interrupted code may hold.
            _thread.start_new_thread(self._insist, ())

    def _insist(self) -> None:
        time.sleep(_PATIENCE)
        if not self.heard:
            self._late = True
            signal.pthread_kill(self._thread, signal.SIGTERM)
