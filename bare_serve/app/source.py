"""Reading a Python file without running it: which names it binds, and what they seem to be.

Used where importing is forbidden (the master stays free of the application). All answers are
guesses good enough to choose a file by; `load` and `detect` decide later on the real thing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Guess = Literal["wsgi", "asgi"] | None

# Whose `app = Name(...)` says what the application speaks, by the module Name comes from.
_MAKERS: dict[str, Guess] = {
    "asgiref": "asgi",
    "bottle": "wsgi",
    "channels": "asgi",
    "django.core.asgi": "asgi",
    "django.core.wsgi": "wsgi",
    "falcon": "wsgi",
    "falcon.asgi": "asgi",
    "fastapi": "asgi",
    "flask": "wsgi",
    "litestar": "asgi",
    "pyramid": "wsgi",
    "quart": "asgi",
    "starlette": "asgi",
}


class Source:
    """The module-level bindings of one file."""

    def __init__(self) -> None:
        self.applications: dict[str, Guess] = {}  # may be an app: name -> guess
        self.functions: set[str] = set()
        self.modules: set[str] = set()  # bound by `import name`
        self.strings: dict[str, str] = {}  # NAME = "text"
        self.stars: list[tuple[int, str]] = []  # from ..x import * -> (2, "x")
        self.origins: dict[str, str] = {}  # imported name -> where from


def read(path: Path) -> ast.Module:
    """Parse the file; OSError when it cannot be read, SyntaxError when it is not Python."""
    text = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the import will show them, once
            return ast.parse(text, filename=str(path))
    except (ValueError, RecursionError, MemoryError) as exc:  # null bytes; absurd nesting
        raise SyntaxError(str(exc)) from None


def bindings(tree: ast.Module) -> Source:
    """Return what running the module would bind at its top level, as far as its text shows."""
    source = Source()
    for node in _statements(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            source.functions.add(node.name)
            source.applications[node.name] = _guess_function(node)
        elif isinstance(node, ast.ClassDef):
            source.applications[node.name] = None
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                source.modules.add(name)
                source.origins[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom):
            _bind_from(node, source)
        else:
            for name, value in _assignments(node):
                _bind_value(name, value, source)
    return source


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield top-level statements in order, those inside if, try, with and loops included."""
    for node in body:
        if isinstance(node, ast.If) and _is_main_guard(node.test):
            yield from _statements(node.orelse)
            continue
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for name in ("body", "handlers", "orelse", "finalbody"):
            yield from _statements(getattr(node, name, []))


def _is_main_guard(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and isinstance(test.ops[0], ast.Eq)
    )


def _bind_from(node: ast.ImportFrom, source: Source) -> None:
    origin = "." * node.level + (node.module or "")
    for alias in node.names:
        if alias.name == "*":
            source.stars.append((node.level, node.module or ""))
            continue
        name = alias.asname or alias.name
        dot = "" if origin.endswith(".") or not origin else "."
        source.origins[name] = f"{origin}{dot}{alias.name}"
        source.applications[name] = None


def _assignments(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    targets: list[ast.expr]
    if isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets, value = [node.target], node.value
    else:
        return
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                if isinstance(element, ast.Name):
                    yield element.id, target  # which part of the value it gets is not asked


def _bind_value(name: str, value: ast.expr, source: Source) -> None:
    if isinstance(value, ast.Constant):
        if isinstance(value.value, str):
            source.strings[name] = value.value
        return
    source.applications[name] = _guess_value(value, source)


# By the number of positional arguments.
_BY_COUNT: dict[int, Guess] = {2: "wsgi", 3: "asgi"}


def _guess_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Guess:
    if node.decorator_list:
        return None
    if isinstance(node, ast.AsyncFunctionDef):
        return "asgi"
    arguments = node.args
    count = len(arguments.posonlyargs) + len(arguments.args)
    if arguments.vararg or arguments.defaults:
        return None
    return _BY_COUNT.get(count)


def _guess_value(value: ast.expr, source: Source) -> Guess:
    if isinstance(value, ast.Name):
        return source.applications.get(value.id)
    if isinstance(value, ast.Lambda):
        return _BY_COUNT.get(len(value.args.args))
    if not isinstance(value, ast.Call):
        return None
    dotted = _dotted(value.func)
    head, _, rest = dotted.partition(".")
    module = f"{source.origins.get(head, '')}.{rest}"
    while module := module.rpartition(".")[0]:
        if module in _MAKERS:
            return _MAKERS[module]
    return None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""
