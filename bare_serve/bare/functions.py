"""What is known of a function without calling it: its kind, its parameters, where it stands.

What lives here: looking through partials, decorators, methods and instances, and the names that
messages have for a function. What must not: what a handler needs (plan.py).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

PLAIN, GENERATOR, ASYNC, ASYNC_GENERATOR = range(4)
"""The four kinds of functions."""


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters that a call by keywords has to fill.

    Raises:
        TypeError: the function takes anything, or one by position only.
    """
    found = []
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise TypeError(f"{function!r} does not tell what it takes: wrap it in a lambda") from None
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"{described(function)} takes *{parameter.name}, so what it needs cannot be seen: "
                "a decorator should use functools.wraps"
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"{described(function)}: the parameter {parameter.name!r} can be given by position "
                "only, and arguments are given by name"
            )
        found.append(parameter)
    return found


def unwrapped(function: Any) -> Any:
    """Return the function that is called in the end."""
    while True:
        if isinstance(function, partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(function, type):
            function = function.__init__  # type: ignore[misc]
        elif hasattr(function, "__func__"):
            function = function.__func__
        elif not hasattr(function, "__code__") and callable(function):
            call = type(function).__call__
            if not hasattr(call, "__code__"):
                return function
            function = call
        else:
            return function


def kind_of(function: Any) -> int:
    """Return which of the four kinds a function is."""
    seen = function if isinstance(function, type) else _called(function)
    if inspect.isasyncgenfunction(seen):
        return ASYNC_GENERATOR
    if inspect.iscoroutinefunction(seen):
        return ASYNC
    return GENERATOR if inspect.isgeneratorfunction(seen) else PLAIN


def _called(function: Any) -> Any:
    """Return what a call runs: an instance's `__call__`; decorators are not looked through."""
    while isinstance(function, partial):
        function = function.func
    return function if hasattr(function, "__code__") else getattr(function, "__call__", function)  # noqa: B004


def is_async(function: Any) -> bool:
    """Return whether a function, or one that a decorator such as contextlib's wraps, is async."""
    return kind_of(function) in (ASYNC, ASYNC_GENERATOR) or kind_of(unwrapped(function)) in (
        ASYNC,
        ASYNC_GENERATOR,
    )


def place_of(function: Any) -> str:
    """Return "file:line" of a function, or its module where there is no line."""
    code = getattr(unwrapped(function), "__code__", None)
    if code is None:
        return str(getattr(function, "__module__", "?"))
    return f"{code.co_filename}:{code.co_firstlineno}"


def described(function: Any) -> str:
    """Return how messages call a function: its name, file and line."""
    name = getattr(unwrapped(function), "__qualname__", None) or repr(function)
    return f"{name}() in {place_of(function)}"


def local_names(function: Any) -> dict[str, Any]:
    """Return the local names of the running function that has defined this one, if there is one.

    An annotation that is text may name what is no global: a class, or a provider, of a test.
    """
    code = getattr(unwrapped(function), "__code__", None)
    frame: Any = sys._getframe(1)
    while frame is not None:
        if code in frame.f_code.co_consts and frame.f_locals is not frame.f_globals:
            return {**frame.f_locals}
        frame = frame.f_back
    return {}
