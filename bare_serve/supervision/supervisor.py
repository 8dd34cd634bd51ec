"""The master: keeps a number of places filled with workers until it is told to stop.

A Place is one of the N workers wanted; whoever holds it may change. The loop waits for a
signal, a word from a child or a deadline, reaps, takes one intent and acts; then `_tend` fills
what is empty and due. A replacement is READY before the one it replaces is asked to leave.

The master never imports the application and never serves; it is handed `run_worker`, which
runs in the child. Decisions are here, processes in child.py, signals in signals.py.
"""

from __future__ import annotations

import logging
import math
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bare_serve.errors import AppLoadError, BareServeError
from bare_serve.supervision.child import DUMP_SIGNAL, Child, RunWorker, State, spawn
from bare_serve.supervision.scoreboard import Scoreboard
from bare_serve.supervision.signals import Intent, SignalQueue

log = logging.getLogger("bare_serve.supervision")

# Seconds. Together they keep the promise that a stop ends within the grace period plus one.
_MARGIN = 0.5  # for a worker to notice by itself that its grace is over
_DUMPING = 0.25  # for a doomed worker to write its stacks
_HURRY = 1.0  # for a worker that was asked to stop at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How workers are kept. Durations in seconds; 0 turns the boot and worker timeouts off."""

    workers: int = 1
    timeout_boot: float = 60.0
    timeout_graceful_shutdown: float = 30.0
    timeout_worker: float = 0.0
    backoff_first: float = 0.5
    backoff_most: float = 15.0
    stable_after: float = 2.0

    def backoff(self, crashes: int) -> float:
        """How long to wait after so many crashes in a row; the first one is forgiven."""
        if crashes < 2:
            return 0.0
        return min(self.backoff_most, self.backoff_first * 2.0 ** min(crashes - 2, 32))


@dataclass(slots=True, eq=False)
class Place:
    """One of the workers wanted."""

    index: int
    holder: Child | None = None
    successor: Child | None = None
    crashes: int = 0
    due: float = 0.0
    outdated: bool = False
    seasoned: bool = False  # its first holder's coming is the banner's to tell


class Supervisor:
    """Runs workers until told to stop."""

    def __init__(
        self,
        policy: Policy,
        run_worker: RunWorker,
        on_ready: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._policy = policy
        self._run_worker = run_worker
        self._on_ready = on_ready
        self._signals = SignalQueue()
        self._most = max(256, policy.workers)
        # Beside a holder a place may have a successor, and predecessors that still drain.
        self._scoreboard = Scoreboard(rows=4 * self._most)
        self._children: list[Child] = []
        self._places = [Place(index) for index in range(1, policy.workers + 1)]
        self._stopping = self._hurried = False
        self._ever_ready = False
        self._boot_failure: BareServeError | None = None
        self._shown = ""
        self._looked_at = self._awake_since = time.monotonic()

    def run(self) -> int:
        """Serve until stopped; returns the exit code, raises if no worker ever came up."""
        with self._signals:
            try:
                self._tend()
                while self._children or not self._stopping:
                    self._wait()
                    # Taken before the look: a child that ends after its look announces itself
                    # by a signal that is still in the pipe then, and wakes the next wait.
                    intent = self._signals.take()
                    for child in [*self._children]:
                        self._look_at(child)
                    self._act(intent)
                    self._tend()
            finally:
                for child in self._children:
                    child.destroy()
        if self._boot_failure is not None:
            raise self._boot_failure
        return 0

    def _wait(self) -> None:
        """Sleep until there is something to do."""
        poller = select.poll()
        for fd in (self._signals.fd, *(child.fd for child in self._children)):
            if fd >= 0:
                poller.register(fd, select.POLLIN)
        times = [child.deadline for child in self._children if child.deadline is not None]
        if not self._stopping:
            times += [place.due for place in self._places if place.holder is None]
        if self._policy.timeout_worker:
            times.append(time.monotonic() + 1)
        if self._signals.pending:
            poller.poll(0)
        elif times:
            poller.poll(max(0, math.ceil((min(times) - time.monotonic()) * 1000)))
        else:
            poller.poll()

    def _look_at(self, child: Child) -> None:
        ended = child.has_ended()  # before reading, so that no last word is missed
        for kind, value in child.messages():
            if kind == "ready":
                self._child_is_ready(child, value)
            else:
                child.failure = (value[0], value[1])
                self._ask_to_leave(child, _HURRY)
        if ended:
            self._children.remove(child)
            self._child_has_ended(child)
            self._scoreboard.release(child.row)
            child.close()

    def _act(self, intent: Intent | None) -> None:
        if intent is Intent.STOP:
            self._stop(hurry=self._stopping)
        elif intent is Intent.QUIT:
            self._stop(hurry=True)
        elif intent is Intent.RELOAD:
            self._reload()
        elif intent is Intent.MORE:
            self._resize(len(self._places) + 1)
        elif intent is Intent.FEWER:
            self._resize(len(self._places) - 1)

    def _tend(self) -> None:
        """Bring things into order: nobody overdue, no place empty, nothing outdated."""
        now = time.monotonic()
        if now - self._looked_at > 3:
            self._awake_since = now  # all of us were suspended; silence then means nothing
        self._looked_at = now
        for child in self._children:
            self._hold_to_its_time(child, now)
        for place in self._places:
            if place.holder is None and place.due <= now and not self._stopping:
                place.holder = self._spawn(place)
        # One at a time: a reload must not need twice the memory.
        if not self._stopping and not any(place.successor for place in self._places):
            outdated = next((place for place in self._places if place.outdated), None)
            if outdated is not None and outdated.holder is not None:
                outdated.successor = self._spawn(outdated)

    # The life of a child

    def _spawn(self, place: Place) -> Child | None:
        place.outdated = False
        place.seasoned = place.seasoned or self._ever_ready
        try:
            with self._scoreboard.lend() as row:
                child = spawn(self._run_worker, place.index, row, self._shed_in_child)
        except OSError as error:
            self._could_not_fork(place, error)
            return None
        if self._policy.timeout_boot:
            child.deadline = time.monotonic() + self._policy.timeout_boot
        self._children.append(child)
        log.debug("%s starts", child)
        return child

    def _shed_in_child(self) -> None:
        self._signals.forget()
        for sibling in self._children:
            sibling.close()

    def _could_not_fork(self, place: Place, error: OSError) -> None:
        message = f"Cannot start worker {place.index}: {error.strerror}."
        if not self._ever_ready:
            self._fail_to_boot(BareServeError(message))
        elif place.holder is None:
            log.error("%s %s", message, self._try_again(place))
        else:
            self._give_up_reload(message)

    def _child_is_ready(self, child: Child, facts: Mapping[str, str]) -> None:
        if child.state is not State.BOOTING:
            return  # asked to leave in the meantime
        child.state = State.READY
        child.ready_at = time.monotonic()
        child.deadline = None
        place = self._place_of(child)
        if not self._ever_ready:
            self._ever_ready = True
            self._on_ready(facts)
        elif place is not None and place.seasoned:
            log.info("%s is ready", child)
        if place is not None and place.successor is child:
            predecessor, place.holder, place.successor = place.holder, child, None
            if predecessor is not None:
                self._ask_to_leave(predecessor, self._grace)
            if not any(place.outdated for place in self._places):
                log.info("Reloaded: all workers are new.")

    def _child_has_ended(self, child: Child) -> None:
        place = self._place_of(child)
        if place is None or self._stopping:
            if child.ended_badly and child.failure is None:
                log.warning("%s %s while stopping", child, child.how_it_ended())
        elif not self._ever_ready:
            self._fail_to_boot(AppLoadError(*self._failure_of(child)))
        elif place.successor is child:
            place.successor = None
            self._give_up_reload(*self._failure_of(child))
        else:
            self._lost_holder(place, child)

    def _lost_holder(self, place: Place, child: Child) -> None:
        place.holder, place.successor = place.successor, None
        now = time.monotonic()
        lasted = child.ready_at is not None and now - child.ready_at >= self._policy.stable_after
        # SIGKILL comes from outside and says nothing against a worker that had come up.
        chance = child.ready_at is not None and child.was_killed_from_outside
        then = self._try_again(place, forget=lasted or chance)
        if child.ready_at is None:
            self._show(*self._failure_of(child), then=then)
        else:
            level = logging.ERROR if child.ended_badly else logging.INFO
            log.log(level, "%s %s. %s", child, child.how_it_ended(), then)

    def _try_again(self, place: Place, *, forget: bool = False) -> str:
        """Set when the place is filled again, and say so."""
        place.crashes = 0 if forget else place.crashes + 1
        delay = self._policy.backoff(place.crashes)
        place.due = time.monotonic() + delay
        return f"The next attempt is in {delay:g} s." if delay else "It is replaced at once."

    def _fail_to_boot(self, error: BareServeError) -> None:
        """Nothing has ever worked: the first failure is the one that tells, and enough."""
        self._boot_failure = self._boot_failure or error
        self._stop(hurry=True, quiet=True)

    def _give_up_reload(self, message: str, details: str = "") -> None:
        for place in self._places:
            place.outdated = False
        self._show(message, details, then="Not reloaded: the workers there were go on.")

    def _failure_of(self, child: Child) -> tuple[str, str]:
        if child.failure is not None:
            return child.failure
        return f"{child} {child.how_it_ended()} before it was ready.", ""

    def _show(self, message: str, details: str = "", *, then: str = "") -> None:
        """Log a failure to boot; the same traceback again and again would only bury others."""
        if details and details != self._shown:
            log.error("%s", details.rstrip("\n"))
            self._shown = details
        log.error("%s %s", message, then)

    # Leaving, gently and otherwise

    @property
    def _grace(self) -> float:
        return self._policy.timeout_graceful_shutdown + _MARGIN

    def _stop(self, *, hurry: bool, quiet: bool = False) -> None:
        if self._hurried:  # a third time
            for child in self._children:
                self._kill(child)
            return
        self._stopping, self._hurried = True, hurry
        if hurry and not quiet:
            log.info("Stopping at once.")
        elif not quiet:
            seconds = self._policy.timeout_graceful_shutdown
            log.info("Stopping: requests have %g s to finish. Once more stops at once.", seconds)
        for child in self._children:
            self._ask_to_leave(child, _HURRY if hurry else self._grace, hurry=hurry)

    def _ask_to_leave(self, child: Child, grace: float, *, hurry: bool = False) -> None:
        if child.state in (State.CONDEMNED, State.KILLED):
            return
        if child.state is not State.LEAVING or hurry:
            child.state = State.LEAVING
            child.deadline = time.monotonic() + grace
            child.send(signal.SIGTERM)
            if hurry:  # after TERM, which ends a worker that has no handlers yet
                child.send(signal.SIGQUIT)

    def _hold_to_its_time(self, child: Child, now: float) -> None:
        if child.deadline is not None and now < child.deadline:
            return
        if child.state is State.BOOTING and child.deadline is not None:
            seconds = f"{self._policy.timeout_boot:g} s"
            child.failure = (f"{child} was not ready within {seconds}.", "")
            self._condemn(child, f"was not ready within {seconds}")
        elif child.state is State.LEAVING:
            self._condemn(child, "did not finish in time")
        elif child.state is State.CONDEMNED:
            self._kill(child)
        elif child.state is State.READY and self._policy.timeout_worker:
            silence = now - max(child.row.last_beat, self._awake_since)
            if silence > self._policy.timeout_worker:
                self._condemn(child, f"has shown no sign of life for {silence:.0f} s")

    def _condemn(self, child: Child, why: str) -> None:
        """Nothing is killed without saying what it was doing."""
        if self._boot_failure is not None:  # which is the one thing to say then
            self._kill(child)
            return
        log.error(
            "%s %s, with %d connections open, and is killed. This is what it was doing:",
            child,
            why,
            child.row.connections,
        )
        child.state = State.CONDEMNED
        child.deadline = time.monotonic() + _DUMPING
        child.send(DUMP_SIGNAL)

    def _kill(self, child: Child) -> None:
        child.state = State.KILLED
        child.deadline = None
        child.send(signal.SIGKILL)

    # The number of workers, and their age

    def _reload(self) -> None:
        if not self._stopping:
            log.info("Reloading: every worker is replaced, one after the other.")
            for place in self._places:
                place.outdated = True
                place.crashes = 0
                place.due = 0.0

    def _resize(self, wanted: int) -> None:
        if self._stopping or not 1 <= wanted <= self._most:
            log.warning("There can be from 1 to %d workers.", self._most)
            return
        log.info("Now %d workers.", wanted)
        if wanted > len(self._places):
            self._places.append(Place(wanted))
            return
        place = self._places.pop()
        for child in (place.holder, place.successor):
            if child is not None:
                self._ask_to_leave(child, self._grace)

    def _place_of(self, child: Child) -> Place | None:
        for place in self._places:
            if child is place.holder or child is place.successor:
                return place
        return None
