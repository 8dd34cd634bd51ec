"""Leadership of a loop, handed on when its thread is held up in an application call.

What lives here: who leads, who stands by, the monitor, and the memory of slow requests. What must
not: sockets, requests, the application; all this module knows of a call is its key.

Leadership is a ticket. Before the leader calls the application it lays the ticket on the table, and
afterwards takes it up again: two list operations, each atomic. The monitor looks every few
milliseconds; if the same call still runs, it takes the ticket and gives it to a thread on standby.
The late thread finds the table empty: it finishes its request, which nobody else touches, and goes
on standby. A call that was slow lately gives the ticket away beforehand and stalls nobody.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

LOOK_SECONDS: Final = 0.005
# How many quick calls make a slow request an ordinary one again.
FORGIVEN_AFTER: Final = 8
SLOW_KEYS: Final = 1024
_IDLE_LOOKS: Final = 10


class SlowCalls:
    """Which requests were slow lately: a bounded memo from key to quick calls still to come.

    Only a call that really held up the loop enters, so random paths cannot fill it for
    nothing; when it is full, the oldest entry makes room.
    """

    def __init__(self) -> None:
        self._left: dict[Hashable, int] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._left

    def __bool__(self) -> bool:
        return bool(self._left)

    def note(self, key: Hashable, slow: bool) -> None:
        """Remembers how a call of ``key`` went. May be called by any thread."""
        left = self._left
        if slow:
            if key not in left and len(left) >= SLOW_KEYS:
                left.pop(next(iter(left), None), None)
            left[key] = FORGIVEN_AFTER
        elif (count := left.get(key)) is not None:
            if count <= 1:
                left.pop(key, None)
            else:
                left[key] = count - 1


class Leadership:
    """The ticket, the table, and the threads on standby.

    ``spawn(name)`` starts one more thread that begins by leading; ``limit`` bounds them all.
    """

    def __init__(self, limit: int, spawn: Callable[[], None]) -> None:
        self._limit = limit
        self._spawn = spawn
        self._threads = 1  # the first leader
        self._standby: list[threading.Lock] = []
        self._table: list[None] = []
        self._lock = threading.Lock()
        self._asleep = False
        # A bare lock, not an Event: it is also rung by signal handlers, and an Event's own lock
        # may be held by the very thread that the handler interrupts.
        self._alarm = threading.Lock()
        self._alarm.acquire()
        self.calls = 0
        """Application calls begun by leaders: how the monitor tells one call from the next."""
        self.closed = False

    # -------------------------------------------------------------- the leader

    def offer(self) -> None:
        """Before a call: the ticket lies on the table."""
        self.calls += 1
        self._table.append(None)
        if self._asleep:
            self.ring()

    def reclaim(self) -> bool:
        """After a call: True if this thread still leads."""
        try:
            self._table.pop()
        except IndexError:
            return False
        return True

    def pass_on(self) -> bool:
        """Before a call that will be slow: True if another thread leads from now on."""
        return self._promote()

    def stand_by(self) -> bool:
        """Waits for leadership; False when the worker is over."""
        lock = threading.Lock()
        lock.acquire()
        with self._lock:
            if self.closed:
                return False
            self._standby.append(lock)
        lock.acquire()
        return not self.closed

    # -------------------------------------------------------------- the monitor

    def monitor(self, over: Callable[[], bool]) -> None:
        """Watches the leader until ``over()`` is true, which is asked at least once a second.

        Runs in a thread of its own. While no call is made it looks once a second only, and the
        next call wakes it, so an idle worker costs nothing.
        """
        last = -1
        idle = 0
        while not over():
            calls = self.calls
            if calls == last and self._table:
                self._depose(calls)
            idle = idle + 1 if calls == last and not self._table else 0
            last = calls
            if idle < _IDLE_LOOKS:
                time.sleep(LOOK_SECONDS)
            else:
                self._sleep(calls)

    def _sleep(self, calls: int) -> None:
        self._asleep = True
        if calls == self.calls:
            self._alarm.acquire(timeout=1.0)
        self._asleep = False

    def ring(self) -> None:
        """Wakes the monitor. May be called by any thread and by signal handlers."""
        with contextlib.suppress(RuntimeError):  # it was rung already
            self._alarm.release()

    def _depose(self, calls: int) -> None:
        """Takes the ticket of a call that takes too long, if somebody can use it."""
        with self._lock:
            if not self._standby and self._threads >= self._limit:
                return
        try:
            self._table.pop()
        except IndexError:
            return
        if calls != self.calls or not self._promote():
            # The call ended and another began in between, or the standby thread was given the
            # lead by somebody else: the ticket goes back to where it was.
            self._table.append(None)

    def _promote(self) -> bool:
        """Gives leadership to a thread on standby, or to a new one."""
        with self._lock:
            if self._standby:
                self._standby.pop().release()
                return True
            if self._threads >= self._limit or self.closed:
                return False
            self._threads += 1
        self._spawn()
        return True

    def close(self) -> None:
        """Nobody leads any more: threads on standby end."""
        with self._lock:
            self.closed = True
            for lock in self._standby:
                lock.release()
            self._standby.clear()
