"""Leadership of a loop, handed on when its thread is held up in an application call.

What lives here: who leads, who stands by, and the monitor. What must not: sockets, requests, the
application; which calls are slow (slow_calls.py). All this module knows of a call is its number.

Leadership is a ticket. Before the leader calls the application it lays the ticket on the table
under the call's number, and afterwards takes it up again: two dict operations, each atomic. The
monitor looks every few milliseconds; if the same call still runs, it takes that call's ticket, and
no other's, and wakes a thread on standby. The late thread finds no ticket: it finishes its
request, which nobody else touches, and stands by.

The limit is on calls that are late, since these are the application's. A thread that waits for its
client (`begin_wait`) does not count: the lead it may hold is given away at once, to a thread made
for it if need be, up to `most_waiting` such threads. With a `spare` thread somebody leads even
while as many calls as the limit allows are late: who leads then finds `may_call` false, does all
but calls, and is told (`room`) once there is room for another one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

LOOK_SECONDS: Final = 0.005
# Looks without any call until the monitor sleeps, and how long it sleeps at most.
_IDLE_LOOKS: Final = 10
_SLEEP_SECONDS: Final = 1.0

logger = logging.getLogger("bare_serve.worker")


class Follower:
    """A thread's place: where it waits until it is to lead."""

    __slots__ = ("_gate", "over")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.over = False

    def wait(self) -> bool:
        """Wait to be woken; return False when the worker is over."""
        self._gate.acquire()
        return not self.over

    def wake(self) -> None:
        """Let the waiting thread go on; each time it is off the list of those that wait."""
        self._gate.release()


class ThreadLimits(NamedTuple):
    """How many threads a leadership may have at once."""

    calls: int
    """Those in calls of the application."""
    spare: int = 0
    """More than these: 1 if one is to lead, without calls, while as many as `calls` are late."""
    waiting: int = 0
    """More that wait for their clients in the middle of a call."""


class Leadership:
    """The ticket, the table, and the threads on standby.

    All that only late threads and waiting ones do is under one lock.
    """

    def __init__(
        self,
        limits: ThreadLimits,
        spawn: Callable[[Follower], None],
        *,
        room: Callable[[], None] = lambda: None,
        look: float = LOOK_SECONDS,
        nap: float = _SLEEP_SECONDS,
    ) -> None:
        """Begin without a thread; see `start`.

        Args:
            limits: how many threads there may be, and for what.
            spawn: starts one more thread, which waits on the follower that it is given. Raises
                RuntimeError if the system gives no thread.
            room: called once calls can be made again, after `may_call` was False.
            look: seconds between two looks of the monitor.
            nap: seconds between two looks while no call is made.
        """
        self._look = look
        self._limit, self._spare, self._most_waiting = limits
        self._nap = nap
        self._spawn = spawn
        self._threads = 0
        self._room = room
        self._held = False  # who leads makes no calls
        self._waits = 0  # threads that wait for their clients, counted or not
        self._standby: list[Follower] = []
        self._table: dict[int, None] = {}
        self._wanted = 0  # the call whose ticket goes to whoever stands by next
        self._closed = False
        self._short_of_threads = False
        # Guards everything above but the table. Never taken where no call is late.
        self._lock = threading.Lock()
        self._asleep = False
        self._errands: deque[Callable[[], None]] = deque()
        # A bare lock, not an Event: it is also rung by signal handlers, and an Event's own lock
        # may be held by the very thread that the handler interrupts.
        self._alarm = threading.Lock()
        self._alarm.acquire()
        self.calls = 0
        """Application calls begun by leaders: how the monitor tells one call from the next."""

    @property
    def threads(self) -> int:
        """Threads that lead, are late, wait for clients or stand by."""
        return self._threads

    @property
    def in_call(self) -> bool:
        """Who leads is in a call, and nobody has taken the lead so far."""
        return self.calls in self._table

    @property
    def waiting(self) -> int:
        """Threads that wait for their clients, as far as they are not counted."""
        return min(self._waits, self._most_waiting)

    @property
    def crowded(self) -> bool:
        """No thread can be had for the next call unless one stops waiting for its client.

        Never where none may wait beside the calls: there the next call waits for the one that is.
        """
        if not self._most_waiting or not self._waits:
            return False
        return self._waits >= self._most_waiting or self._short_of_threads

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

        To be followed by `reclaim` as after `offer`.
        """
        with self._lock:
            if self._ready_follower():
                self.calls = call = self.calls + 1
                self._standby.pop().wake()
                if self._asleep:
                    self.ring()
                return call
            call = self.offer()
            self._wanted = call
            return call

    def stand_by(self, follower: Follower) -> bool:
        """Wait, as a late thread that is done, to lead again; return False at the worker's end."""
        with self._lock:
            if self._closed:
                return False
            if self._wanted and self.reclaim(self._wanted):
                return True  # all threads were busy, and this is the first that is not
            if self._threads > self._limit + self._spare and len(self._standby) >= self._limit:
                self._threads -= 1  # it was made while others waited for clients
                self._tell_of_room()
                return False
            self._standby.append(follower)
            self._tell_of_room()
        return follower.wait()

    # ------------------------------------------------------ those who wait for clients

    def begin_wait(self, call: int) -> None:
        """Note that this thread is about to wait for its client, until `end_wait`.

        It counts all the same while more wait than `most_waiting`.
        """
        with self._lock:
            self._waits += 1
            if self._waits > self._most_waiting:
                return
            if call in self._table and self._ready_follower() and self.reclaim(call):
                self._standby.pop().wake()
            self._tell_of_room()

    def end_wait(self) -> None:
        """Count the call again: its client can go on, and so can the call."""
        with self._lock:
            self._waits -= 1

    def may_call(self) -> bool:
        """Asked by who begins to lead: False if as many calls are late as may be.

        Its own call may then be one more. It is told of a change.
        """
        with self._lock:
            self._held = self._spare > 0 and self._late >= self._limit and not self._closed
            return not self._held

    @property
    def held(self) -> bool:
        """Who leads makes no calls, since too many are late."""
        return self._held

    @property
    def _late(self) -> int:
        """Calls that others than the leader make. With the lock held."""
        return self._threads - self.waiting - len(self._standby) - 1

    def _tell_of_room(self) -> None:
        if self._held and self._late < self._limit:
            self._held = False
            self._room()

    # -------------------------------------------------------------- the monitor

    def start(self) -> bool:
        """Have the first thread lead; return False if it cannot be started."""
        with self._lock:
            if not self._ready_follower():
                return False
            self._standby.pop().wake()
            return True

    def monitor(self, over: Callable[[], bool]) -> None:
        """Watches the leader until `over()` is true, which is asked at each look.

        While no call is made it looks once a second only, and the next call wakes it, so an
        idle worker costs nothing.
        """
        last = -1
        idle = 0
        errands = self._errands
        while not over():
            calls = self.calls
            if calls != last:
                idle = 0
            elif calls in self._table:
                self._promote_follower(calls)
            elif errands:
                idle = 0  # calls of late threads go on, and have more of them
            else:
                idle += 1
            last = calls
            if idle < _IDLE_LOOKS:
                # Sleep, not the alarm: waking early would depose a leader that is not late yet.
                time.sleep(self._look)
                for _ in range(len(errands)):
                    errands.popleft()()
            else:
                self._sleep(calls)

    def _sleep(self, calls: int) -> None:
        self._asleep = True
        if calls == self.calls and not self._errands:
            self._alarm.acquire(timeout=self._nap)
        self._asleep = False

    def at_next_look(self, errand: Callable[[], None]) -> None:
        """Have the monitor call `errand` at the end of its next look, within `look` seconds and a
        little. For any thread; `errand` waits for nothing and raises nothing."""
        self._errands.append(errand)
        if self._asleep:
            self.ring()

    def ring(self) -> None:
        """Wake the monitor. Any thread and signal handlers may call this."""
        with contextlib.suppress(RuntimeError):  # it was rung already
            self._alarm.release()

    def _promote_follower(self, call: int) -> None:
        """Take the ticket of a call that takes too long, once there is a thread to use it."""
        with self._lock:
            if not self._ready_follower():
                self._wanted = call
            elif self.reclaim(call):
                self._standby.pop().wake()

    def end_leadership(self) -> bool:
        """Take the lead from a thread that is in a call, for good; return True if no thread leads.

        False if the leader is in its loop, where it notices by itself what is to be done.
        """
        return self.reclaim(self.calls)

    def close(self) -> None:
        """Let threads on standby end, and late ones when they are done."""
        with self._lock:
            self._closed = True
            for follower in self._standby:
                follower.over = True
                follower.wake()
            self._standby.clear()

    def _ready_follower(self) -> bool:
        """Somebody stands by, a new thread if need be. With the lock held."""
        if self._standby:
            return True
        if self._closed or self._threads >= self._limit + self._spare + self._most_waiting:
            return False
        follower = Follower()
        try:
            self._spawn(follower)
        except RuntimeError as error:  # the system has no thread to give
            if not self._short_of_threads:
                logger.error("Cannot start another thread: %s.", error)
            self._short_of_threads = True
            return False
        self._short_of_threads = False
        self._threads += 1
        self._standby.append(follower)
        return True
