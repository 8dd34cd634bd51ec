"""The orders that the ops process may pass on to the master, each a message of a socket.

What lives here: which orders there are, and how one is written and read. Both ends check: a
message that is not exactly one of these is no order, whoever wrote it. What must not: who may give
an order (guard.py), and what the master does for it (supervision/ops_process.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 16
"""Bytes of a message."""

VERBS = ("reload", "more", "fewer", "reopen", "replace")
_MESSAGE = re.compile(rb"(reload|more|fewer|reopen)|(replace) ([1-9][0-9]{0,3})")


class Order(NamedTuple):
    """One thing that the master is to do."""

    verb: str
    """One of VERBS."""
    place: int = 0
    """The number of the worker to replace; 0 for the other verbs."""

    def message(self) -> bytes:
        """Return the order as it is sent."""
        return str(self).encode()

    def __str__(self) -> str:
        return f"{self.verb} {self.place}" if self.place else self.verb


def parse(message: bytes) -> Order | None:
    """Return the order that a message stands for; None if the message is no order."""
    match = _MESSAGE.fullmatch(message)
    if match is None:
        return None
    if match[1]:
        return Order(match[1].decode())
    return Order("replace", int(match[3]))
