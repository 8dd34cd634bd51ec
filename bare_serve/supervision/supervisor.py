"""The master: keeps a number of places filled with workers until it is told to stop.

The loop waits for a signal, a word from a child or a deadline, reaps, takes one intent and acts;
then `_tend` fills what is empty and due. A replacement is READY before the one it replaces is
asked to leave, whatever the reason to replace it.

The master never serves, and imports no application unless it is to be preloaded; what it calls of
its server is in callbacks.py. Decisions are here, processes in child.py, signals in signals.py,
leaving in termination.py, how a reload begins and ends in reloading.py, becoming another program
in handover.py, what is done beside in background.py.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import signal
import time
from collections.abc import Mapping, Sequence

from bare_serve.errors import BareServeError
from bare_serve.supervision.background import Background, Means, Work
from bare_serve.supervision.callbacks import Callbacks
from bare_serve.supervision.child import Child, State, reap_strangers, spawn
from bare_serve.supervision.exit_reports import ExitReports, boot_error, failure_of, how_it_ended
from bare_serve.supervision.handover import Handover
from bare_serve.supervision.messages import FAILURES
from bare_serve.supervision.policy import Place, Places, Policy
from bare_serve.supervision.published import Published
from bare_serve.supervision.reloading import NOT_RELOADED, Reload
from bare_serve.supervision.scoreboard import Row, Scoreboard
from bare_serve.supervision.signals import Intent, SignalQueue
from bare_serve.supervision.stop_delay import StopDelay
from bare_serve.supervision.stop_remark import StopRemark
from bare_serve.supervision.systemd import Notifier
from bare_serve.supervision.termination import HURRY, Terminator

logger = logging.getLogger("bare_serve.supervision")

_LOOK_EVERY = 1.0
"""Seconds between two looks at the workers' rows."""


class Supervisor:
    """Runs workers until told to stop."""

    def __init__(
        self,
        policy: Policy,
        callbacks: Callbacks,
        handover: Handover | None = None,
        signals: SignalQueue | None = None,
        works: Sequence[Work] = (),
    ) -> None:
        """`works` are looked at beside the workers."""
        self._policy = policy
        self._callbacks = callbacks
        self._handover = handover or Handover()
        self._signals = signals or SignalQueue()
        self._systemd = Notifier(os.environ)
        self._terminator = Terminator(policy)
        self._most = max(256, policy.workers)
        # Beside a holder a place may have a successor, and predecessors that still drain.
        self._scoreboard = self._handover.scoreboard or Scoreboard(rows=4 * self._most)
        self._published = Published(self._scoreboard, self._systemd, callbacks)
        self._renewal = Reload(self._systemd, self._handover, self._scoreboard.ledger)
        self._children: list[Child] = []
        self._places = Places(policy.workers)
        self._stopping = self._hurried = False
        self._delay, self._remark = StopDelay(self._systemd), StopRemark()
        self._ever_ready = False
        self._boot_failure: BareServeError | None = None
        self._background = Background(works)
        self._readable: frozenset[int] = frozenset()
        """Descriptors that the last wait has found to be so."""
        self._exit_reports = ExitReports()
        self._looked_at = self._awake_since = time.monotonic()

    def run(self) -> int:
        """Serve until stopped; returns the exit code, raises if no worker ever came up."""
        with self._signals:
            try:
                self._systemd.have_none()  # it had some since the program began
                self._published.begin(self._policy.workers, self._signals.for_orders)
                self._inherit()
                replace = self._places.replace_on_order
                self._background.begin(Means(self._scoreboard.fd, self._signals.put, replace))
                self._tend()
                while self._children or not self._stopping:
                    self._wait()
                    # Taken before the look: a child that ends after its look announces itself
                    # by a signal that is still in the pipe then, and wakes the next wait.
                    intent = self._signals.take()
                    self._look()
                    self._act(intent)
                    self._tend()
                    self._published.look(self._children, self._is_to_stop, self._renewal.is_open)
            finally:
                self._handover.abandon()
                for child in self._children:
                    child.destroy()
                self._background.end()
                self._scoreboard.close()
        if self._boot_failure is not None:
            raise self._boot_failure
        return 0

    def _wait(self) -> None:
        """Sleep until there is something to do."""
        times = [child.deadline for child in self._children if child.deadline is not None]
        if not self._stopping:
            times += [place.due for place in self._places if place.holder is None]
        if self._policy.looks_at_workers or self._policy.counts:
            times.append(time.monotonic() + _LOOK_EVERY)
        times += filter(None, (self._handover.deadline, self._systemd.due))
        times += (self._background.due, self._delay.ends, self._remark.due)
        fds = [*(child.fd for child in self._children), *self._background.fds()]
        self._readable = self._signals.wait(fds, min(times))

    def _look(self) -> None:
        """Hear what the children say and reap those that have ended."""
        for child in [*self._children]:
            self._look_at(child)
        beside = {*self._background.pids(), self._handover.pid}
        reap_strangers({child.pid for child in self._children} | beside)
        works = self._handover.works()
        if works is False:
            self._renewal.not_replaced("the new server does not start. This one goes on")
        elif works and not self._is_to_stop:
            self._hand_over()

    def _look_at(self, child: Child) -> None:
        ended = child.has_ended()  # before reading, so that no last word is missed
        for kind, value in child.messages():
            if kind == "ready":
                self._child_is_ready(child, value)
            elif kind in FAILURES:
                child.failure = (value[0], value[1])
                self._terminator.stop_worker(child, HURRY)
            elif kind == "debugged":
                self._terminator.let_debug(child, time.monotonic())
        if ended:
            self._children.remove(child)
            self._exit_reports.find_reason(child)
            self._published.ended(child, child.ended_for, how_it_ended(child))
            self._child_has_ended(child)
            self._scoreboard.release(child.row)
            child.close()

    def _act(self, intent: Intent | None) -> None:
        if intent is Intent.STOP:
            if self._stopping or not self._delay.begin(self._policy.drain_delay * self._ever_ready):
                self._stop(hurry=self._is_to_stop)
        elif intent is Intent.QUIT:
            self._stop(hurry=True)
        elif self._is_to_stop:
            return
        elif intent is Intent.RELOAD:
            self._reload()
        elif intent is Intent.UPGRADE:
            self._renewal.try_new_server(self._places, self._policy.timeout_boot)
        elif intent is Intent.MORE:
            self._resize(len(self._places) + 1)
        elif intent is Intent.FEWER:
            self._resize(len(self._places) - 1)
        elif intent is Intent.ORDER:
            self._published.follow_order(self._places.replace_on_order)
        elif intent is Intent.REOPEN:
            self._callbacks.reopen()
            for child in self._children:
                child.reopen_logs()

    def _tend(self) -> None:
        """Bring things into order: nobody overdue, no place empty, nothing outdated."""
        now = time.monotonic()
        if now - self._looked_at > 3 * _LOOK_EVERY:
            self._awake_since = now  # all of us were suspended; silence then means nothing
        self._looked_at = now
        self._systemd.beat(now)
        if now >= self._delay.ends and not self._stopping:
            self._stop(hurry=False)
        self._background.look(now, self._readable)
        for child in self._children:
            self._terminator.enforce_deadline(child, now, self._awake_since)
        if self._stopping:
            self._remark.look(now, bool(self._children))
            return
        for place in self._places:
            if place.holder is None and place.due <= now:
                place.holder = self._spawn(place)
            elif place.holder is not None and place.successor is None and not place.replace_reason:
                place.replace_reason = self._terminator.replace_reason(place.holder, now)
        if (worst := self._places.next_to_replace(now)) is not None:
            self._replace_holder(worst)
        self._published.tell_how_it_goes(self._children, self._places)
        self._renewal.look(self._places)

    def _replace_holder(self, place: Place) -> None:
        place.leaving_for = "reload"
        if place.replace_reason and not place.outdated:
            place.leaving_for, text = place.replace_reason
            logger.info("%s %s and is replaced.", place.holder, text)
        place.is_reload = place.outdated
        place.successor = self._spawn(place)

    # The life of a child

    def _spawn(self, place: Place) -> Child | None:
        place.outdated = False
        place.replace_reason = None
        place.has_served = place.has_served or self._ever_ready
        try:
            with self._scoreboard.lend() as row:
                shed = functools.partial(self._shed_in_child, row)
                child = spawn(self._callbacks.run_worker, place.index, row, shed)
        except OSError as error:
            self._could_not_fork(place, error)
            return None
        if self._policy.timeout_boot:
            child.deadline = time.monotonic() + self._policy.timeout_boot
        self._children.append(child)
        logger.debug("%s starts", child)
        return child

    def _shed_in_child(self, row: Row) -> None:
        self._signals.forget()
        self._systemd.forget()
        self._background.forget()
        self._scoreboard.keep_only(row)
        for sibling in self._children:
            sibling.close()

    def _could_not_fork(self, place: Place, error: OSError) -> None:
        message = f"Cannot start worker {place.index}: {error.strerror}."
        if not self._ever_ready:
            self._fail_to_boot(BareServeError(message))
        elif place.holder is None:
            logger.error("%s %s", message, place.try_again(self._policy))
        else:
            self._give_up_replacing(place, message)

    def _child_is_ready(self, child: Child, facts: Mapping[str, str]) -> None:
        now = time.monotonic()
        if child.state is not State.BOOTING:  # asked to leave in the meantime
            self._terminator.note_ready(child, now)
            return
        child.state = State.READY
        child.deadline = None
        if child.owes_reopening:
            child.send(signal.SIGUSR1)
        child.wear_out(self._policy, now)
        place = self._places.of(child)
        if not self._ever_ready:
            self._ever_ready = True
            self._callbacks.on_ready(facts)
        elif place is not None and place.has_served:
            logger.info("%s is ready", child)
        if place is None:
            return
        place.is_reload = False
        if place.successor is child:
            predecessor, place.holder, place.successor = place.holder, child, None
            if predecessor is not None:
                grace = self._terminator.grace
                self._terminator.stop_worker(predecessor, grace, why=place.leaving_for)
            place.crashes = 0

    def _child_has_ended(self, child: Child) -> None:
        place = self._places.of(child)
        if place is None or self._stopping:
            self._exit_reports.worker_exited_while_stopping(child)
        elif not self._ever_ready:
            self._fail_to_boot(boot_error(child))
        elif place.successor is child:
            place.successor = None
            self._give_up_replacing(place, *failure_of(child))
        else:
            self._lost_holder(place, child)

    def _lost_holder(self, place: Place, child: Child) -> None:
        place.holder, place.successor = place.successor, None
        place.replace_reason, place.is_reload = None, False
        now = time.monotonic()
        if child.ready_at is None:
            self._exit_reports.boot_failed(*failure_of(child), place.try_again(self._policy))
            return
        lasted = now - child.ready_at >= self._policy.stable_after
        most = math.inf
        if child.was_killed_from_outside:  # no sign that the next one fails
            place.crashes = min(place.crashes, 1)
            most = self._policy.most_after_a_kill(self._places.anybody_serves)
        then = place.try_again(self._policy, forget=lasted, most=most)
        self._exit_reports.worker_exited(child, then)

    def _fail_to_boot(self, error: BareServeError) -> None:
        """Nothing has ever worked: the first failure is the one that tells, and enough."""
        self._boot_failure = self._boot_failure or error
        self._terminator.silent = True
        self._stop(hurry=True, quiet=True)

    def _give_up_replacing(self, place: Place, message: str, details: str = "") -> None:
        """Report a successor that failed; the holder goes on."""
        if place.outdated:  # by a reload since: this one says nothing of the code there is now
            then = "The reload that was asked for since goes on."
        elif place.is_reload:
            for each in self._places:
                each.outdated = False
            then = NOT_RELOADED
            self._renewal.fail(message)
        elif place.leaving_for == "replaced":  # who has asked for it is told
            then = f"{place.holder} goes on."
        else:
            place.crashes = max(place.crashes, 1)  # nobody is missing, so there is no hurry
            then = f"{place.holder} goes on. " + place.try_again(self._policy)
        place.is_reload = False
        self._published.not_replaced(place.index, message)
        self._exit_reports.boot_failed(message, details, then)

    # What signals ask for

    @property
    def _is_to_stop(self) -> bool:
        return self._stopping or self._delay.is_on

    def _stop(self, *, hurry: bool, quiet: bool = False) -> None:
        if self._hurried:  # a third time
            for child in self._children:
                self._terminator.kill(child)
            return
        self._stopping, self._hurried = True, hurry
        self._handover.abandon()
        self._systemd.stopping()
        if not quiet:
            self._remark.begin(self._policy.timeout_graceful_shutdown, hurry=hurry)
        for child in self._children:
            self._terminator.stop_worker(
                child, HURRY if hurry else self._terminator.grace, hurry=hurry
            )

    def _reload(self) -> None:
        if self._policy.preload:
            self._renewal.try_new_server(self._places, self._policy.timeout_boot)
            return
        before = self._policy.workers
        policy = self._renewal.next_policy(self._policy, self._callbacks.reload_settings)
        if policy is None:
            return
        self._policy = self._terminator.policy = policy
        self._renewal.begin(self._places)
        if self._policy.workers != before:
            self._resize(self._policy.workers)
        self._places.outdate()

    def _resize(self, wanted: int) -> None:
        if not 1 <= wanted <= self._most:
            logger.warning("There can be from 1 to %d workers.", self._most)
            return
        logger.info("Now %d workers.", wanted)
        for child in self._places.resize(wanted):
            self._terminator.stop_worker(child, self._terminator.grace)

    # Becoming another program

    def _hand_over(self) -> None:
        """Execute the new program: the trial went well. Wait for no worker that still boots."""
        for child in self._children:
            if child.state is State.BOOTING:
                self._terminator.stop_worker(child, self._terminator.grace)
        holders = [place.holder for place in self._places if place.holder is not None]
        more = len(self._places) - self._policy.workers
        self._handover.has_served = self._ever_ready
        self._background.end()
        self._systemd.have_patience(self._policy.timeout_boot)
        self._signals.hold()
        try:
            self._handover.execute(self._children, holders, self._scoreboard, more)
        except Exception as error:  # noqa: BLE001  (whatever it is, the service goes on)
            self._signals.release()
            self._systemd.have_none()
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            self._renewal.not_replaced(f"cannot execute the new server: {why}")

    def _inherit(self) -> None:
        """Take over the workers of the master before: they serve until they are replaced."""
        inherited = self._handover
        if inherited.received:
            count = max(1, min(self._policy.workers + inherited.more_workers, self._most))
            self._places = Places(count)
            # Also if nobody is ready now: what once worked is tried again and again.
            self._ever_ready = self._renewal.is_open = inherited.has_served
        self._children += inherited.children
        self._published.take_over(inherited.children)
        ready = [child for child in inherited.holders if child.state is State.READY]
        if ready:
            self._ever_ready = self._renewal.is_open = self._published.all_were_ready = True
        for child in self._places.adopt(ready):
            self._terminator.stop_worker(child, self._terminator.grace)
        self._look()  # at those that ended while nobody was there
