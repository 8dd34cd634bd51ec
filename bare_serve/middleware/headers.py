"""The fields of an answer, by name without regard to case; repeats and order are kept.

What lives here: two lists behind one set of methods, of `str` for WSGI and of `bytes` for ASGI, so
that no field is decoded that a policy does not look at. What must not: what fields mean.

A value is latin-1 text, as in PEP 3333. One that would end its line is refused here, so no policy
can split an answer in two, whatever it was given (RFC 9110, 5.5).

HOT PATH: which names are there is gathered once for an answer; most policies add a field that is
not there yet, and then no list is searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_BAD = re.compile(r"[\x00\r\n]").search
_MOST = 1024
_first = itemgetter(0)

Pair = tuple[str, str]
Set = set
"""The type, whose name a method has."""


class _Names(dict[str, tuple[str, bytes]]):
    """Names that are tokens, each in lower case as text and as bytes; each made once."""

    def __missing__(self, name: str) -> tuple[str, bytes]:
        if not _TOKEN(name):
            raise ValueError(f"{name!r} is no name of a header field")
        lower = name.lower()
        made = lower, lower.encode("ascii")
        if len(self) < _MOST:
            self[name] = made
        return made


_names = _Names()


def checked(name: str, value: str) -> Pair:
    """Return the pair if it can be sent.

    Raises:
        ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
    """
    _names[name]
    if not (value.isascii() and value.isprintable()):
        if _BAD(value) or any(character > "\xff" for character in value):
            raise ValueError(f"the value of {name} cannot be sent: {value!r}")
    return name, value


def are_pairs(pairs: Any, kind: type) -> bool:
    """Return whether these are pairs of `kind`; what is not, the server refuses."""
    try:
        return all(type(name) is kind and type(value) is kind for name, value in pairs)
    except (TypeError, ValueError):
        return False


class Ready:
    """Fields that are added to many answers: checked and encoded once."""

    __slots__ = ("fields", "names", "names_in_bytes", "pairs")

    def __init__(self, pairs: Iterable[Pair]) -> None:
        """Check the pairs; ValueError as of `checked`."""
        self.pairs = [checked(name, value) for name, value in pairs]
        self.names = frozenset(_names[name][0] for name, _ in self.pairs)
        self.names_in_bytes = frozenset(_names[name][1] for name, _ in self.pairs)
        self.fields = [(_names[name][1], value.encode("latin-1")) for name, value in self.pairs]


class Headers:
    """The fields of an answer: pairs of name and value."""

    __slots__ = ("_there", "pairs")

    _lower: Any = staticmethod(str.lower)

    def __init__(self, pairs: Iterable[Any] = ()) -> None:
        """Take pairs as they come; those of an application are checked by the server."""
        self.pairs: list[Any] = [*pairs]
        self._there: Set[Any] | None = None

    def get(self, name: str) -> str | None:
        """Return the value of the first field of that name; None if there is none."""
        name = name.lower()
        if name in (self._there or self._names_there()):
            for key, value in self.pairs:
                if key.lower() == name:
                    return str(value)
        return None

    def has_any(self, names: Ready) -> bool:
        """Return whether there is a field of one of these names, whose values do not matter."""
        return not self._names_there().isdisjoint(names.names)

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name, in their order."""
        return self._values(name.lower())

    def add(self, name: str, value: str) -> None:
        """Add a field behind all others, whether or not there is one of that name.

        Raises:
            ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
        """
        self.pairs.append(checked(name, value))
        if self._there is not None:
            self._there.add(_names[name][0])

    def set(self, name: str, value: str) -> None:
        """Put one field in the place of all of that name.

        Raises:
            ValueError: see `add`.
        """
        lower = _names[name][0]
        if not (value.isascii() and value.isprintable()):
            checked(name, value)
        there = self._there or self._names_there()
        if lower in there:
            self._take_out(lower)
        there.add(lower)
        self.pairs.append((name, value))

    def add_missing(self, fields: Ready | Iterable[Pair]) -> None:
        """Add those fields of which there is none yet.

        Raises:
            ValueError: see `add`; fields that are `Ready` were checked before.
        """
        ready = fields if isinstance(fields, Ready) else Ready(fields)
        self._add_all(ready.pairs, ready.names)

    def remove(self, name: str) -> None:
        """Take out all fields of that name."""
        self._take_out(_names[name][0])

    def vary(self, name: str) -> None:
        """Say that the answer depends on that field of the request (RFC 9110, 12.5.5)."""
        if "vary" not in self:
            self.add("Vary", name)
            return
        said = self.get_all("vary")
        names = [item.strip().lower() for value in said for item in value.split(",")]
        if "*" not in names and name.lower() not in names:
            self.set("Vary", ", ".join([*said, name]))

    def _names_there(self) -> Set[Any]:
        there = self._there
        if there is None:
            there = self._there = set(map(self._lower, map(_first, self.pairs)))
        return there

    def _values(self, name: Any) -> list[Any]:
        """Return the values of a name in lower case."""
        if name not in self._names_there():
            return []
        return [value for key, value in self.pairs if key.lower() == name]

    def _take_out(self, name: Any) -> None:
        there = self._names_there()
        if name in there:
            there.remove(name)
            self.pairs[:] = [pair for pair in self.pairs if pair[0].lower() != name]

    def _add_all(self, pairs: list[Any], names: frozenset[Any]) -> None:
        """Add those pairs whose names are not there."""
        there = self._names_there()
        if there.isdisjoint(names):
            self.pairs += pairs
        else:
            self.pairs += [pair for pair in pairs if pair[0].lower() not in there]
        there |= names

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names_there()

    def __iter__(self) -> Iterator[Pair]:
        return iter([*self.pairs])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self]!r})"


class BytesHeaders(Headers):
    """The same over pairs of bytes, with names in lower case as ASGI wants them."""

    __slots__ = ()

    _lower = staticmethod(bytes.lower)

    def get(self, name: str) -> str | None:
        """See `Headers.get`."""
        wanted = _names[name][1]
        if wanted in (self._there or self._names_there()):
            for key, value in self.pairs:
                if key == wanted or key.lower() == wanted:
                    found: str = value.decode("latin-1")
                    return found
        return None

    def has_any(self, names: Ready) -> bool:
        """See `Headers.has_any`."""
        return not self._names_there().isdisjoint(names.names_in_bytes)

    def get_all(self, name: str) -> list[str]:
        """See `Headers.get_all`."""
        return [value.decode("latin-1") for value in self._values(_names[name][1])]

    def add(self, name: str, value: str) -> None:
        """See `Headers.add`."""
        checked(name, value)
        key = _names[name][1]
        self.pairs.append((key, value.encode("latin-1")))
        if self._there is not None:
            self._there.add(key)

    def set(self, name: str, value: str) -> None:
        """See `Headers.set`."""
        key = _names[name][1]
        if not (value.isascii() and value.isprintable()):
            checked(name, value)
        there = self._there or self._names_there()
        if key in there:
            self._take_out(key)
        there.add(key)
        self.pairs.append((key, value.encode("latin-1")))

    def add_missing(self, fields: Ready | Iterable[Pair]) -> None:
        """See `Headers.add_missing`."""
        ready = fields if isinstance(fields, Ready) else Ready(fields)
        self._add_all(ready.fields, ready.names_in_bytes)

    def remove(self, name: str) -> None:
        """See `Headers.remove`."""
        self._take_out(_names[name][1])

    def __contains__(self, name: str) -> bool:
        return _names[name][1] in self._names_there()

    def __iter__(self) -> Iterator[Pair]:
        pairs = self.pairs
        return iter([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])
