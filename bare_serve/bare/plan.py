"""A plan is made once: which arguments a handler gets, from which sources, in which order.

What lives here: the markers of `Annotated`, where each argument comes from, which providers run
before a handler, and what is known of a function without calling it. What must not: how a plan is
run (calls.py), what a type accepts (shapes.py). What a handler needs and nothing provides, what is
needed twice in contradiction, and circles are a `TypeError` that names handler, parameter, file and
line, when the handler is added.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from inspect import Parameter, formatannotation
from operator import attrgetter
from typing import Any, NamedTuple

from bare_serve.bare.errors import UnprocessableContent
from bare_serve.bare.forms import Form
from bare_serve.bare.incoming import Incoming
from bare_serve.bare.request import BYTES, FORM, NONE, PATH, REQUEST, Request, json_of
from bare_serve.bare.router import CONVERTERS
from bare_serve.bare.shapes import TEXT, json_reader, without_none

Getter = Callable[[Any], Any]
"""From a request to an argument."""
Arguments = tuple[tuple[str, Getter], ...]
_UNSAID = (Parameter.empty, Any)

PLAIN, GENERATOR, ASYNC, ASYNC_GENERATOR = range(4)
"""The four kinds of functions."""


class Use:
    """`Annotated[T, Use(provider)]`: the argument is what `provider` returns, or yields.

    A provider is a function, a generator function whose rest is run after the handler, or the async
    form of one. Its own parameters are declared like a handler's. It runs once a request.
    """

    def __init__(self, provider: Callable[..., Any]) -> None:
        """Have `provider` called, once a request."""
        self.provider = provider


class Json:
    """`Annotated[T, Json]`: the argument is the body's JSON, of which `T` says what is accepted."""


class Plan(NamedTuple):
    """All that a call needs: of a handler with its providers, by their keys, or of one of these."""

    handler: Callable[..., Any]
    kind: int
    arguments: Arguments
    steps: dict[Any, Plan] = {}  # noqa: RUF012 - nobody changes it
    body: int = NONE
    """What it needs of one."""


class Planner:
    """Plans one handler, given the path's parameters with their converters, the class of what
    comes in, and what runs in the place of providers."""

    def __init__(self, kinds: dict[str, str], incoming: type, overrides: Any) -> None:
        self._kinds, self._incoming, self._overrides = kinds, incoming, overrides
        self._steps: dict[Any, Plan] = {}
        self._within: list[Any] = []
        self._bodies: set[int] = set()

    def plan(self, handler: Callable[..., Any]) -> Plan:
        """Plan a handler; TypeError as above."""
        kind, arguments = kind_of(handler), self._arguments(handler)
        for step in self._steps.values():
            if step.kind >= ASYNC > kind:
                what = f"{described(handler)} is def, and its provider {described(step.handler)} "
                raise TypeError(what + "is async: a call runs on one thread, make both async")
        if len(arguments) < len(self._kinds):
            self._bodies.add(NONE)
        return Plan(handler, kind, arguments, self._steps, max(self._bodies, default=PATH))

    def _arguments(self, function: Callable[..., Any]) -> Arguments:
        """Return the getters of a function's arguments, its providers planned before it."""
        found, has_body = [], False
        for each in parameters_of(function):
            try:
                getter, body = self._source(each.name, self._shape(function, each), each.default)
                if body >= BYTES and (has_body or self._bodies & {BYTES, FORM} - {body}):
                    raise TypeError("is the body, and so is another one: one type says what it is")
                if isinstance(getter, Use):
                    getter = self._provided(getter.provider)
            except (NameError, RecursionError, TypeError) as error:
                what = f"{described(function)}: the parameter {each.name!r} {error}"
                raise TypeError(what) from None
            has_body = has_body or body >= BYTES
            self._bodies.add(body)
            found.append((each.name, getter))
        return tuple(found)

    def _provided(self, key: Callable[..., Any]) -> Getter:
        if key in self._within:
            circle = " needs ".join(described(each) for each in [*self._within, key])
            raise TypeError(f"providers need each other in a circle: {circle}")
        if key not in self._steps:
            function = self._overrides.get(key, key)
            self._within.append(key)
            self._steps[key] = Plan(function, kind_of(function), self._arguments(function))
            self._within.pop()
        return lambda request: request.provided[key]

    def _shape(self, function: Callable[..., Any], parameter: Parameter) -> Any:
        """Return the annotation of a parameter, evaluated if it is text."""
        shape = parameter.annotation
        if not isinstance(shape, str):
            return shape
        try:
            return eval(shape, getattr(unwrapped(function), "__globals__", {}))
        except Exception as error:  # noqa: BLE001 - an annotation may hold any expression
            raise TypeError(f"has the annotation {shape!r}, which raises {error!r}") from None

    def _source(self, name: str, shape: Any, default: Any) -> tuple[Any, int]:
        """Return how an argument is got, or the `Use` of its provider; and its need of a body.

        Raises:
            TypeError: nothing provides it; the message tells what could.
        """
        for mark in getattr(shape, "__metadata__", ()):  # of Annotated
            kind = mark if isinstance(mark, type) else type(mark)
            if mark is Use:
                raise TypeError("has Use without a provider: write Use(provider)")
            if kind is Use:
                return mark, NONE
            if kind is Json:
                return _of_json(shape.__origin__), BYTES
        shape = shape.__origin__ if hasattr(shape, "__metadata__") else shape
        if name in self._kinds:
            return _of_path(name, shape, CONVERTERS[self._kinds[name]][2])
        is_request = issubclass(self._incoming, Request)
        if shape in _UNSAID and name in (("request",) if is_request else ("ws", "websocket")):
            shape = self._incoming
        if isinstance(shape, type) and issubclass(shape, Incoming):
            if not issubclass(self._incoming, shape):
                raise TypeError(f"is a {shape.__name__}, which is not what this handler gets")
            return lambda request: request, REQUEST
        if shape is Form:
            return attrgetter("form"), FORM
        if shape is bytes and name == "body":
            return attrgetter("content"), BYTES
        return _of_query(name, shape, default), NONE


def _of_json(shape: Any) -> Getter:
    try:
        read = json_reader(shape)
    except RecursionError:
        raise TypeError("has a type that holds itself: take a dict, and read it") from None
    return lambda request: read(json_of(request), "body")


def _of_path(name: str, shape: Any, kind: str) -> tuple[Getter, int]:
    said = getattr(shape, "__name__", "")
    if shape not in _UNSAID and said != kind:
        fitting = {"int": f"write {{{name}:int}}", "UUID": f"write {{{name}:uuid}}"}
        raise TypeError(
            f"is {formatannotation(shape)}, but the path gives {kind}: "
            + fitting.get(said, "change one of them")
        )
    return lambda request: request.path_params[name], PATH


def _of_query(name: str, shape: Any, default: Any) -> Getter:
    kind, is_optional = without_none(shape)
    if kind not in TEXT:
        untyped = shape is Parameter.empty
        what = "has no annotation" if untyped else f"is {formatannotation(shape)}"
        raise TypeError(
            f"{what}, and is not in the path: Request, str, int, float or bool (the query), "
            "Annotated[..., Use(provider)], Annotated[..., Json] and Form are sources"
        )
    read, where = TEXT[kind], f"query.{name}"
    if default is Parameter.empty and is_optional:
        default = None

    def get(request: Any) -> Any:
        values = request.query_params.get(name)
        if values is not None:
            return read(values[0], where)
        if default is Parameter.empty:
            raise UnprocessableContent("This is missing.", where=where)
        return default

    return get


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters that a call by keywords has to fill.

    Raises:
        TypeError: the function takes anything, or one by position only.
    """
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        raise TypeError(f"{function!r} does not tell what it takes: wrap it in a lambda") from None
    for each in parameters:
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            what = f"takes {each.name!r}, which is {each.kind.description}: each is given by name"
            raise TypeError(f"{described(function)} {what}; decorators use functools.wraps")
    return parameters


def unwrapped(function: Any) -> Any:
    """Return the function that is called in the end."""
    function = inspect.unwrap(function)
    if isinstance(function, partial):
        return unwrapped(function.func)
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not hasattr(function, "__code__"):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def kind_of(function: Any) -> int:
    """Return which of the four kinds a function is; decorators are not looked through."""
    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = getattr(function, "__call__", function)  # noqa: B004
    if inspect.isasyncgenfunction(function):
        return ASYNC_GENERATOR
    if inspect.iscoroutinefunction(function):
        return ASYNC
    return GENERATOR if inspect.isgeneratorfunction(function) else PLAIN


def is_async(function: Any) -> bool:
    """Return whether a function, or one that a decorator such as contextlib's wraps, is async."""
    return max(kind_of(function), kind_of(unwrapped(function))) >= ASYNC


def place_of(function: Any) -> str:
    """Return "file:line" of a function, or "?" where there is none."""
    code = getattr(unwrapped(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "?"


def described(function: Any) -> str:
    """Return how messages call a function: its name, file and line."""
    return f"{getattr(function, '__qualname__', repr(function))}() in {place_of(function)}"
