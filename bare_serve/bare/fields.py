"""Header fields: read in any case, written only if they are sound (RFC 9110, 5.1 and 5.5).

What lives here: the fields of a request as a mapping, and the checks of names and values. What must
not: what a field means. The patterns are those of http/grammar.py for text; importing that package
would bring 20 ms of modules that a small program does not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


def check_name(name: str, what: str = "the name of a header") -> str:
    """Return `name`, which is a token.

    Raises:
        ValueError: it is none (RFC 9110, 5.6.2); the message calls it `what`.
    """
    if not isinstance(name, str) or not _TOKEN(name):
        raise ValueError(f"{what} must be a token (RFC 9110, 5.6.2), not {name!r}")
    return name


def check_value(name: str, value: str) -> str:
    """Return `value`, which may stand in the field `name`.

    Raises:
        ValueError: it holds a control character such as CR or LF, or one outside of Latin-1.
    """
    if not isinstance(value, str) or not _VALUE(value):
        raise ValueError(
            f"the value of the header {name!r} must be Latin-1 without control characters "
            f"(RFC 9110, 5.5), not {value!r}"
        )
    return value


class Headers(Mapping[str, str]):
    """The fields of a request: names in any case, no field is lost.

    `headers["accept"]` joins repeated fields with ", " (RFC 9110, 5.3), those of Cookie with "; ".
    """

    __slots__ = ("_found",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        """Take `pairs` of names in lower case and values, in the order in which they came."""
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            found.setdefault(name, []).append(value)
        self._found = found

    def all(self, name: str) -> list[str]:
        """Return the values of each field with this name, in order; an empty list for none."""
        return [*self._found.get(name.lower(), ())]

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        return ("; " if name == "cookie" else ", ").join(self._found[name])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"
