"""What foreign code says in shared memory, made fit for a terminal.

What lives here: texts, and the facts of a master. What must not: numbers (snapshot.py).
"""

from __future__ import annotations

import json
from typing import Any, Final

_KINDS: Final = {"addresses": list, "settings": dict}
"""What these facts are, wherever there are any."""


def printable(text: str) -> str:
    """Return a text in which nothing ends the line or moves a cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def facts(text: bytes) -> dict[str, Any]:
    """Return what a master says of itself; nothing if it is being written."""
    try:
        found = _fit(json.loads(text)) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: value for name, value in found.items() if isinstance(value, _KINDS.get(name, object))
    }


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_fit(each) for each in value]
    if isinstance(value, dict):
        return {printable(name): _fit(each) for name, each in value.items()}
    return value
