"""How many connections a worker has at once, where that is limited.

What lives here: whether there is a place, and what is said when there is none. What must not:
accepting (wsgi/bounded_acceptor.py, asgi/bounded_acceptor.py).

A connection that finds no place waits in the kernel's queue, where other workers may take it. The
limit holds for one worker: it needs no memory that workers share.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("bare_serve.worker")


class Places:
    """Those of one worker, for all its listeners."""

    def __init__(self, limit: int) -> None:
        """`limit`: how many there are; at least 1."""
        self._limit = limit
        self._told = False

    def left(self, held: int) -> bool:
        """Return whether there is one, with `held` connections here."""
        if held >= self._limit:
            if not self._told:
                self._told = True
                text = (
                    "%d connections are open, as many as --limit-connections allows: others wait."
                )
                logger.warning(text, held)
            return False
        if self._told and held <= self._limit // 2:  # else it would be told at each change
            self._told = False
        return True
