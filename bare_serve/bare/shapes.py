"""What a declared type accepts: text of a query or a form, and values of JSON.

What lives here: from a type to the function that checks and converts, made once, when a handler is
added. What must not: where the text or the value comes from (sources.py). A value that is not what
the type says is a 422 that names the place. A type that is not understood is a TypeError at
registration.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isinf
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from bare_serve.bare.errors import UnprocessableContent

Reader = Callable[[Any, str], Any]
"""From a value and its place, such as "body.title", to what the handler gets."""

_INT = re.compile(r"[+-]?[0-9]{1,19}").fullmatch
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_BOOLS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
SCALARS = (str, int, float, bool)


def wrong(where: str, expected: str, got: object) -> UnprocessableContent:
    """Return the answer to a value that is not what was declared."""
    shown = repr(got)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return UnprocessableContent(f"This must be {expected}, not {shown}.", where=where)


def optional(shape: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether it had it."""
    if get_origin(shape) in (Union, UnionType):
        rest = [each for each in get_args(shape) if each is not NoneType]
        if len(rest) < len(get_args(shape)):
            return (rest[0] if len(rest) == 1 else Union[tuple(rest)]), True  # noqa: UP007
    return shape, False


def text_reader(shape: Any) -> Reader:
    """Return the reader of text for str, int, float, bool, or a Literal of text.

    Raises:
        TypeError: the type is none of these.
    """
    if shape is str:
        return lambda text, where: text
    if shape is int:
        return _matching(_INT, int, "a whole number")
    if shape is float:
        return _matching(_FLOAT, _finite, "a number")
    if shape is bool:
        return _read_bool
    if get_origin(shape) is Literal and all(isinstance(each, str) for each in get_args(shape)):
        return _one_of(get_args(shape))
    raise TypeError(f"{name_of(shape)} cannot be read from text")


def _matching(fits: Callable[[str], Any], convert: Callable[[str], Any], expected: str) -> Reader:
    def read(text: str, where: str) -> Any:
        if not fits(text):
            raise wrong(where, expected, text)
        try:
            return convert(text)
        except ValueError:
            raise wrong(where, expected, text) from None

    return read


def _finite(value: Any) -> float:
    """Return a number that JSON has, which is no infinity: 1e999 is one in Python."""
    number = float(value)
    if isinf(number):
        raise ValueError
    return number


def _read_bool(text: str, where: str) -> bool:
    if (value := _BOOLS.get(text.lower())) is None:
        raise wrong(where, "true or false", text)
    return value


def _one_of(values: tuple[Any, ...]) -> Reader:
    expected = "one of " + ", ".join(map(repr, values))

    def read(value: Any, where: str) -> Any:
        # 1 == True == 1.0 for Python, and not for JSON.
        if not any(type(each) is type(value) and each == value for each in values):
            raise wrong(where, expected, value)
        return value

    return read


def value_reader(shape: Any, item: Callable[[Any], Reader] | None = None) -> Reader:
    """Return the reader of a JSON value: builtins, list[...], dict[str, ...], unions, Literal,
    dataclasses and TypedDict, with the types of their fields.

    `item` makes the readers of fields; those of JSON without it, those of text for a form.

    Raises:
        TypeError: the type is none of these.
    """
    item = item or value_reader
    if shape is Any or shape is object:
        return lambda value, where: value
    origin, arguments = get_origin(shape), get_args(shape)
    if shape in _EXPECTED:
        return _instance(shape)
    if origin is list:
        return _list_of(item(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _dict_of(item(arguments[1]))
    if origin is Literal:
        return _one_of(arguments)
    if origin in (Union, UnionType):
        return _union([value_reader(each) for each in arguments], name_of(shape))
    if is_typeddict(shape):
        return _object(dict, _fields(shape, item), _required(shape))
    if isinstance(shape, type) and hasattr(shape, "__dataclass_fields__"):
        from dataclasses import MISSING

        fields = {name: each for name, each in shape.__dataclass_fields__.items() if each.init}
        required = frozenset(
            name
            for name, each in fields.items()
            if each.default is MISSING and each.default_factory is MISSING
        )
        readers = {name: how for name, how in _fields(shape, item).items() if name in fields}
        return _object(shape, readers, required)
    raise TypeError(f"{name_of(shape)} cannot be read: a dataclass, a TypedDict or a builtin can")


_EXPECTED = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    NoneType: "null",
}


def _instance(shape: Any) -> Reader:
    accepted: Any = (int, float) if shape is float else shape
    is_number = shape in (int, float)

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, accepted) or (is_number and isinstance(value, bool)):
            raise wrong(where, _EXPECTED[shape], value)
        try:
            return _finite(value) if shape is float else value
        except (ValueError, OverflowError):
            raise wrong(where, "a number of 64 bits", value) from None

    return read


def _list_of(read_item: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise wrong(where, "a list", value)
        return [read_item(each, f"{where}[{index}]") for index, each in enumerate(value)]

    return read


def _dict_of(read_item: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise wrong(where, "an object", value)
        return {name: read_item(each, f"{where}.{name}") for name, each in value.items()}

    return read


def _union(readers: list[Reader], expected: str) -> Reader:
    def read(value: Any, where: str) -> Any:
        for each in readers:
            try:
                return each(value, where)
            except UnprocessableContent:
                continue
        raise wrong(where, expected, value)

    return read


def _fields(shape: Any, item: Callable[[Any], Reader]) -> dict[str, Reader]:
    try:
        hints = get_type_hints(shape)
    except NameError as error:
        raise TypeError(f"a field of {name_of(shape)} has an unknown type: {error}") from None
    return {name: item(hint) for name, hint in hints.items()}


def _required(shape: Any) -> frozenset[str]:
    """Return the keys that a TypedDict must have; its own list is wrong for annotations as text."""
    hints = get_type_hints(shape, include_extras=True)
    return frozenset(
        name
        for name, hint in hints.items()
        if get_origin(hint) is Required
        or (name in shape.__required_keys__ and get_origin(hint) is not NotRequired)
    )


def _object(
    make: Callable[..., Any], readers: dict[str, Reader], required: frozenset[str]
) -> Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise wrong(where, "an object", value)
        for name in required - value.keys():
            raise UnprocessableContent("This is missing.", where=f"{where}.{name}")
        for name in value.keys() - readers.keys():
            raise UnprocessableContent("This is not known here.", where=f"{where}.{name:.40}")
        found = {name: readers[name](each, f"{where}.{name}") for name, each in value.items()}
        try:
            return make(**found)
        except ValueError as error:  # a dataclass may check more in __post_init__
            raise UnprocessableContent(str(error), where=where) from None

    return read


def name_of(shape: Any) -> str:
    """Return how a type is written in messages."""
    return shape.__name__ if isinstance(shape, type) and not get_args(shape) else str(shape)
