"""JSON that is always JSON: UTF-8, no NaN, and values of the standard library as text.

What lives here: how an answer becomes JSON. What must not: how a body is read (request.py).
"""

from __future__ import annotations

import json
from typing import Any


def _default(value: Any) -> Any:
    """Return what stands for a value that `json` does not know."""
    kind = type(value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if kind.__module__ in ("uuid", "decimal"):
        return str(value)
    if kind.__module__ == "datetime" and hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "keys"):  # a mapping, and a row of sqlite3
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - a row iterates values
    if hasattr(value, "_value_"):  # a member of an enumeration
        return value._value_
    raise TypeError(f"a value of type {kind.__name__} has no JSON: {value!r:.80}")


_encode = json.JSONEncoder(
    default=_default, ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


def dump_json(data: Any) -> bytes:
    """Return `data` as JSON in UTF-8.

    Raises:
        TypeError: it holds a value without JSON.
        ValueError: it holds NaN or an infinity, or itself.
    """
    # Half of a surrogate pair, as a client may send it escaped, is escaped again.
    return _encode(data).encode("utf-8", "backslashreplace")
