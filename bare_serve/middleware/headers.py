"""The fields of an answer, by name without regard to case; repeats and order are kept.

What lives here: two lists behind one set of methods, of `str` for WSGI and of `bytes` for ASGI, so
that no field is decoded that a policy does not look at. What must not: what fields mean.

A value is latin-1 text, as in PEP 3333. One that would end its line is refused here, so no policy
can split an answer in two, whatever it was given (RFC 9110, 5.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_BAD = re.compile(r"[\x00\r\n]").search

Pair = tuple[str, str]


class Headers:
    """The fields of an answer: pairs of name and value."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        """Take pairs of `str` as they come; those of an application are checked by the server."""
        self.pairs: list[Pair] = [*pairs]

    def get(self, name: str) -> str | None:
        """Return the value of the first field of that name; None if there is none."""
        name = name.lower()
        for key, value in self.pairs:
            if key.lower() == name:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name, in their order."""
        name = name.lower()
        return [value for key, value in self.pairs if key.lower() == name]

    def add(self, name: str, value: str) -> None:
        """Add a field behind all others, whether or not there is one of that name.

        Raises:
            ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
        """
        self.pairs.append(checked(name, value))

    def set(self, name: str, value: str) -> None:
        """Put one field in the place of all of that name.

        Raises:
            ValueError: see `add`.
        """
        pair = checked(name, value)
        self.remove(name)
        self.pairs.append(pair)

    def add_missing(self, pairs: Iterable[Pair]) -> None:
        """Add those fields of which there is none yet; the pairs are known to be sound."""
        there = {key.lower() for key, _ in self.pairs}
        self.pairs += [pair for pair in pairs if pair[0].lower() not in there]

    def remove(self, name: str) -> None:
        """Take out all fields of that name."""
        name = name.lower()
        if any(key.lower() == name for key, _ in self.pairs):
            self.pairs[:] = [pair for pair in self.pairs if pair[0].lower() != name]

    def vary(self, name: str) -> None:
        """Say that the answer depends on that field of the request (RFC 9110, 12.5.5)."""
        said = self.get_all("vary")
        names = [item.strip().lower() for value in said for item in value.split(",")]
        if "*" not in names and name.lower() not in names:
            self.set("Vary", ", ".join([*said, name]))

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[Pair]:
        return iter([*self.pairs])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self]!r})"


class BytesHeaders(Headers):
    """The same over pairs of bytes, with names in lower case as ASGI wants them."""

    __slots__ = ("fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Take pairs of bytes as they come; names may be in any case."""
        self.fields: list[tuple[bytes, bytes]] = [*fields]

    def get(self, name: str) -> str | None:
        """See `Headers.get`."""
        wanted = _encoded[name]
        for key, value in self.fields:
            if key == wanted or key.lower() == wanted:
                return value.decode("latin-1")
        return None

    def get_all(self, name: str) -> list[str]:
        """See `Headers.get_all`."""
        wanted = _encoded[name]
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == wanted]

    def add(self, name: str, value: str) -> None:
        """See `Headers.add`."""
        checked(name, value)
        self.fields.append((_encoded[name], value.encode("latin-1")))

    def set(self, name: str, value: str) -> None:
        """See `Headers.set`."""
        checked(name, value)
        self.remove(name)
        self.fields.append((_encoded[name], value.encode("latin-1")))

    def add_missing(self, pairs: Iterable[Pair]) -> None:
        """See `Headers.add_missing`."""
        there = {key.lower() for key, _ in self.fields}
        self.fields += [
            (key, value.encode("latin-1"))
            for key, value in ((_encoded[name], value) for name, value in pairs)
            if key not in there
        ]

    def remove(self, name: str) -> None:
        """See `Headers.remove`."""
        wanted = _encoded[name]
        if any(key.lower() == wanted for key, _ in self.fields):
            self.fields[:] = [pair for pair in self.fields if pair[0].lower() != wanted]

    def __iter__(self) -> Iterator[Pair]:
        return iter(
            [(key.decode("latin-1"), value.decode("latin-1")) for key, value in self.fields]
        )


class _Encoded(dict[str, bytes]):
    """Names as bytes in lower case; each made once."""

    def __missing__(self, name: str) -> bytes:
        made = name.lower().encode("latin-1")
        if len(self) < 1024:
            self[name] = made
        return made


_encoded = _Encoded()


def checked(name: str, value: str) -> Pair:
    """Return the pair if it can be sent.

    Raises:
        ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
    """
    if not _NAME(name):
        raise ValueError(f"{name!r} is no name of a header field")
    if _BAD(value) or not (value.isascii() or _is_latin1(value)):
        raise ValueError(f"the value of {name} cannot be sent: {value!r}")
    return name, value


def _is_latin1(value: str) -> bool:
    return all(character <= "\xff" for character in value)
