"""Finding the application when no target was typed, without importing anything.

Candidates come in one order: the usual files, each by the names it defines, then a Django
project's settings. The first that does not contradict `prefer` wins; a wish (--wsgi on a
directory that holds only an ASGI file) still beats a guess, so contradicted ones come last.
Whatever was looked at and rejected is remembered with its reason: that is the error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bare_serve.app import django_project
from bare_serve.app.naming import APP_NAMES, FACTORY_NAMES, is_file, read_directory
from bare_serve.app.source import Guess, Source, bindings, read
from bare_serve.errors import UsageError

FILES = ("app.py", "main.py", "asgi.py", "wsgi.py", "application.py")
_BY_NAME: dict[str, Guess] = {"asgi": "asgi", "wsgi": "wsgi"}


class Found(NamedTuple):
    """A target, and in one plain phrase where it was found."""

    target: str
    how: str


class _Candidate(NamedTuple):
    found: Found
    guess: Guess


def find_target(directory: Path, prefer: str = "auto") -> Found:
    """Return the target to serve from `directory`; UsageError says which files are there."""
    entries = set(read_directory(directory, "The application directory"))
    rejected: list[str] = []
    wanted = {"asgi2": "asgi"}.get(prefer, prefer)
    contradicting: list[_Candidate] = []
    for candidate in _candidates(directory, entries, wanted, rejected):
        if wanted == "auto" or candidate.guess in (None, wanted):
            return candidate.found
        contradicting.append(candidate)
    if contradicting:
        return contradicting[0].found
    raise UsageError(_nothing(directory, entries, rejected))


def may_have_application(directory: Path) -> bool:
    """Return whether a file is there that `find_target` looks into, be there anything in it."""
    return any(is_file(directory / name) for name in (*FILES, "manage.py"))


def _candidates(
    directory: Path, entries: set[str], wanted: str, rejected: list[str]
) -> Iterator[_Candidate]:
    for name in FILES:
        if name in entries:
            yield from _in_file(directory / name, rejected)
    if "manage.py" in entries:
        for found, guess in django_project.targets(directory, wanted, rejected):
            yield _Candidate(Found(*found), guess)


def _in_file(path: Path, rejected: list[str]) -> Iterator[_Candidate]:
    module = path.stem
    by_file = _BY_NAME.get(module)
    try:
        source = bindings(read(path))
    except OSError as exc:
        rejected.append(f"{path.name} cannot be read: {exc.strerror}")
        return
    except SyntaxError:
        # Passing over a file that is being edited would serve another one in silence;
        # importing it shows Python's own message.
        yield _Candidate(Found(module, f"{path.name}, which has a syntax error"), by_file)
        return
    reason = f"{path.name} defines none of {', '.join(APP_NAMES)}"
    for name in APP_NAMES:
        if name not in source.applications:
            continue
        if _is_submodule(path.parent, source, name):
            reason = f"{path.name} imports {name}, but that is a module"
            continue
        guess = source.applications[name] or _BY_NAME.get(name) or by_file
        yield _Candidate(Found(f"{module}:{name}", f"{path.name} defines {name}"), guess)
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


def _nothing(directory: Path, entries: set[str], rejected: list[str]) -> str:
    missing = [name for name in (*FILES, "manage.py") if name not in entries]
    lines = [f"No application was named, and none was found in {directory}:"]
    lines += [f"  {reason}" for reason in rejected]
    if missing:
        lines.append(f"  not there: {', '.join(missing)}")
    packages = [
        f"{name}.{file[:-3]}"
        for name in sorted(entries)
        for file in FILES
        if name.isidentifier() and is_file(directory / name / file)
    ]
    if packages:
        lines.append(f"  not looked into, but there: {', '.join(packages[:5])}")
    lines.append(
        'Name it: bare-serve module:attribute. Or set app = "module:attribute" under '
        "[tool.bare-serve] in pyproject.toml. For the built-in example: bare-serve --demo"
    )
    return "\n".join(lines)
