"""What a declared type accepts: text of a query or a path, and values of JSON.

What lives here: from a type to the function that checks and converts, made once, when a handler is
added. What must not: where the text or the value comes from (plan.py). A value that is not what the
type says is a 422 that names the place. A type that is not understood is a TypeError at
registration: a provider (`Use`) may check whatever else a value has to be.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from functools import partial
from inspect import formatannotation, signature
from math import inf
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from bare_serve.bare.errors import UnprocessableContent

Reader = Callable[[Any, str], Any]
"""From a value and its place, such as "body.title", to what the handler gets."""

_INT = re.compile(r"[+-]?[0-9]{1,19}").fullmatch
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_BOOLS = {"true": True, "1": True, "yes": True, "on": True}
_BOOLS |= {"false": False, "0": False, "no": False, "off": False}
_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_EXPECTED |= {dict: "an object", list: "a list", NoneType: "null"}


def _leaf(kind: type, convert: Callable[[Any], Any]) -> Reader:
    """Return the reader of values that `convert` takes, and refuses by an exception."""

    def read(value: Any, where: str) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError, LookupError, OverflowError):
            what = f"This must be {_EXPECTED[kind]}, not {value!r:.80}."
            raise UnprocessableContent(what, where=where) from None

    return read


def _exactly(kind: type, value: Any) -> Any:
    """Return a value of this class, and of none below: 1 is a float too for JSON, True is no int.

    An infinity is no number for JSON, and 1e999 is one for Python.
    """
    value = float(value) if kind is float and type(value) is int else value
    if type(value) is not kind or value in (inf, -inf):
        raise ValueError
    return value


_JSON: dict[Any, Reader] = {kind: _leaf(kind, partial(_exactly, kind)) for kind in _EXPECTED}
_JSON[Any] = lambda value, where: value
_PARSERS: dict[Any, Callable[[Any], Any]] = {
    str: str,
    int: lambda text: int(_INT(text)[0]),  # type: ignore[index]
    float: lambda text: _exactly(float, float(_FLOAT(text)[0])),  # type: ignore[index]
    bool: lambda text: _BOOLS[text.lower()],
}
TEXT: dict[Any, Reader] = {kind: _leaf(kind, parse) for kind, parse in _PARSERS.items()}
"""The readers of text."""


def without_none(shape: Any) -> tuple[Any, bool]:
    """Return `T` of `T | None`, and whether it was that."""
    parts = [each for each in get_args(shape) if each is not NoneType]
    is_optional = get_origin(shape) in (typing.Union, UnionType) and len(parts) == 1
    return (parts[0], True) if is_optional else (shape, False)


def json_reader(shape: Any) -> Reader:
    """Return the reader of a JSON value: a builtin, a dataclass, a TypedDict, a list, `T | None`.

    Raises:
        TypeError: the type is none of these.
    """
    inner, is_optional = without_none(shape)
    if is_optional:
        read = json_reader(inner)
        return lambda value, where: None if value is None else read(value, where)
    if shape in _JSON:
        return _JSON[shape]
    if get_origin(shape) is list:
        item = json_reader(*get_args(shape))
        return lambda value, where: [
            item(each, f"{where}[{n}]") for n, each in enumerate(_JSON[list](value, where))
        ]
    if typing.is_typeddict(shape) or hasattr(shape, "__dataclass_fields__"):
        return _object(shape)
    raise TypeError(f"is {formatannotation(shape)}, which cannot be read: Use(provider) can")


def _object(shape: Any) -> Reader:
    hints = typing.get_type_hints(shape)
    if typing.is_typeddict(shape):
        # Where annotations are text, `__required_keys__` knows of no marks.
        marked = typing.get_type_hints(shape, include_extras=True)
        marks = {name: get_origin(hint) for name, hint in marked.items()}
        required = {name for name, mark in marks.items() if mark is typing.Required}
        required |= {n for n in shape.__required_keys__ if marks[n] is not typing.NotRequired}
        make: Any = dict
    else:
        parameters = signature(shape).parameters
        required = {name for name, each in parameters.items() if each.default is each.empty}
        hints, make = {name: hints[name] for name in parameters}, shape
    readers = {name: json_reader(hint) for name, hint in hints.items()}

    def read(value: Any, where: str) -> Any:
        for name in sorted(required - _JSON[dict](value, where).keys()):
            raise UnprocessableContent("This is missing.", where=f"{where}.{name}")
        for name in sorted(value.keys() - readers.keys()):
            raise UnprocessableContent("This is not known here.", where=f"{where}.{name:.40}")
        found = {name: readers[name](each, f"{where}.{name}") for name, each in value.items()}
        try:
            return make(**found)
        except ValueError as error:  # a dataclass may check more in __post_init__
            raise UnprocessableContent(str(error), where=where) from None

    return read
