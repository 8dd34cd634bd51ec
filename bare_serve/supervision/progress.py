"""How the server does, told to those who want to know: the log, systemd, the master's works.

What lives here: counting, and saying each thing once. What must not: decisions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bare_serve.supervision.background import Background, Condition
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.policy import Places
from bare_serve.supervision.systemd import Notifier

logger = logging.getLogger("bare_serve.supervision")


class Progress:
    """Remembers what was said already."""

    def __init__(self, systemd: Notifier, background: Background) -> None:
        self._systemd = systemd
        self._background = background
        self.all_were_ready = False
        """There has been a moment at which every place had a worker that serves."""

    def tell_works(
        self, places: Places, children: Iterable[Child], has_served: bool, stopping: bool
    ) -> None:
        """Tell the works; at each turn of the loop."""
        condition = Condition(has_served, stopping, len(places), serving(children))
        self._background.hear(condition)

    def tell(self, places: Places, children: Iterable[Child]) -> None:
        """Tell the log and systemd what is new."""
        count, wanted = serving(children), len(places)
        whole = count >= wanted and all(place.holder for place in places)
        if whole and not self.all_were_ready:
            self.all_were_ready = True
            if wanted > 1:
                logger.info("All %d workers are ready.", wanted)
            self._systemd.ready()
        text = f"{count} of {wanted} workers serve"
        self._systemd.status(f"{text}; reloading" if places.are_renewed else text)


def serving(children: Iterable[Child]) -> int:
    """Return how many workers serve and were not asked to leave."""
    return sum(child.state is State.READY for child in children)
