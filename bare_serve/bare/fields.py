"""Fields: names with one value or several, read in any case, written only if they are sound.

What lives here: the mapping that header fields and forms are, and the checks of names and values
(RFC 9110, 5.1 and 5.5). What must not: what a field means. The patterns are those of
http/grammar.py for text; importing that package would bring 20 ms of modules that a small program
does not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


@lru_cache(1024)
def checked(name: str, value: str = "") -> str:
    """Return the name of a field in lower case.

    Raises:
        ValueError: it is no token; the value has a control character, or one outside of Latin-1.
    """
    if not _TOKEN(name):
        raise ValueError(
            f"the name of a header or a cookie must be a token (RFC 9110, 5.6.2), not {name!r}"
        )
    if not _VALUE(value):
        what = "must be Latin-1 without control characters (RFC 9110, 5.5)"
        raise ValueError(f"the value of the header {name!r} {what}, not {value!r}")
    return name.lower()


class Fields(Mapping[str, Any]):
    """Values by name, of which some may be there several times; a name gives the first."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        """Take names and values, in the order in which they came."""
        self._found: dict[str, list[Any]] = {}
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str, value: Any) -> None:
        """Add a value beside those with the same name."""
        self._found.setdefault(name, []).append(value)

    def all(self, name: str) -> list[Any]:
        """Return each value of a name, in order; an empty list without one."""
        return [*self._found.get(name, ())]

    def __getitem__(self, name: str) -> Any:
        return self._found[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Headers(Fields):
    """The fields of a request: names in any case, no field is lost.

    `headers["accept"]` joins repeated fields with ", " (RFC 9110, 5.3), those of Cookie with "; ".
    """

    def all(self, name: str) -> list[str]:
        """Return the value of each field with this name, in order."""
        return super().all(name.lower())

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        return ("; " if name == "cookie" else ", ").join(self._found[name])
