"""The lint of ASGI: what a scope, an event and a message hold.

What lives here: keys and their types, as the specification names them. What must not: their order
(lint_http.py, lint_websocket.py, lint_lifespan.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bare_serve.clauses import mistake
from bare_serve.testing.verdicts import SpecError

Test = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes)


def _is_bytes_or_none(value: Any) -> bool:
    return value is None or isinstance(value, bytes)


def _is_bool(value: Any) -> bool:
    return value is True or value is False


def _is_number(value: Any) -> bool:
    return isinstance(value, int)


def _is_namespace(value: Any) -> bool:
    return isinstance(value, dict)


def _is_extensions(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _is_version(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("version"), str)


def _is_address(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return False
    return isinstance(value[0], str) and (value[1] is None or isinstance(value[1], int))


def _are_headers(value: Any) -> bool:
    if not isinstance(value, (list, tuple)):  # another iterable: not to be used up here
        return hasattr(value, "__iter__") and not isinstance(value, (str, bytes, dict))
    try:
        for name, content in value:
            if not (isinstance(name, bytes) and isinstance(content, bytes)):
                return False
    except (TypeError, ValueError):
        return False
    return True


def _are_names(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(name, str) for name in value)
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes))


Keys = tuple[tuple[str, Test, str, bool], ...]
"""Each key, its test, what it must be in words, and whether it must be there."""

# The specification says that the key is there, and what holds where it is not.
_ASGI: Final = ("asgi", _is_version, "a dict with a 'version'", False)
_STATE: Final = ("state", _is_namespace, "a dict", False)
_COMMON: Final[Keys] = (
    _ASGI,
    ("http_version", _is_filled, "a str such as '1.1'", False),
    ("scheme", _is_filled, "a str that is not empty", False),
    ("path", _is_text, "a str", True),
    ("raw_path", _is_bytes_or_none, "bytes", False),
    ("root_path", _is_text, "a str", False),
    ("headers", _are_headers, "pairs of bytes", True),
    ("client", _is_address, "a pair of host and port, or None", False),
    ("server", _is_address, "a pair of host and port, or None", False),
    ("extensions", _is_extensions, "a dict", False),
    _STATE,
)
_SCOPES: Final[dict[str, Keys]] = {
    "http": (
        ("method", _is_filled, "a str that is not empty", True),
        ("query_string", _is_bytes, "bytes", True),
        *_COMMON,
    ),
    "websocket": (
        ("query_string", _is_bytes_or_none, "bytes", False),
        ("subprotocols", _are_names, "an iterable of str", False),
        *_COMMON,
    ),
    "lifespan": (_ASGI, _STATE),
}
_EVENTS: Final[dict[str, dict[str, Keys]]] = {
    "http": {
        "http.request": (
            ("body", _is_bytes, "bytes", False),
            ("more_body", _is_bool, "True or False", False),
        ),
        "http.disconnect": (),
    },
    "websocket": {
        "websocket.connect": (),
        "websocket.receive": (
            ("bytes", _is_bytes_or_none, "bytes", False),
            ("text", _is_text_or_none, "a str", False),
        ),
        "websocket.disconnect": (
            ("code", _is_number, "an int", False),
            ("reason", _is_text_or_none, "a str", False),
        ),
    },
    "lifespan": {"lifespan.startup": (), "lifespan.shutdown": ()},
}
_MISSING: Final = object()


def check_scope(scope: Any) -> str:
    """Return the type of a scope that is checked.

    Raises:
        SpecError: it is no dict, or a key is missing or of another type.
    """
    if not isinstance(scope, dict):
        raise SpecError("asgi-scope-dict", f"the scope is of type {type(scope).__name__}")
    kind = scope.get("type")
    if not isinstance(kind, str):
        raise SpecError("asgi-scope-dict", f"the scope has the type {kind!r}")
    for name, test, wanted, required in _SCOPES.get(kind, ()):
        value = scope.get(name, _MISSING)
        if value is _MISSING:
            if required:
                raise SpecError("asgi-scope-keys", f"the scope of type {kind!r} has no {name!r}")
        elif not test(value):
            got = f"{name!r} in the scope is {value!r}, and must be {wanted}"
            raise SpecError("asgi-scope-values", got)
    if kind == "http":
        method = scope["method"]
        if method != method.upper():
            raise SpecError("asgi-scope-method", f"the method is {method!r}")
    return kind


def check_event(event: Any, protocol: str) -> str:
    """Return the type of an event that is checked.

    Raises:
        SpecError: it is no event of this protocol, or a key is of another type.
    """
    kind = event.get("type") if isinstance(event, dict) else None
    keys = _EVENTS[protocol].get(kind) if isinstance(kind, str) else None
    if keys is None:
        got = f"receive gave {event!r} for a scope of type {protocol!r}"
        raise SpecError("asgi-event-dict", got)
    assert isinstance(kind, str)
    for name, test, wanted, _ in keys:
        value = event.get(name, _MISSING)
        if value is not _MISSING and not test(value):
            got = f"{name!r} of {kind!r} is of type {type(value).__name__}, and must be {wanted}"
            raise SpecError("asgi-event-values", got)
    if kind == "websocket.receive":
        given = [name for name in ("bytes", "text") if event.get(name) is not None]
        if len(given) != 1:
            got = f"'websocket.receive' has {' and '.join(given) or 'neither bytes nor text'}"
            raise SpecError("asgi-event-values", got)
    return kind


def type_of(message: Any) -> Any:
    """Return the type of a message.

    Raises:
        SpecError: it is no message at all.
    """
    if not isinstance(message, dict) or "type" not in message:
        got = f"send() wants a dict with a 'type', not {message!r}"
        raise SpecError("asgi-message-dict", got)
    return message["type"]


def pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    """Return headers as pairs, which are not checked further.

    Raises:
        ResponseError: they are none.
    """
    try:
        return [(name, value) for name, value in headers]
    except (TypeError, ValueError):
        got = f"'headers' must be (name, value) pairs of bytes, not {headers!r}"
        raise mistake("asgi-headers-pairs", got) from None
