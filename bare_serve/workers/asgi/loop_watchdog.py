"""A watchdog for an event loop: which call holds it longer than --warn-blocked.

What lives here: noticing from outside that the loop does not come round, and showing the stack
that keeps it. What must not: ending a request or worker; request timeouts and the master do that.

A timer of the loop stamps the time, a few times within the limit; a thread, the watchdog, reports
an overdue stamp. Requests pay nothing. A watchdog that was late itself reports nothing: then the
whole process had no processor, or slept with the machine. Nor does it report a debugger, whose
prompt the report would fall into.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from types import FrameType

from bare_serve.app.tracebacks import below_us
from bare_serve.workers.debuggers import holds, is_trace

logger = logging.getLogger("bare_serve.blocked")

_LOOKS = 4
"""How often, within the limit, the loop stamps the time and the watchdog looks at the stamp."""


class LoopWatchdog:
    """Watches the loop of the thread that makes it, until `stop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._period = limit / _LOOKS
        self._thread = threading.get_ident()
        self._word = time.monotonic()
        self._blocked_since = 0.0
        self._excused = 0.0
        """Up to then a debugger held the loop."""
        self._traced = False
        self._over = threading.Event()
        self._timer = loop.call_later(self._period, self._stamp)
        self._watcher = threading.Thread(target=self._watch, name="bare-serve-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Watch no more."""
        self._over.set()
        self._timer.cancel()
        self._watcher.join(1.0)

    def _stamp(self) -> None:
        """In the loop."""
        now = self._word = time.monotonic()
        self._traced = is_trace(sys.gettrace())
        if self._blocked_since:
            logger.warning("The event loop goes on after %.3g s.", now - self._blocked_since)
            self._blocked_since = 0.0
        self._timer = self._loop.call_later(self._period, self._stamp)

    def _watch(self) -> None:
        """In the thread."""
        last = time.monotonic()
        while not self._over.wait(self._period):
            before, last = last, time.monotonic()
            if last - before <= 2 * self._period and not self._blocked_since:
                self._look(last)

    def _look(self, now: float) -> None:
        word, limit = max(self._word, self._excused), self._limit + self._period
        # A stamp is due a period after the last one; from then on the loop is held. A thread at a
        # prompt is looked at each time: the loop needs a moment to go on after the prompt.
        if now - word < limit and self._excused <= self._word:
            return
        frame = sys._current_frames().get(self._thread)
        if self._traced or holds(frame):
            self._excused = now
        elif frame is not None and now - word >= limit and word >= self._word:
            self._blocked_since = word
            self._report(frame, now - word)

    def _report(self, frame: FrameType, seconds: float) -> None:
        stack = "".join(traceback.format_list(below_us(traceback.extract_stack(frame))))
        logger.warning(
            "The event loop has been blocked for %.3g s: no other request is served meanwhile. "
            "It is here:\n%s",
            seconds,
            stack.rstrip("\n"),
        )
