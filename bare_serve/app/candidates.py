"""What may be the application: the names that a file defines, as far as its text shows.

The law: a candidate is a target, where it was found, and what it seems to speak; a file is read and
never imported. Which of several candidates wins, and which files are looked at, is decided by
find.py and deeper.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bare_serve.app.naming import APP_NAMES, FACTORY_NAMES, is_file
from bare_serve.app.source import Guess, Source, bindings, read

FILES = ("app.py", "main.py", "asgi.py", "wsgi.py", "application.py", "api.py")
_BY_NAME: dict[str, Guess] = {"asgi": "asgi", "wsgi": "wsgi"}


class Found(NamedTuple):
    """A target, and in one plain phrase where it was found."""

    target: str
    how: str
    directory: Path | None = None
    """What it is imported from, if that is not the directory that was looked at."""

    def command(self, looked_at: Path) -> str:
        """Return the command that serves it from the directory that was looked at."""
        if self.directory is None:
            return f"bare-serve {self.target}"
        return f"bare-serve {self.target} --app-dir {os.path.relpath(self.directory, looked_at)}"


class Candidate(NamedTuple):
    """What may be meant, and what it seems to speak."""

    found: Found
    guess: Guess


def best(candidates: Iterable[Candidate], wanted: str) -> Found | None:
    """Return the first that does not contradict the wish, else the first one."""
    contradicting: list[Found] = []
    for found, guess in candidates:
        if wanted == "auto" or guess in (None, wanted):
            return found
        contradicting.append(found)
    return contradicting[0] if contradicting else None


def in_file(
    path: Path, shown: str, module: str, top: Path, rejected: list[str]
) -> Iterator[Candidate]:
    """Yield the applications of a file, which messages call `shown`.

    `module` is its name if it is imported from `top`.
    """
    by_file = _BY_NAME.get(path.stem)
    try:
        source = bindings(read(path))
    except OSError as exc:
        rejected.append(f"{shown} cannot be read: {exc.strerror}")
        return
    except SyntaxError:
        # Passing over a file that is being edited would serve another one in silence;
        # importing it shows Python's own message.
        yield Candidate(Found(module, f"{shown}, which has a syntax error"), by_file)
        return
    reason = f"{shown} defines none of {', '.join(APP_NAMES)}"
    for name in APP_NAMES:
        if name not in source.applications:
            continue
        start = path.parent if source.origins.get(name, "").startswith(".") else top
        if _is_submodule(start, source, name):
            reason = f"{shown} imports {name}, but that is a module"
            continue
        guess = source.applications[name] or _BY_NAME.get(name) or by_file
        yield Candidate(Found(f"{module}:{name}", f"{shown} defines {name}"), guess)
        reason = ""
    for name in FACTORY_NAMES:
        if reason and name in source.functions:
            reason += f"; it has a factory: bare-serve {module}:{name} --factory"
    if reason:
        rejected.append(reason)


def _is_submodule(directory: Path, source: Source, name: str) -> bool:
    """Return whether `from package import name` brings a file of the package."""
    package, _, last = source.origins.get(name, "").rpartition(".")
    if not last:
        return False
    base = directory.joinpath(*filter(None, package.split(".")))
    if not is_file(base / f"{last}.py"):
        return False
    try:
        return last not in bindings(read(base / "__init__.py")).applications
    except (OSError, SyntaxError):
        return True
