"""What a Django project says about its application, read from manage.py and the settings.

manage.py names the settings module, the settings name the callables. Settings are often
split (`from .base import *`), so star imports within the project are followed. Django is
not needed for any of this, and nothing is imported.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from bare_serve.app.naming import is_file
from bare_serve.app.source import Guess, bindings, read

_VARIABLE = "DJANGO_SETTINGS_MODULE"
_SETTINGS: dict[str, Guess] = {"ASGI_APPLICATION": "asgi", "WSGI_APPLICATION": "wsgi"}


def targets(
    directory: Path, wanted: str, rejected: list[str]
) -> Iterator[tuple[tuple[str, str], Guess]]:
    """((target, how), interface), the best first.

    ASGI_APPLICATION comes first, for startproject writes only WSGI_APPLICATION: a project with both
    has added the other on purpose. Then the asgi.py and wsgi.py that startproject lays beside the
    settings, which no setting needs to name.
    """
    try:
        # manage.py uses setdefault, so the environment comes first.
        module = os.environ.get(_VARIABLE) or _settings_module(read(directory / "manage.py"))
    except OSError as exc:
        rejected.append(f"manage.py cannot be read: {exc.strerror}")
        return
    except SyntaxError as exc:
        rejected.append(f"manage.py has a syntax error in line {exc.lineno}")
        return
    if module is None:
        rejected.append(f"manage.py does not set {_VARIABLE}")
        return
    path = _module_file(directory, module)
    if path is None:
        rejected.append(f"manage.py is there, but no file for its settings {module}")
        return
    named = _named(directory, path, set())
    for setting, guess in _SETTINGS.items():
        dotted, dot, attribute = named.get(setting, "").rpartition(".")
        if dot:
            yield (f"{dotted}:{attribute}", f"{setting} in {module}"), guess
    yield from _beside(directory, module, wanted)
    rejected.append(f"the settings {module} name no ASGI_APPLICATION or WSGI_APPLICATION")


def _settings_module(tree: ast.Module) -> str | None:
    """Return the text manage.py gives to os.environ, by setdefault or by assignment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) == 2:
            key, value = node.args
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            key, value = node.targets[0].slice, node.value
        else:
            continue
        if isinstance(key, ast.Constant) and key.value == _VARIABLE:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
    return None


def _module_file(directory: Path, module: str) -> Path | None:
    base = directory.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if is_file(path):
            return path
    return None


def _named(directory: Path, path: Path, seen: set[Path]) -> dict[str, str]:
    """Return the string settings in `path`, over those it star-imports from the project."""
    seen.add(path)
    try:
        source = bindings(read(path))
    except (OSError, SyntaxError):  # loading the application will show it
        return {}
    values: dict[str, str] = {}
    for level, module in source.stars:
        # One dot is the file's own package, each further one its parent.
        start = path.parents[level - 1] if level else directory
        other = _module_file(start, module) if module else start / "__init__.py"
        if other is not None and other not in seen:
            values |= _named(directory, other, seen)
    return values | source.strings


def _beside(directory: Path, module: str, wanted: str) -> Iterator[tuple[tuple[str, str], Guess]]:
    package = module.partition(".")[0]
    order: tuple[Guess, ...] = ("asgi", "wsgi") if wanted == "asgi" else ("wsgi", "asgi")
    for guess in order:
        try:
            source = bindings(read(directory / package / f"{guess}.py"))
        except (OSError, SyntaxError):
            continue
        if "application" in source.applications:
            yield (f"{package}.{guess}:application", f"{package}/{guess}.py, by manage.py"), guess
