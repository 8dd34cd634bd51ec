"""Leadership of a loop, handed on when its thread is held up in an application call.

What lives here: who leads, who stands by, and the monitor. What must not: sockets, requests, the
application; which calls are slow (prediction.py). All this module knows of a call is its number.

Leadership is a ticket. Before the leader calls the application it lays the ticket on the table
under the call's number, and afterwards takes it up again: two dict operations, each atomic. The
monitor looks every few milliseconds; if the same call still runs, it takes that call's ticket, and
no other's, and wakes a thread on standby. The late thread finds no ticket: it finishes its
request, which nobody else touches, and stands by.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 0.005
# Looks without any call until the monitor sleeps, and how long it sleeps at most.
_IDLE_LOOKS: Final = 10
_SLEEP_SECONDS: Final = 1.0

_log = logging.getLogger("bare_serve.worker")


class Seat:
    """A thread's place: where it waits until it is to lead."""

    __slots__ = ("_gate", "over")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.over = False

    def wait(self) -> bool:
        """Waits to be woken; False when the worker is over."""
        self._gate.acquire()
        return not self.over

    def wake(self) -> None:
        """Lets the waiting thread go on; each time it is off the list of those who wait."""
        self._gate.release()


class Leadership:
    """The ticket, the table, and the threads on standby.

    ``spawn(seat)`` starts one more thread, which waits on its seat; ``limit`` bounds them all.
    """

    def __init__(
        self,
        limit: int,
        spawn: Callable[[Seat], None],
        look: float = LOOK_SECONDS,
        nap: float = _SLEEP_SECONDS,
    ) -> None:
        self._look = look
        self._limit = limit
        self._nap = nap
        self._spawn = spawn
        self._threads = 0
        self._standby: list[Seat] = []
        self._table: dict[int, None] = {}
        self._wanted = 0  # the call whose ticket goes to whoever stands by next
        self._closed = False
        self._short_of_threads = False
        # Guards everything above but the table. Never taken where no call is late.
        self._lock = threading.Lock()
        self._asleep = False
        # A bare lock, not an Event: it is also rung by signal handlers, and an Event's own lock
        # may be held by the very thread that the handler interrupts.
        self._alarm = threading.Lock()
        self._alarm.acquire()
        self.calls = 0
        """Application calls begun by leaders: how the monitor tells one call from the next."""

    @property
    def threads(self) -> int:
        """Threads that lead, are late or stand by."""
        return self._threads

    # -------------------------------------------------------------- the leader

    def offer(self) -> int:
        """Before a call: its ticket lies on the table; gives back its number."""
        self.calls = call = self.calls + 1
        self._table[call] = None
        if self._asleep:
            self.ring()
        return call

    def reclaim(self, call: int) -> bool:
        """After a call: True if this thread still leads."""
        return self._table.pop(call, self) is None

    def give(self) -> int:
        """Before a call that will be slow: another thread leads from now on, or as soon as can be.

        To be followed by ``reclaim`` as after ``offer``.
        """
        with self._lock:
            if self._ready_seat():
                self.calls = call = self.calls + 1
                self._standby.pop().wake()
                if self._asleep:
                    self.ring()
                return call
            call = self.offer()
            self._wanted = call
            return call

    def stand_by(self, seat: Seat) -> bool:
        """A late thread is done: waits until it leads again; False when the worker is over."""
        with self._lock:
            if self._closed:
                return False
            if self._wanted and self.reclaim(self._wanted):
                return True  # all threads were busy, and this is the first that is not
            self._standby.append(seat)
        return seat.wait()

    def leave(self) -> None:
        """A thread ends that does not lead; another may be started in its place."""
        with self._lock:
            self._threads -= 1

    # -------------------------------------------------------------- the monitor

    def start(self) -> bool:
        """The first thread leads; False if it cannot be started."""
        with self._lock:
            if not self._ready_seat():
                return False
            self._standby.pop().wake()
            return True

    def monitor(self, over: Callable[[], bool]) -> None:
        """Watches the leader until ``over()`` is true, which is asked at each look.

        While no call is made it looks once a second only, and the next call wakes it, so an
        idle worker costs nothing.
        """
        last = -1
        idle = 0
        while not over():
            calls = self.calls
            if calls != last:
                idle = 0
            elif calls in self._table:
                self._depose(calls)
            else:
                idle += 1
            last = calls
            if idle < _IDLE_LOOKS:
                time.sleep(self._look)  # not by the alarm: a look that comes early is unjust
            else:
                self._sleep(calls)

    def _sleep(self, calls: int) -> None:
        self._asleep = True
        if calls == self.calls:
            self._alarm.acquire(timeout=self._nap)
        self._asleep = False

    def ring(self) -> None:
        """Wakes the monitor. May be called by any thread and by signal handlers."""
        with contextlib.suppress(RuntimeError):  # it was rung already
            self._alarm.release()

    def _depose(self, call: int) -> None:
        """Takes the ticket of a call that takes too long, once there is somebody to use it."""
        with self._lock:
            if not self._ready_seat():
                self._wanted = call
            elif self.reclaim(call):
                self._standby.pop().wake()

    def abolish(self) -> bool:
        """Takes the lead from a thread that is in a call, for good: True if nobody leads now.

        False if the leader is in its loop, where it notices by itself what is to be done.
        """
        return self.reclaim(self.calls)

    def close(self) -> None:
        """Threads on standby end, and late ones when they are done."""
        with self._lock:
            self._closed = True
            for seat in self._standby:
                seat.over = True
                seat.wake()
            self._standby.clear()

    def _ready_seat(self) -> bool:
        """Somebody stands by, a new thread if need be. With the lock held."""
        if self._standby:
            return True
        if self._closed or self._threads >= self._limit:
            return False
        seat = Seat()
        try:
            self._spawn(seat)
        except RuntimeError as error:  # the system has no thread to give
            if not self._short_of_threads:
                _log.error("Cannot start another thread: %s.", error)
            self._short_of_threads = True
            return False
        self._short_of_threads = False
        self._threads += 1
        self._standby.append(seat)
        return True
