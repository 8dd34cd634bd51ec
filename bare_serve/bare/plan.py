"""A plan is made once: which arguments a handler gets, from which providers, in which order.

What lives here: planning (`make_plan`). What must not: where one argument comes from (sources.py),
and how a plan is run (calls.py). What a handler needs and nothing provides, what is needed twice in
contradiction, and circles are a `TypeError` that names handler, parameter, file and line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bare_serve.bare.functions import (
    ASYNC,
    ASYNC_GENERATOR,
    described,
    kind_of,
    parameters_of,
    unwrapped,
)
from bare_serve.bare.request import Request
from bare_serve.bare.sources import (
    FORM,
    NONE,
    OF_BODY,
    OF_PATH,
    OF_REQUEST,
    Getter,
    Source,
    source,
)
from bare_serve.bare.templates import Segment


class Step(NamedTuple):
    """A provider, and the getters of its arguments by name."""

    key: Callable[..., Any]
    function: Callable[..., Any]
    kind: int
    arguments: tuple[tuple[str, Getter], ...]


class Plan(NamedTuple):
    """All that a call needs.

    `runs_on_loop`: the handler is async, so the whole call runs on an event loop; `direct`: the
    arguments are exactly the parameters of the path.
    """

    handler: Callable[..., Any]
    kind: int
    arguments: tuple[tuple[str, Getter], ...]
    steps: tuple[Step, ...]
    body: int
    runs_on_loop: bool
    direct: bool


def make_plan(
    handler: Callable[..., Any],
    segments: list[Segment],
    incoming: type = Request,
    overrides: Mapping[Any, Callable[..., Any]] | None = None,
    names: Mapping[str, Any] | None = None,
) -> Plan:
    """Plan the arguments of a handler.

    Args:
        handler: what is called.
        segments: of the route's template.
        incoming: `Request`, or the class of WebSockets.
        overrides: providers, and what runs in their place.
        names: local names of the place where the handler is defined, for its annotations.

    Raises:
        TypeError: see above.
    """
    maker = _Maker(segments, incoming, overrides or {}, names or {})
    kind = kind_of(handler)
    arguments = maker.arguments(handler)
    on_loop = kind in (ASYNC, ASYNC_GENERATOR)
    for step in maker.steps:
        if step.kind in (ASYNC, ASYNC_GENERATOR) and not on_loop:
            raise TypeError(
                f"{described(handler)} is a plain function, but its provider "
                f"{described(step.function)} is async: a call runs on one thread, so make the "
                "handler async def, or the provider def"
            )
    in_path = {name for segment in segments for name in segment.names}
    for name in in_path - maker.taken:
        if not maker.has_request:
            raise TypeError(f"{described(handler)} takes no parameter {name!r}, which the path has")
    return Plan(
        handler=handler,
        kind=kind,
        arguments=arguments,
        steps=tuple(maker.steps),
        body=maker.body,
        runs_on_loop=on_loop,
        direct=maker.direct and not maker.steps and {name for name, _ in arguments} == in_path,
    )


class _Maker:
    """One planning: the providers found so far, in the order in which they run."""

    def __init__(
        self,
        segments: list[Segment],
        incoming: type,
        overrides: Mapping[Any, Callable[..., Any]],
        names: Mapping[str, Any],
    ) -> None:
        self.steps: list[Step] = []
        self.body = NONE
        self.taken: set[str] = set()
        self.has_request = False
        self.direct = True
        self._path = {
            name: converter
            for segment in segments
            for name, converter in zip(segment.names, segment.converters, strict=True)
        }
        self._incoming = incoming
        self._overrides = overrides
        self._names = names
        self._within: list[Any] = []
        self._body_of: int | None = None

    def arguments(self, function: Callable[..., Any]) -> tuple[tuple[str, Getter], ...]:
        """Return the getters of a function's arguments, its providers planned before it."""
        found: list[tuple[str, Source]] = []
        for parameter in parameters_of(function):
            shape = self._resolved(function, parameter)
            try:
                where = source(
                    parameter.name,
                    shape,
                    parameter.default,
                    inspect.Parameter.empty,
                    self._path,
                    self._incoming,
                )
            except TypeError as error:
                raise TypeError(
                    f"{described(function)}: the parameter {parameter.name!r} {error}"
                ) from None
            if where.of == OF_BODY and OF_BODY in (each.of for _, each in found):
                raise TypeError(
                    f"{described(function)}: the parameter {parameter.name!r} is the body, and so "
                    "is another one: one type says what a body is"
                )
            found.append((parameter.name, where))
        return tuple((name, self._getter(function, name, where)) for name, where in found)

    def _getter(self, function: Callable[..., Any], name: str, found: Source) -> Getter:
        if found.of == OF_BODY:
            if self._body_of is not None and (self._body_of == FORM) != (found.body == FORM):
                raise TypeError(
                    f"{described(function)}: the parameter {name!r} needs the body, which is "
                    "needed otherwise too: a form is read as it comes, and is not kept as bytes"
                )
            self._body_of = found.body
        self.body = max(self.body, found.body)
        self.direct = self.direct and found.of == OF_PATH
        self.has_request = self.has_request or found.of == OF_REQUEST
        if name in self._path:
            self.taken.add(name)
        if found.provider is not None:
            return self._provided(found.provider)
        assert found.get is not None
        return found.get

    def _provided(self, key: Callable[..., Any]) -> Getter:
        if key in self._within:
            circle = " needs ".join(described(each) for each in [*self._within, key])
            raise TypeError(f"providers need each other in a circle: {circle}")
        if all(step.key is not key for step in self.steps):
            function = self._overrides.get(key, key)
            self._within.append(key)
            arguments = self.arguments(function)
            self._within.pop()
            self.steps.append(Step(key, function, kind_of(function), arguments))
        return lambda request, values: values[key]

    def _resolved(self, function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
        """Return the annotation of a parameter, evaluated if it is text."""
        shape = parameter.annotation
        if not isinstance(shape, str):
            return shape
        inner = unwrapped(function)
        try:
            return eval(shape, getattr(inner, "__globals__", {}), dict(self._names))
        except Exception as error:  # noqa: BLE001 - an annotation may hold any expression
            raise TypeError(
                f"{described(function)}: the annotation {shape!r} of the parameter "
                f"{parameter.name!r} cannot be evaluated: {type(error).__name__}: {error}"
            ) from None
