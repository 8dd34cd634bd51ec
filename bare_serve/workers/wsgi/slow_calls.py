"""Which requests will hold up the loop: a bounded memory of those that did lately.

What lives here: from method and path to "will be slow". What must not: clocks, threads, leadership,
what such a call does with its time (compute_gate.py).

A call that was slow enters under its path, with `*` for what looks like an identifier: so
`/orders/17` tells of `/orders/18`. Each slow call makes its entry young again, and the oldest
entry makes room. Random paths cannot evict entries in use, since only calls that held up the loop
enter; at worst a slow call costs one look of the monitor, as any unexpected one does.
"""

from __future__ import annotations

import re
import threading
from typing import Final

from bare_serve.workers.wsgi.compute_gate import CallProfile

# How many quick calls make a slow request an ordinary one again.
FORGIVEN_AFTER: Final = 8
ENTRIES: Final = 1024

_IDENTIFIER = re.compile(rb"(?<=/)(?:[^/0-9]*+[0-9][^/]*+|[^/]{25,}+)")


def shape(path: bytes) -> bytes:
    """`path` with `*` for each segment that has a digit in it, or is very long."""
    return _IDENTIFIER.sub(b"*", path)


class SlowCall:
    """An entry: the calls of one method and path."""

    __slots__ = ("left", "profile")

    def __init__(self) -> None:
        self.left = FORGIVEN_AFTER
        """Quick calls until it is forgotten."""
        self.profile = CallProfile()


class SlowCalls:
    """The memory. While `entries` is empty, no call needs a look-up."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, bytes], SlowCall] = {}
        """The oldest one first."""
        self._lock = threading.Lock()

    def expects(self, method: str, path: bytes) -> SlowCall | None:
        """Return what is known of a call of this request if it will probably be slow."""
        return self.entries.get((method, shape(path)))

    def note(self, method: str, path: bytes, slow: bool) -> None:
        """Remember how a call went. Any thread may call this."""
        key = (method, shape(path))
        with self._lock:
            entry = self.entries.pop(key, None)
            if slow:
                entry = entry or SlowCall()
                entry.left = FORGIVEN_AFTER
                self.entries[key] = entry
                if len(self.entries) > ENTRIES:
                    del self.entries[next(iter(self.entries))]
            elif entry is not None and entry.left > 1:
                entry.left -= 1
                self.entries[key] = entry
