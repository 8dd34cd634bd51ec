"""What a declared type accepts: text of a query or a form, and values of JSON.

What lives here: from a type to the function that checks and converts, made once, when a handler is
added. What must not: where the text or the value comes from (plan.py). A value that is not what the
type says is a 422 that names the place. A type that is not understood is a TypeError at
registration.
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
Leaves = dict[Any, Reader]
"""From a value and its place, such as "body.title", to what the handler gets."""

_INT = re.compile(r"[+-]?[0-9]{1,19}").fullmatch
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_BOOLS = {"true": True, "1": True, "yes": True, "on": True}
_BOOLS |= {"false": False, "0": False, "no": False, "off": False}
_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_EXPECTED |= {dict: "an object", list: "a list", NoneType: "null"}


def leaf(expected: str, convert: Callable[[Any], Any]) -> Reader:
    """Return the reader of values that `convert` takes, and refuses by an exception."""

    def read(value: Any, where: str) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError, LookupError, OverflowError):
            what = f"This must be {expected}, not {value!r:.80}."
            raise UnprocessableContent(what, where=where) from None

    return read


def exactly(kind: type, value: Any) -> Any:
    """Return a value of this class, and of none below: 1 is a float too for JSON, True is no int.

    An infinity is no number for JSON, and 1e999 is one for Python.
    """
    value = float(value) if kind is float and type(value) is int else value
    if type(value) is not kind or value in (inf, -inf):
        raise ValueError
    return value


JSON: Leaves = {kind: leaf(what, partial(exactly, kind)) for kind, what in _EXPECTED.items()}
JSON |= {Any: lambda value, where: value, object: lambda value, where: value}
"""The readers of JSON's values that have no parts."""
_PARSERS: dict[Any, Callable[[Any], Any]] = {
    int: lambda text: int(_INT(text)[0]),  # type: ignore[index]
    float: lambda text: exactly(float, float(_FLOAT(text)[0])),  # type: ignore[index]
    bool: lambda text: _BOOLS[text.lower()],
}
TEXT: Leaves = {kind: leaf(_EXPECTED[kind], parse) for kind, parse in _PARSERS.items()}
TEXT |= {str: JSON[str], NoneType: JSON[NoneType]}  # no text is None
"""The readers of text."""


def reader(shape: Any, leaves: Leaves, inner: Callable[[Any], Reader] | None) -> Reader:
    """Return the reader of a type: one of `leaves`, a Literal, a union of what can be read.

    `inner` makes the readers of what stands in a list, a dict, a dataclass or a TypedDict.

    Raises:
        TypeError: the type is none of these.
    """
    origin, parts = get_origin(shape), get_args(shape)
    if shape in leaves:
        return leaves[shape]
    if origin is typing.Literal and (inner or {*map(type, parts)} == {str}):
        known = {(type(each), each): each for each in parts}  # 1 == True == 1.0 for Python
        return leaf(f"one of {parts}", lambda value: known[type(value), value])
    if origin in (typing.Union, UnionType):
        ordered = sorted(parts, key=lambda each: each is not NoneType)
        return _any_of([reader(each, leaves, inner) for each in ordered], str(shape))
    if inner is not None:
        if origin is list:
            item = inner(parts[0])
            return lambda value, where: [
                item(each, f"{where}[{n}]") for n, each in enumerate(JSON[list](value, where))
            ]
        if origin is dict and parts[0] is str:
            item = inner(parts[1])
            return lambda value, where: {
                name: item(each, f"{where}.{name}")
                for name, each in JSON[dict](value, where).items()
            }
        if typing.is_typeddict(shape) or hasattr(shape, "__dataclass_fields__"):
            return _object(shape, inner)
    raise TypeError(f"{formatannotation(shape)} cannot be read{'' if inner else ' from text'}")


def json_reader(shape: Any) -> Reader:
    """Return the reader of a JSON value; TypeError as of `reader`."""
    try:
        return reader(shape, JSON, json_reader)
    except RecursionError:
        raise TypeError(f"{formatannotation(shape)} holds itself, which cannot be read") from None


def values_reader(shape: Any, leaves: Leaves = TEXT) -> Reader:
    """Return the reader of the values of one name: all of them for a list, else the first."""
    parts = [each for each in (shape, *get_args(shape)) if get_origin(each) is list]
    if parts:
        item = reader(get_args(parts[0])[0], leaves, None)
        return lambda values, where: [item(each, where) for each in values]
    read = reader(shape, leaves, None)
    return lambda values, where: read(values[0], where)


def _any_of(readers: list[Reader], expected: str) -> Reader:
    def convert(value: Any) -> Any:
        for read in readers:
            try:
                return read(value, "")
            except UnprocessableContent:
                continue
        raise ValueError

    return leaf(expected, convert)


def _object(shape: Any, inner: Callable[[Any], Reader]) -> Reader:
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
    readers = {name: inner(hint) for name, hint in hints.items()}

    def read(value: Any, where: str) -> Any:
        for name in sorted(required - JSON[dict](value, where).keys()):
            raise UnprocessableContent("This is missing.", where=f"{where}.{name}")
        for name in sorted(value.keys() - readers.keys()):
            raise UnprocessableContent("This is not known here.", where=f"{where}.{name:.40}")
        found = {name: readers[name](each, f"{where}.{name}") for name, each in value.items()}
        try:
            return make(**found)
        except ValueError as error:  # a dataclass may check more in __post_init__
            raise UnprocessableContent(str(error), where=where) from None

    return read
