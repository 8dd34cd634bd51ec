"""JSON that is always JSON: UTF-8, no NaN, and values of the standard library as text.

What lives here: how an answer becomes JSON. What must not: how a body is read (request.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

_AS_TEXT: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("uuid", "UUID"): str,
    ("decimal", "Decimal"): str,
    ("datetime", "datetime"): lambda value: value.isoformat(),
    ("datetime", "date"): lambda value: value.isoformat(),
    ("datetime", "time"): lambda value: value.isoformat(),
}


def _default(value: Any) -> Any:
    """Return what stands for a value that `json` does not know."""
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        return {name: getattr(value, name) for name in fields}
    for (module, name), convert in _AS_TEXT.items():
        # A value of a class whose module is not loaded cannot exist: nothing is imported.
        if (loaded := sys.modules.get(module)) is not None:
            if isinstance(value, getattr(loaded, name)):
                return convert(value)
    if callable(getattr(value, "keys", None)):  # a mapping, and a row of sqlite3
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - a row iterates values
    if hasattr(value, "_value_") and hasattr(value, "_name_"):  # a member of an enumeration
        return value._value_
    raise TypeError(f"a value of type {type(value).__name__} has no JSON: {value!r:.80}")


_ENCODER = json.JSONEncoder(
    default=_default, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)
_ASCII = json.JSONEncoder(default=_default, allow_nan=False, separators=(",", ":"))
_encode = _ENCODER.encode


def dump_json(data: Any) -> bytes:
    """Return `data` as JSON in UTF-8.

    Raises:
        TypeError: it holds a value without JSON.
        ValueError: it holds NaN or an infinity, or itself.
    """
    text = _encode(data)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, as a client may send it escaped
        return _ASCII.encode(data).encode("ascii")
