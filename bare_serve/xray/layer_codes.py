"""What a piece of code can be: a layer, code of the user's that a framework calls, or neither.

Most of it is decided once for each code object, from its file and its parameters; whether a call
is a layer's is then decided by what it is passed.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from bare_serve.xray.layer_tree import Label

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_DEMO = f"{_PACKAGE}app{os.sep}demo.py"
_TESTING = _PACKAGE + "testing" + os.sep
_STDLIB = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 (as code objects have it)
_INSTALLED = ("site-packages", "dist-packages")

_MIDDLEWARE = ("__call__", "__acall__")
"""What Django calls of a middleware that is an object with `get_response`."""

_METHODS_OF_ANSWERS = (
    *_MIDDLEWARE,
    *("__iter__", "__next__", "__aiter__", "__anext__", "__await__"),
)
"""Methods with double underscores that count as code of the user's."""

CHANCES = 8
"""So many calls with other arguments prove that code with fitting parameters is no layer."""

_MOST_NAMES = 10_000
"""So many names are remembered in all."""

_MOST_CLASSES = 100
"""Of so many classes the names are remembered for one method; an application may make new ones."""

IDLE_CALLS = 1000
"""So many calls outside of requests prove that code of the user's answers none."""


class Code:
    """What is known of one code object."""

    __slots__ = (
        *("arguments", "chances", "code", "entry", "given", "hopeless", "idle", "is_layer"),
        *("is_method", "label", "labels", "may_be_layer", "may_be_middleware", "users"),
        *("varargs", "watched"),
    )

    def __init__(self, code: CodeType) -> None:
        self.code = code
        kind = _kind(code.co_filename)
        self.users = kind == "user"
        self.arguments = code.co_varnames[: code.co_argcount]
        self.varargs = (
            code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
            if code.co_flags & inspect.CO_VARARGS
            else ""
        )
        named = code.co_flags & inspect.CO_NEWLOCALS and code.co_flags & inspect.CO_OPTIMIZED
        dunder = code.co_name.startswith("__") and code.co_name.endswith("__")
        plain = not dunder or code.co_name in _METHODS_OF_ANSWERS
        called = bool(kind and named and plain)
        count = code.co_argcount
        self.may_be_layer = called and (bool(self.varargs) or 2 <= count <= 4)
        self.may_be_middleware = called and count == 2 and code.co_name in _MIDDLEWARE
        self.entry: bool | None = None if called and self.users else False
        """Whether frameworks call this code of the user's; None as long as that is not known."""
        self.is_method = bool(self.arguments) and _is_method(code)
        self.is_layer = False
        self.given = ""
        """The parameter of a layer that is its environ or its scope."""
        self.chances = CHANCES
        self.idle = IDLE_CALLS
        self.label: Label | None = None
        """The name, if it is the same for each call."""
        self.labels: dict[type, Label] = {}
        self.watched = False
        self.hopeless = False
        """Whether no call of this code can be in a tree."""
        self.judge()

    def judge(self) -> None:
        """Draw the conclusion from what is known."""
        hope = self.is_layer or self.may_be_layer or self.may_be_middleware
        self.hopeless = not hope and self.entry is False

    def is_for_all(self, owner: type) -> bool:
        """Whether all calls of this method are called as those of this class are."""
        name = self.code.co_name
        own = getattr(owner.__dict__.get(name), "__code__", None) is self.code
        return own and all(name in each.__dict__ for each in _below(owner))

    def given_in(self, values: Mapping[str, Any]) -> Any:
        """Return the environ or scope of a call, None if the call is no layer's."""
        passed = [values.get(name) for name in self.arguments]
        if self.varargs:
            passed.extend(values.get(self.varargs, ()))
        for index, given in enumerate(passed[:2]):
            rest = passed[index + 1 :]
            if (
                1 <= len(rest) <= 2
                and isinstance(given, Mapping)
                and all(map(callable, rest))
                and ("wsgi.input" in given or "asgi" in given)
            ):
                if index < len(self.arguments):
                    self.given = self.arguments[index]
                self.is_layer = True
                return given
        return None

    def owner(self, values: Mapping[str, Any]) -> Any:
        """Return the object whose method is called; None for functions."""
        if not self.is_method or self.arguments[0] == self.given:
            return None
        return values.get(self.arguments[0])

    def is_middleware(self, values: Mapping[str, Any]) -> bool:
        """Whether this call is one of a middleware of Django's kind."""
        return self.may_be_middleware and hasattr(values.get(self.arguments[0]), "get_response")


class Labels:
    """The names of layers, each of them one object."""

    def __init__(self) -> None:
        self._known: dict[Label, Label] = {}

    def of(self, code: Code, owner: object, *, layer: bool) -> Label:
        """Return the name of a layer, or of code of the user's; `owner` has the method."""
        kind = type(owner)
        label = code.labels.get(kind)
        if label is None:
            if len(code.labels) >= _MOST_CLASSES:
                code.labels.clear()
            label = self._make(code, kind, layer)
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            label = code.labels[kind] = self._known.setdefault(label, label)
            if not code.is_method or code.is_for_all(kind):
                code.label = label
        return label

    def _make(self, code: Code, owner: type, layer: bool) -> Label:
        name = code.code.co_qualname.replace("<locals>.", "")
        called = code.code.co_name in _MIDDLEWARE
        if called and owner is not type(None):
            name = owner.__name__
        elif layer and owner is not type(None):
            name = f"{owner.__name__}.{code.code.co_name}"
        elif not layer:
            name += "()"
        if code.users:
            return Label(name, _place(code.code), users=True)
        return Label(name, _library(code.code.co_filename), named=called)


def hands_over(code: CodeType, value: object) -> bool:
    """Whether a yield hands a value to who iterates, and does not suspend an `await`."""
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        return type(value).__name__ == "async_generator_wrapped_value"
    return bool(code.co_flags & inspect.CO_GENERATOR) and code.co_name != "__await__"


def _below(kind: type) -> Iterator[type]:
    each: type
    for each in type.__subclasses__(kind):
        yield each
        yield from _below(each)


def is_of_user(filename: str) -> bool:
    """Whether a file is neither installed nor part of Python or of this server."""
    return _kind(filename) == "user"


def _kind(filename: str) -> str:
    """Return "user" or "library"; nothing for code that is in no tree."""
    if filename.startswith("<"):
        return ""
    if filename.startswith(_PACKAGE):
        if filename == _DEMO:
            return "user"
        return "library" if filename.startswith(_TESTING) else ""
    installed = filename.startswith(_STDLIB) or any(
        f"{os.sep}{n}{os.sep}" in filename for n in _INSTALLED
    )
    return "library" if installed else "user"


def _is_method(code: CodeType) -> bool:
    """Whether the first parameter is an object that has this code as a method."""
    outer, _, _ = code.co_qualname.rpartition(".")
    return bool(outer) and not outer.endswith("<locals>")


def _library(filename: str) -> str:
    for top in _INSTALLED:
        _, found, rest = filename.rpartition(f"{os.sep}{top}{os.sep}")
        if found:
            return rest.partition(os.sep)[0].removesuffix(".py")
    if filename.startswith(_PACKAGE):
        return "bare_serve"
    return filename.removeprefix(_STDLIB).partition(os.sep)[0].removesuffix(".py")


def _place(code: CodeType) -> str:
    """Return file and line, the file as seen from where its modules are imported from."""
    name = code.co_filename
    tops = [top for each in sys.path if name.startswith(top := each.rstrip(os.sep) + os.sep)]
    longest = max(tops, key=len, default="")
    short = name.removeprefix(longest) if len(longest) > 1 else os.path.basename(name)  # noqa: PTH119
    return f"{short}:{code.co_firstlineno}"
