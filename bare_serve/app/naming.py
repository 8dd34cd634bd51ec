"""The text of a target: its grammar, the names tried when it has no attribute, near names.

    module:attribute    pkg.module:object.attribute    module    path/to/file.py[:attribute]
    module:factory('argument', keyword=1)

Only text and directories here; nothing is imported. What cannot be a target is refused with
a UsageError that shows how to write it.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bare_serve.errors import UsageError

# The order in which a module without an attribute is searched.
APP_NAMES = ("application", "app", "asgi", "wsgi")
# Flask's convention; tried first when --factory comes without an attribute.
FACTORY_NAMES = ("create_app", "make_app")


# The first colon with a name and a parenthesis behind it: arguments may have colons, too.
_CALL = re.compile(r"(.*?):[ ]*([^\W\d][\w.]*[ ]*\(.*)", re.DOTALL)


class Arguments(NamedTuple):
    """What a factory is to be called with."""

    text: str
    """With the parentheses, as it was written."""
    positional: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = {}


class Target(NamedTuple):
    """`source` is a dotted module name, or a path when `is_file`; no attribute: try the names."""

    source: str
    attribute: str | None
    is_file: bool
    arguments: Arguments | None = None
    """Set for a factory that is to be called with them."""

    def with_attribute(self, attribute: str) -> str:
        called = "" if self.arguments is None else self.arguments.text
        return f"{self.source}:{attribute}{called}"


def parse_target(text: str) -> Target:
    """Return the parts of `text`; UsageError when it cannot be a target."""
    arguments = None
    if (match := _CALL.fullmatch(text.strip())) is not None:
        source, colon = match[1], ":"
        attribute, arguments = _call(text, match[2])
    else:
        source, colon, attribute = text.strip().rpartition(":")
        if not colon:
            source, attribute = attribute, ""
    is_file = source.endswith(".py") or "/" in source
    if not source or (colon and not attribute):
        raise UsageError(f"'{text}' is not a target: write it as module:attribute, or module alone")
    if attribute and not all(part.isidentifier() for part in attribute.split(".")):
        raise UsageError(
            f"'{text}' is not a target: '{attribute}' is not the name of an attribute, "
            "like app or object.app"
        )
    if source.endswith("/"):
        raise UsageError(f"'{text}' is not a target: '{source}' is neither a file nor a module")
    if is_file and not source.endswith(".py"):
        source += ".py"  # a path without its ending, as in src/main:app
    if not is_file and (not all(source.split(".")) or any(c.isspace() for c in source)):
        raise UsageError(
            f"'{text}' is not a target: '{source}' is not the name of a module, like app or pkg.app"
        )
    return Target(source, attribute or None, is_file, arguments)


def _call(text: str, call: str) -> tuple[str, Arguments]:
    """Return the name of a factory and its arguments, which are literals; evaluate nothing."""
    wrong = f"'{text}' is not a target"
    try:
        tree = ast.parse(call, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(
            f"{wrong}: '{call}' cannot be read as a call; write it as Python, with quotes around "
            "text, and for a shell all of it in other quotes: \"app:create_app('prod')\""
        ) from None
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name | ast.Attribute):
        raise UsageError(f"{wrong}: a factory is called once, by its name")
    if any(keyword.arg is None for keyword in tree.keywords):
        raise UsageError(f"{wrong}: write the arguments one by one, without **")
    positional = tuple(_literal(wrong, node) for node in tree.args)
    keywords = {each.arg: _literal(wrong, each.value) for each in tree.keywords if each.arg}
    if len(keywords) < len(tree.keywords):
        raise UsageError(f"{wrong}: an argument is given twice")
    name, _, rest = call.partition("(")
    return name.rstrip(), Arguments(f"({rest}", positional, keywords)


def _literal(wrong: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        shown = ast.unparse(node)
        hint = f"; did you mean '{shown}', in quotes?" if isinstance(node, ast.Name) else ""
        raise UsageError(
            f"{wrong}: the argument {shown} is not a literal (text, a number, True, False, None, "
            f"or a tuple, list, set or dict of these){hint}"
        ) from None


def check_target(text: str, app_dir: Path) -> Target:
    """Parse `text` and see that `app_dir` can be read; cheap, imports nothing.

    Worth calling in the master: what is wrong here is the user's words, and needs no worker.
    """
    read_directory(app_dir, "The application directory")
    return parse_target(text)


def read_directory(path: Path, role: str) -> list[str]:
    """Return the sorted names in a directory; UsageError when it cannot be read.

    An unreadable directory must be caught here: Python's import system passes over it in
    silence and reports its modules as missing.
    """
    try:
        names = sorted(os.listdir(path))
        # Listing needs read permission only; opening what is in it needs search permission too.
        os.stat(f"{path}/.")  # noqa: PTH116 - pathlib would drop the dot
    except FileNotFoundError:
        raise UsageError(f"{role} {path} does not exist") from None
    except NotADirectoryError:
        raise UsageError(f"{role} {path} is a file, not a directory") from None
    except OSError as exc:
        raise UsageError(f"{role} {path} cannot be read: {exc.strerror}") from None
    return names


def module_names(entries: Iterable[str], directory: Path) -> list[str]:
    """Return which of a directory's `entries` could be imported, as module names."""
    names = []
    for entry in entries:
        stem, dot, suffix = entry.partition(".")
        if stem.isidentifier() and (
            (dot and suffix == "py") or (not dot and _has_python(directory / entry))
        ):
            names.append(stem)
    return [name for name in names if not name.startswith("__")]


def _has_python(directory: Path) -> bool:
    try:
        return any(entry.endswith(".py") for entry in os.listdir(directory))
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Return path.is_file(), or False where that raises PermissionError."""
    try:
        return path.is_file()
    except OSError:
        return False
