"""The master of a server under development: nothing that is broken ends it.

It is the ordinary master but for four things. A worker at a debugger's prompt is left alone
(patience.py). A change that comes while workers start takes the
place of the one before at once. Code that does not start is a failure of which browsers are told;
the code before goes on. And where no code serves, because it never has or because the worker has
died, a worker stands in for it until the next change.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from bare_serve.dev.development import Development
from bare_serve.dev.patience import PatientTerminator
from bare_serve.errors import BareServeError
from bare_serve.supervision import Callbacks, Handover, Policy, SignalQueue, Supervisor, Work
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.exit_reports import failure_of, sentence
from bare_serve.supervision.policy import Place, Places
from bare_serve.supervision.reloading import Reload
from bare_serve.supervision.termination import HURRY

logger = logging.getLogger("bare_serve.supervision")


class _Renewal(Reload):
    """A reload whose outcome is told to browsers as well."""

    development: Development

    def _note(self, kind: str, why: str = "") -> None:
        super()._note(kind, why)
        self.development.is_over()
        if kind == "reloaded":
            self.development.renewed()

    def begin(self, places: Places) -> None:
        # The change is said already, and another one may well come before its reload is over.
        self.is_open = True

    def refuse(self, error: Exception) -> None:
        super().refuse(error)
        self.development.failed(sentence(str(error) or type(error).__name__))

    def not_replaced(self, why: str) -> None:
        super().not_replaced(why)
        if not self.development.has_failed:  # the trial tells more, if it can tell anything
            self.development.failed(f"Not replaced: {why}.")


class DevSupervisor(Supervisor):
    """Runs workers until told to stop, whatever they are made of."""

    def __init__(
        self,
        development: Development,
        policy: Policy,
        callbacks: Callbacks,
        handover: Handover,
        signals: SignalQueue,
        works: Sequence[Work],
    ) -> None:
        super().__init__(policy, callbacks, handover, signals, works)
        self._development = development
        self._terminator: PatientTerminator = PatientTerminator(policy)
        self._renewal = _Renewal(self._systemd, self._handover, self._scoreboard.ledger)
        self._renewal.development = development
        self._stand_ins: set[Child] = set()

    def _stop(self, *, hurry: bool, quiet: bool = False) -> None:
        self._terminator.is_patient = False
        super()._stop(hurry=hurry, quiet=quiet)

    def _spawn(self, place: Place) -> Child | None:
        child = super()._spawn(place)
        if child is not None:
            child.take_imported = self._development.watcher.add
            if self._development.is_broken:
                self._stand_ins.add(child)
        return child

    def _reload(self) -> None:
        self._development.is_broken = False
        self._development.state.begun()
        super()._reload()
        for place in self._places:
            for child in (place.holder, place.successor):
                if child is not None and child.state is State.BOOTING and place.outdated:
                    self._terminator.stop_worker(child, HURRY)

    def _child_is_ready(self, child: Child, facts: Mapping[str, str]) -> None:
        super()._child_is_ready(child, facts)
        if child not in self._stand_ins:
            self._development.serves(facts)
        # By itself, at another attempt: a reload tells its end.
        if not (self._renewal.is_open or child in self._stand_ins) and self._development.has_failed:
            self._development.renewed()

    def _child_has_ended(self, child: Child) -> None:
        place = self._places.of(child)
        is_stand_in = child in self._stand_ins
        self._stand_ins.discard(child)
        if self._stopping or place is None:
            super()._child_has_ended(child)
        elif child.was_asked and child.failure is None:
            self._begin_anew(place, child)  # even if it became ready after it was asked to leave
        elif child.ready_at is not None or is_stand_in:
            super()._child_has_ended(child)
        else:
            message, details = failure_of(child)
            self._development.failed(message, details, child.record)
            if place.successor is child or self._somebody_serves(place):
                super()._child_has_ended(child)
            else:
                self._stand_in(place, message, details)

    def _somebody_serves(self, place: Place) -> bool:
        """Return whether code that works serves in another place."""
        return any(
            other is not place
            and other.holder is not None
            and other.holder.state is State.READY
            and other.holder not in self._stand_ins
            for other in self._places
        )

    def _begin_anew(self, place: Place, child: Child) -> None:
        """Forget a worker of code that has changed since."""
        logger.debug("%s is of code that has changed since.", child)
        if place.successor is child:
            place.successor = None
        else:
            place.holder, place.successor = place.successor, None
        place.is_reload = False
        place.due = 0.0

    def _stand_in(self, place: Place, message: str, details: str) -> None:
        self._development.is_broken = True
        place.holder, place.successor = place.successor, None
        place.is_reload = False
        place.due = 0.0
        self._exit_reports.boot_failed(message, details, "It is tried again once a file changes.")
        if self._renewal.is_open:
            self._renewal.fail(message)

    def _fail_to_boot(self, error: BareServeError) -> None:
        super()._fail_to_boot(error)
        self._stand_ins.clear()
