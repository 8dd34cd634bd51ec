"""Ids of 128 random bits, made many at a time.

What lives here: a stock of ids. What must not: what they name.

A call of the system for each id would cost more than the rest of a policy. A forked process begins
with an empty stock, so no two processes give the same id.
"""

from __future__ import annotations

import os
from typing import Final

_MANY: Final = 64
_stock: list[str] = []
os.register_at_fork(after_in_child=_stock.clear)


def new_id() -> str:
    """Return 32 hex digits that nothing has had before; from any thread."""
    try:
        return _stock.pop()
    except IndexError:
        digits = os.urandom(16 * _MANY).hex()
        _stock.extend([digits[at : at + 32] for at in range(32, len(digits), 32)])
        return digits[:32]
