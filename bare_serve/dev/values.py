"""Values of variables as an error page shows them: short, and without secrets.

What lives here: from a variable's name and value to one line of text. What must not: which
variables are shown (failure.py), which names are those of secrets (xray/redact.py).

A value is asked for its `repr`, which is code of the application's: whatever that raises is shown
as such, and values that load what they show are not asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from reprlib import Repr
from typing import Any, Final

from bare_serve.xray import redact

MOST: Final = 200
"""Characters of one value."""
_LOOKED_AT: Final = 4096
"""Characters of a value in which secrets are looked for."""
_MEMBER = re.compile(
    r"""(['"]?)([\w.-]{1,100})\1(=|: |, )(b?'(?:[^'\\]|\\.)*'?|b?"(?:[^"\\]|\\.)*"?)""", re.DOTALL
)
"""Name and value as classes write them: `name='x'`, `'name': 'x'`, `('name', 'x')`."""
_LOADS: Final = frozenset(("django.db.models.query",))
"""Modules of classes whose `repr` asks a database."""


class _Masking(Repr):
    """Bounds containers, and hides what stands under the name of a secret."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 8
        self.maxdeque = self.maxarray = 8
        self.maxlong = 80

    def repr_str(self, value: str, level: int) -> str:
        return _quoted(redact.text(value[:_LOOKED_AT]), len(value))

    def repr_bytes(self, value: bytes, level: int) -> str:
        text = redact.text(value[:_LOOKED_AT].decode("latin-1"))
        return _quoted(text.encode("latin-1", "replace"), len(value))

    def repr_bytearray(self, value: bytearray, level: int) -> str:
        return f"bytearray({self.repr_bytes(bytes(value[:_LOOKED_AT]), level)})"

    def repr_dict(self, value: Mapping[Any, Any], level: int) -> str:
        if not value:
            return "{}"
        if level <= 0:
            return "{...}"
        shown: list[str] = []
        for name in value:
            if len(shown) == self.maxdict:
                shown.append("...")
                break
            shown.append(f"{self.repr1(name, level - 1)}: {self._named(name, value[name], level)}")
        return f"{{{', '.join(shown)}}}"

    def repr_tuple(self, value: tuple[Any, ...], level: int) -> str:
        # A field of HTTP, as ASGI has it.
        if len(value) == 2 and isinstance(value[0], (str, bytes)) and level > 0:
            return f"({self.repr1(value[0], level - 1)}, {self._named(value[0], value[1], level)})"
        return super().repr_tuple(value, level)

    def _named(self, name: Any, value: Any, level: int) -> str:
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        if isinstance(name, str) and is_hidden(name, value):
            return _hidden(value)
        return self.repr1(value, level - 1)

    def repr_instance(self, value: Any, level: int) -> str:
        kind = type(value)
        if isinstance(value, Mapping):
            return f"{kind.__qualname__}({self.repr_dict(value, level)})"
        if kind.__module__ in _LOADS:
            return f"<{kind.__module__}.{kind.__qualname__}, which is not asked for its content>"
        text = _MEMBER.sub(_hide_member, redact.text(repr(value)[:_LOOKED_AT]))
        return text if len(text) <= MOST else f"{text[:MOST]}..."


_masking = _Masking()


def show(name: str, value: Any) -> str:
    """Return the value of a variable of this name, as one line of at most about `MOST` characters.

    Whatever `repr` of the value raises becomes a part of the line.
    """
    try:
        text = _hidden(value) if is_hidden(name, value) else _masking.repr(value)
    except BaseException as error:  # noqa: BLE001 (it is the application's code)
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__qualname__}>"
    text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return text if len(text) <= 2 * MOST else f"{text[: 2 * MOST]}..."


def is_hidden(name: str, value: Any) -> bool:
    """Return whether a value of this name is hidden: it is a secret's, and there is something."""
    return value is not None and not isinstance(value, bool) and redact.is_secret(name)


def _hidden(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return redact.hidden(value if isinstance(value, str) else value.decode("latin-1")) or "''"
    return f"<{type(value).__qualname__} hidden>"


def _hide_member(found: re.Match[str]) -> str:
    quote, name, between, value = found.groups()
    if not redact.is_secret(name) or (between == ", " and not quote):
        return found[0]
    return f"{quote}{name}{quote}{between}{redact.hidden(value.lstrip('b')[1:].rstrip(value[-1]))}"


def _quoted(text: str | bytes, length: int) -> str:
    if len(text) > MOST or length > _LOOKED_AT:
        return f"{text[:MOST]!r}... ({length} in all)"
    return repr(text)
