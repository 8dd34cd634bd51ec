"""What is known of a function without calling it: its kind, its parameters, where it stands.

What lives here: looking through partials, decorators, methods and instances, and the names that
messages have for a function. What must not: what a handler needs (plan.py).
"""

from __future__ import annotations

import inspect
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
