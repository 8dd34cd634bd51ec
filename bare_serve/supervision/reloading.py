"""How a reload or a replacement begins and ends: said once, in the log and to systemd.

It is open from the moment new workers are wanted until every place has one, or one of them has
failed. What changes meanwhile (a worker dies, a place is taken away, another reload begins)
changes when it ends, and not that it does. Starts and stops no worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bare_serve.counts import layout
from bare_serve.errors import BareServeError
from bare_serve.supervision.child import State
from bare_serve.supervision.exit_reports import sentence
from bare_serve.supervision.handover import Handover
from bare_serve.supervision.ledger import Ledger
from bare_serve.supervision.policy import Places, Policy
from bare_serve.supervision.systemd import Notifier

logger = logging.getLogger("bare_serve.supervision")

NOT_RELOADED = "Not reloaded: the workers there were go on."


class Reload:
    """The reload that is going on, if one is."""

    def __init__(self, systemd: Notifier, handover: Handover, ledger: Ledger) -> None:
        self._systemd = systemd
        self._handover = handover
        self._ledger = ledger
        self.is_open = False

    def next_policy(self, now: Policy, read: Callable[[], Policy] | None) -> Policy | None:
        """Return the policy after a reload, by `read` if there is one; None if that failed."""
        self._systemd.reloading()
        if read is None:
            return now
        self._systemd.have_patience(now.timeout_boot)
        try:
            self._handover.go_home()
            return read()
        except Exception as error:  # noqa: BLE001  (whatever it is, the service goes on)
            self.refuse(error)
            return None
        finally:
            self._systemd.have_none()

    def try_new_server(self, places: Places, seconds: float) -> None:
        """Begin a replacement by the trial of the new program, which has so many seconds."""
        self._handover.abandon()  # what is being tried was there before
        self.tell_how_far(places)
        logger.info("Replacing the server by a new one, which is tried first.")
        self._ledger.note("reloading", "by a new program")
        self._systemd.reloading()
        try:
            self._handover.try_out(seconds)
        except OSError as error:
            self.not_replaced(f"cannot start the new server: {error.strerror}")

    def begin(self, places: Places) -> None:
        """Begin a reload: every place is to have a new worker."""
        self.tell_how_far(places)
        logger.info("Reloading: every worker is replaced, one after the other.")
        self._ledger.note("reloading")
        self.is_open = True

    def tell_how_far(self, places: Places) -> None:
        """Log how far this reload went: another one begins."""
        if self.is_open:
            done = f"{places.renewed} of {len(places)} workers are new"
            logger.info("The reload before is not over: %s. The oldest one is next.", done)

    def look(self, places: Places) -> None:
        """Close it if nothing more is to come."""
        holders = [place.holder for place in places]
        if not self.is_open or places.are_renewed:
            return
        if any(holder and holder.state is not State.READY for holder in holders):
            return
        if all(holders):
            logger.info("Reloaded: all workers are new.")
            self._note("reloaded")
        else:  # the others wait for their next attempt
            count = len(holders) - holders.count(None)
            logger.error("Reloaded: only %d of %d workers started.", count, len(holders))
            self._note("not reloaded", f"only {count} of {len(holders)} workers started")
        self.close()

    def close(self) -> None:
        """End the reload, whose outcome is logged already."""
        self.is_open = False
        if self._handover.pid < 0:  # else the end of the trial reports
            self._systemd.ready()

    def fail(self, why: str) -> None:
        """End the reload, one of whose workers has not started; that is logged already."""
        self._note("not reloaded", why)
        self.close()

    def _note(self, kind: str, why: str = "") -> None:
        with self._ledger.writing():
            self._ledger.note(kind, why)
            done = kind == "reloaded"
            self._ledger.reload_ended(layout.RELOADED if done else layout.NOT_RELOADED)

    def refuse(self, error: Exception) -> None:
        """Log why a reload does not begin; an earlier one that is under way goes on."""
        trace = None if isinstance(error, BareServeError) else error
        why = sentence(str(error) or type(error).__name__)
        logger.error("%s %s", why, NOT_RELOADED, exc_info=trace)
        self._note("not reloaded", why)
        if not self.is_open:
            self.close()

    def not_replaced(self, why: str) -> None:
        """Log why the server is not replaced, and goes on as it is."""
        logger.error("Not replaced: %s.", why)
        self._note("not reloaded", why)
        if not self.is_open:
            self.close()
