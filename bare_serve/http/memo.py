"""A pure function, remembered: bounded, safe to forget, and read without a loop.

What lives here: `Memo`. What must not: any function that is remembered, and what may be kept of it;
both are said where the memo is made.

Header fields repeat from request to request and from client to client, so what is made of one is
looked up. `map(memo.__getitem__, fields)` does that for all fields of a head in C; Python runs only
for a key that is not there (`__missing__`), and for one that may not be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Memo(dict[_Key, _Value]):
    """What `function` gives for a key; at most `most` of them.

    Two generations share that number. When the young one is full it takes the place of the old
    one, and what is asked for again comes back from there: so whoever sends keys that never repeat
    pushes out their own, and costs others a second lookup, not a second computation. An exception
    of the function is not remembered.
    """

    __slots__ = ("_function", "_keeps", "_most", "_old")

    def __init__(
        self,
        function: Callable[[_Key], _Value],
        keeps: Callable[[_Key, _Value], bool],
        most: int = 4096,
    ) -> None:
        """Remember nothing yet.

        `function` is pure and never gives None; `keeps` tells whether a pair may be kept.
        """
        super().__init__()
        self._function = function
        self._keeps = keeps
        self._most = most // 2
        self._old: dict[_Key, _Value] = {}

    def __missing__(self, key: _Key) -> _Value:
        value = self._old.get(key)
        if value is None:
            value = self._function(key)
            if not self._keeps(key, value):
                return value
        if len(self) >= self._most:
            self._old = dict(self)  # each step is safe beside another thread that does the same
            self.clear()
        self[key] = value
        return value

    @property
    def kept(self) -> dict[_Key, _Value]:
        """All that is remembered."""
        return {**self._old, **self}

    def forget(self) -> None:
        """Begin anew."""
        self._old = {}
        self.clear()
