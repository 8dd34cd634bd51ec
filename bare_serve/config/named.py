"""How one middleware is written in settings: texts, tables, objects.

What lives here: from what was written to a name and its options, and how that is shown. What must
not: which middleware there is and what its values mean (server/middleware.py).

    NAME    NAME:key=value,key=value    module:attribute:key=value

A piece without an equals sign goes on with the list of the key before it. In files a table says
the same: { name = "gzip", minimum-size = "1KiB" }. Imported only where a setting names one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from bare_serve.config.kinds import HIDDEN
from bare_serve.errors import UsageError

_SECRET = re.compile("user|token|passw|secret|key|credential", re.IGNORECASE)
_HOW = "write NAME, NAME:key=value,key=value or module:attribute"


class Named(NamedTuple):
    """A middleware as the settings name it."""

    name: str
    """One of the table of middleware, or module:attribute."""
    options: tuple[tuple[str, tuple[object, ...]], ...] = ()
    """Each key with its values: texts, or what a file has."""
    made: object = None
    """The middleware itself, if a program has given it."""

    def __str__(self) -> str:
        """As it is written, without what may be secret."""
        said = [f"{key}={_shown(key, values)}" for key, values in self.options]
        return f"{self.name}:{','.join(said)}" if said else self.name


def _shown(key: str, values: tuple[object, ...]) -> str:
    return HIDDEN if _SECRET.search(key) else ",".join(map(str, values))


def read_named(raw: object) -> Named:
    if isinstance(raw, Named):
        return raw
    if isinstance(raw, str):
        return _of_text(raw.strip())
    if isinstance(raw, Mapping):
        return _of_table(raw)
    if callable(raw) or callable(getattr(raw, "begin", None)):
        name = getattr(raw, "__qualname__", type(raw).__qualname__)
        return Named(name, made=raw)
    raise UsageError(f"a middleware is a text or a table, not {type(raw).__name__}; {_HOW}")


def _of_text(text: str) -> Named:
    name, _, rest = text.partition(":")
    attribute, colon, behind = rest.partition(":")
    if rest and "=" not in attribute:
        name, rest = f"{name}:{attribute}", behind
        if colon and not rest:
            raise UsageError(f"there is nothing behind the colon of {name}; {_HOW}")
    if not name or not name.isprintable() or any(character.isspace() for character in name):
        raise UsageError(f"{name!r} names no middleware; {_HOW}")
    options: list[tuple[str, list[object]]] = []
    for piece in rest.split(",") if rest else ():
        key, equals, value = piece.partition("=")
        if equals and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", key):
            options.append((key, [value]))
        elif options:
            options[-1][1].append(piece)
        else:
            raise UsageError(f"{name}: options are written key=value")
    return Named(name, tuple((key, tuple(values)) for key, values in options))


def _of_table(table: Mapping[str, object]) -> Named:
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise UsageError('a table of a middleware has its name, as in { name = "gzip", level = 9 }')
    if "=" in name:
        raise UsageError(f"{name.partition(':')[0]}: in a table options are keys of their own")
    options = []
    for key, value in table.items():
        if key != "name":
            options.append((key, tuple(value) if isinstance(value, list | tuple) else (value,)))
    return Named(name.strip(), tuple(options))
