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
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_BAD = re.compile(r"[\x00\r\n]").search
_MOST = 1024

Pair = tuple[str, str]
Set = set
"""The type, whose name a method has."""


class _Names(dict[str, Any]):
    """Names that are tokens, each in the form that fields are compared by; each made once."""

    def __init__(self, form: Callable[[str], Any]) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, name: str) -> Any:
        if not _TOKEN(name):
            raise ValueError(f"{name!r} is no name of a header field")
        made = self._form(name)
        if len(self) < _MOST:
            self[name] = made
        return made


class _Folded(dict[Any, Any]):
    """Names as applications give them, `str` and `bytes`, in lower case, whatever they are."""

    def __missing__(self, name: Any) -> Any:
        made = name.lower()
        if len(self) < _MOST:
            self[name] = made
        return made


_folded = _Folded()
_lower = _Names(str.lower)
_encoded = _Names(lambda name: name.lower().encode("ascii"))


def checked(name: str, value: str) -> Pair:
    """Return the pair if it can be sent.

    Raises:
        ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
    """
    _lower[name]
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
        self.names = frozenset(_lower[name] for name, _ in self.pairs)
        self.names_in_bytes = frozenset(_encoded[name] for name, _ in self.pairs)
        self.fields = [(_encoded[name], value.encode("latin-1")) for name, value in self.pairs]


class Headers:
    """The fields of an answer: pairs of name and value."""

    __slots__ = ("_there", "pairs")

    _vary: Any = "vary"
    _varies: Any = _Names(lambda name: ("Vary", name))

    def __init__(self, pairs: Iterable[Any] = ()) -> None:
        """Take pairs as they come; those of an application are checked by the server."""
        self.pairs: list[Any] = [*pairs]
        there: Set[Any] = set()
        for name, _ in self.pairs:
            there.add(_folded[name])
        self._there = there
        """The names that are there, as they are compared."""

    def get(self, name: str) -> str | None:
        """Return the value of the first field of that name; None if there is none."""
        name = _lower[name]
        if name in self._there:
            for key, value in self.pairs:
                if _folded[key] == name:
                    return str(value)
        return None

    def has_any(self, names: Ready) -> bool:
        """Return whether there is a field of one of these names, whose values do not matter."""
        return not self._there.isdisjoint(names.names)

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name, in their order."""
        return self._values(_lower[name])

    def add(self, name: str, value: str) -> None:
        """Add a field behind all others, whether or not there is one of that name.

        Raises:
            ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
        """
        lower = _lower[name]
        if "\n" in value or "\r" in value or "\0" in value or not value.isascii():
            checked(name, value)
        self._there.add(lower)
        self.pairs.append((name, value))

    def set(self, name: str, value: str) -> None:
        """Put one field in the place of all of that name.

        Raises:
            ValueError: see `add`.
        """
        lower = _lower[name]
        if "\n" in value or "\r" in value or "\0" in value or not value.isascii():
            checked(name, value)
        if lower in self._there:
            self._take_out(lower)
        self._there.add(lower)
        self.pairs.append((name, value))

    def add_missing(self, fields: Ready | Iterable[Pair]) -> None:
        """Add those fields of which there is none yet.

        Raises:
            ValueError: see `add`; fields that are `Ready` were checked before.
        """
        ready = fields if isinstance(fields, Ready) else Ready(fields)
        there = self._there
        if there.isdisjoint(ready.names):
            self.pairs += ready.pairs
        else:
            self.pairs += [pair for pair in ready.pairs if _folded[pair[0]] not in there]
        there |= ready.names

    def remove(self, name: str) -> None:
        """Take out all fields of that name."""
        self._take_out(_lower[name])

    def vary(self, name: str) -> None:
        """Say that the answer depends on that field of the request (RFC 9110, 12.5.5)."""
        if self._vary not in self._there:
            self._there.add(self._vary)
            self.pairs.append(self._varies[name])
            return
        said = self.get_all("vary")
        names = [item.strip().lower() for value in said for item in value.split(",")]
        if "*" not in names and name.lower() not in names:
            self.set("Vary", ", ".join([*said, name]))

    def _values(self, name: Any) -> list[Any]:
        """Return the values of a name as it is compared."""
        if name not in self._there:
            return []
        return [value for key, value in self.pairs if _folded[key] == name]

    def _take_out(self, name: Any) -> None:
        if name in self._there:
            self._there.remove(name)
            kept = []
            for pair in self.pairs:
                if _folded[pair[0]] != name:
                    kept.append(pair)  # noqa: PERF401 - HOT PATH: before 3.12 that is a call
            self.pairs = kept

    def __contains__(self, name: str) -> bool:
        return _lower[name] in self._there

    def __iter__(self) -> Iterator[Pair]:
        return iter([*self.pairs])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self]!r})"


class BytesHeaders(Headers):
    """The same over pairs of bytes, with names in lower case as ASGI wants them."""

    __slots__ = ()

    _vary = b"vary"
    _varies = _Names(lambda name: (b"vary", name.encode("ascii")))

    def get(self, name: str) -> str | None:
        """See `Headers.get`."""
        wanted = _encoded[name]
        if wanted in self._there:
            for key, value in self.pairs:
                if _folded[key] == wanted:
                    found: str = value.decode("latin-1")
                    return found
        return None

    def has_any(self, names: Ready) -> bool:
        """See `Headers.has_any`."""
        return not self._there.isdisjoint(names.names_in_bytes)

    def get_all(self, name: str) -> list[str]:
        """See `Headers.get_all`."""
        return [value.decode("latin-1") for value in self._values(_encoded[name])]

    def add(self, name: str, value: str) -> None:
        """See `Headers.add`."""
        key = _encoded[name]
        if "\n" in value or "\r" in value or "\0" in value or not value.isascii():
            checked(name, value)
        self._there.add(key)
        self.pairs.append((key, value.encode("latin-1")))

    def set(self, name: str, value: str) -> None:
        """See `Headers.set`."""
        key = _encoded[name]
        if "\n" in value or "\r" in value or "\0" in value or not value.isascii():
            checked(name, value)
        if key in self._there:
            self._take_out(key)
        self._there.add(key)
        self.pairs.append((key, value.encode("latin-1")))

    def add_missing(self, fields: Ready | Iterable[Pair]) -> None:
        """See `Headers.add_missing`."""
        ready = fields if isinstance(fields, Ready) else Ready(fields)
        there = self._there
        if there.isdisjoint(ready.names_in_bytes):
            self.pairs += ready.fields
        else:
            self.pairs += [pair for pair in ready.fields if pair[0] not in there]
        there |= ready.names_in_bytes

    def remove(self, name: str) -> None:
        """See `Headers.remove`."""
        self._take_out(_encoded[name])

    def __contains__(self, name: str) -> bool:
        return _encoded[name] in self._there

    def __iter__(self) -> Iterator[Pair]:
        pairs = self.pairs
        return iter([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])
