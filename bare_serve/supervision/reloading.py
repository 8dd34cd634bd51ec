"""How a reload or a replacement ended: said once, in the log and to systemd.

It is open from the moment new workers are wanted until every place has one, or one of them has
failed. What changes meanwhile (a worker dies, a place is taken away, another reload begins)
changes when it ends, and not that it does. Starts and stops no worker.
"""

from __future__ import annotations

import logging

from bare_serve.errors import BareServeError
from bare_serve.supervision.child import State
from bare_serve.supervision.exit_reports import sentence
from bare_serve.supervision.handover import Handover
from bare_serve.supervision.policy import Places
from bare_serve.supervision.systemd import Notifier

logger = logging.getLogger("bare_serve.supervision")

NOT_RELOADED = "Not reloaded: the workers there were go on."


class Reload:
    """The reload that is going on, if one is."""

    def __init__(self, systemd: Notifier, handover: Handover) -> None:
        self._systemd = systemd
        self._handover = handover
        self.is_open = False

    def begin(self, places: Places) -> None:
        """Begin a reload: every place is to have a new worker."""
        self.tell_how_far(places)
        logger.info("Reloading: every worker is replaced, one after the other.")
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
        else:  # the others wait for their next attempt
            count = len(holders) - holders.count(None)
            logger.error("Reloaded: only %d of %d workers started.", count, len(holders))
        self.close()

    def close(self) -> None:
        """End the reload, whose outcome is logged already."""
        self.is_open = False
        if self._handover.pid < 0:  # else the end of the trial reports
            self._systemd.ready()

    def refuse(self, error: Exception) -> None:
        """Log why a reload does not begin; an earlier one that is under way goes on."""
        trace = None if isinstance(error, BareServeError) else error
        why = sentence(str(error) or type(error).__name__)
        logger.error("%s %s", why, NOT_RELOADED, exc_info=trace)
        if not self.is_open:
            self.close()

    def not_replaced(self, why: str) -> None:
        """Log why the server is not replaced, and goes on as it is."""
        logger.error("Not replaced: %s.", why)
        if not self.is_open:
            self.close()
