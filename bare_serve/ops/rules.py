"""What the master tells the ops process: whom to answer, and facts that do not change.

What lives here: the record, and how it is written and read as a message, which is JSON. The token
goes this way and no other: a command line and an environment can be seen by others. What must not:
applying the rules (guard.py).
"""

from __future__ import annotations

import json
from typing import NamedTuple

LONGEST = 1 << 16
"""Bytes of a message."""


class Rules(NamedTuple):
    """Whom the ops process answers."""

    control: bool = False
    """Whether orders are taken."""
    token: str = ""
    """What clients have to show; empty for nothing."""
    hosts: tuple[str, ...] = ()
    """Names that a Host field may have beside localhost and the address itself; in lower case."""
    uids: tuple[int, ...] = ()
    """Users who may give orders through a unix socket."""
    exposed: bool = False
    """Other machines may connect, so that numbers are shown to none without the token."""
    identity: tuple[int, int, tuple[int, ...]] | None = None
    """User, group and supplementary groups to become; None to stay who one is."""

    def message(self) -> bytes:
        """Return the record as it is sent."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def read(cls, message: bytes) -> Rules:
        """Return the record of what `message` has made."""
        told = json.loads(message)
        identity = told["identity"]
        return cls(
            control=told["control"],
            token=told["token"],
            hosts=tuple(told["hosts"]),
            uids=tuple(told["uids"]),
            exposed=told["exposed"],
            identity=None if identity is None else (identity[0], identity[1], tuple(identity[2])),
        )
