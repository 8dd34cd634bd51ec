"""What has been made of a key, remembered: bounded, and safe to forget at any moment.

What lives here: `Remembered`, which has the bound, and `Memo`, a pure function of one key that is
remembered. What must not: any function that is remembered, and what may be kept of it; both are
said where the memo is made.

Header fields repeat from request to request and from client to client, so what is made of one is
looked up. Python runs only for a key that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Remembered(dict[_Key, _Value]):
    """A dictionary for `most` entries, whose user calls `clear` before adding one more than that.

    That is better than to add no more: nobody can fill the dictionary for good. Who sends keys that
    never repeat makes others compute their own once more for each `most` of them.
    """

    __slots__ = ("most",)

    def __init__(self, most: int = 4096) -> None:
        """Remember nothing yet."""
        super().__init__()
        self.most = most


class Memo(Remembered[_Key, _Value]):
    """What `function` gives for a key. An exception of the function is not remembered."""

    __slots__ = ("_function", "_keeps")

    def __init__(
        self,
        function: Callable[[_Key], _Value],
        keeps: Callable[[_Key], bool],
        most: int = 4096,
    ) -> None:
        """Remember nothing yet.

        `function` is pure; `keeps` tells whether a key may be kept.
        """
        super().__init__(most)
        self._function = function
        self._keeps = keeps

    def __missing__(self, key: _Key) -> _Value:
        value = self._function(key)
        if self._keeps(key):
            if len(self) >= self.most:
                self.clear()
            self[key] = value
        return value
