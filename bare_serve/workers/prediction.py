"""Which requests will hold up the loop: a bounded memory of those that did lately.

What lives here: from method and path to "will be slow". What must not: clocks, threads, leadership.

A call that was slow enters under its path, with ``*`` for what looks like an identifier: so
``/orders/17`` tells of ``/orders/18``. Only calls that held up the loop enter, each slow one makes
its entry young again, and the oldest makes room: who asks for random paths crowds out nothing
that is in use, and at worst a slow call costs one look of the monitor, as any surprise does.
"""

from __future__ import annotations

import re
import threading
from typing import Final

# How many quick calls make a slow request an ordinary one again.
FORGIVEN_AFTER: Final = 8
ENTRIES: Final = 1024

_IDENTIFIER = re.compile(rb"(?<=/)(?:[^/0-9]*+[0-9][^/]*+|[^/]{25,}+)")


def shape(path: bytes) -> bytes:
    """``path`` with ``*`` for each segment that has a digit in it, or is very long."""
    return _IDENTIFIER.sub(b"*", path)


class SlowCalls:
    """The memory. While ``entries`` is empty, nobody need ask."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, bytes], int] = {}
        """Quick calls left until an entry is forgotten; the oldest entry first."""
        self._lock = threading.Lock()

    def expects(self, method: str, path: bytes) -> bool:
        """A call of this request will probably be slow."""
        return (method, shape(path)) in self.entries

    def note(self, method: str, path: bytes, slow: bool) -> None:
        """Remembers how a call went. May be called by any thread."""
        key = (method, shape(path))
        with self._lock:
            left = self.entries.pop(key, None)
            if slow:
                self.entries[key] = FORGIVEN_AFTER
                if len(self.entries) > ENTRIES:
                    del self.entries[next(iter(self.entries))]
            elif left is not None and left > 1:
                self.entries[key] = left - 1
