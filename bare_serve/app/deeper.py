"""Finding the application below a directory: in app/, in src/, or in the one folder that has one.

The law: a place that many projects use is taken (app/, src/, src/app/); of any other folder only if
that is the only one with an application. Where there are several none is guessed at, and the
error is the list of commands that serve them. A folder counts by what its files say; nothing is
imported.

What must not be here: what a file says (candidates.py), the directory itself (find.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bare_serve.app import django_project
from bare_serve.app.candidates import FILES, Candidate, Found, best, in_file
from bare_serve.app.naming import is_file
from bare_serve.errors import UsageError

_USUAL = "app"
_SOURCE = "src"
_NOT_SERVED = frozenset(
    ("benchmarks", "build", "dist", "docs", "env", "examples", "migrations", "node_modules")
) | {"scripts", "test", "tests", "tools", "venv"}
"""Folders beside an application that may hold others: an example, a script, a copy."""
_MOST_FOLDERS = 500
_MOST_REASONS = 8


def find(directory: Path, wanted: str, rejected: list[str]) -> Found | None:
    """Return the application below `directory`, None if there is none.

    `wanted` is the interface asked for, or auto. What is there and has no application goes to
    `rejected`.

    Raises:
        UsageError: there are several; the message has the commands.
    """
    reasons: list[str] = []
    source = directory / _SOURCE
    tops = [directory, source]
    found = best(_in_folder(directory, _USUAL, directory, reasons), wanted)
    found = found or best(_in_source(source, directory, wanted, reasons), wanted)
    found = found or best(_in_folder(source, _USUAL, directory, reasons), wanted)
    if found is not None:
        return found
    several = [
        found
        for top in tops
        for name in _folders(top)
        if (found := best(_in_folder(top, name, directory, reasons), wanted)) is not None
    ]
    if len(several) > 1:
        lines = [f"No application was named, and there are several below {directory}:"]
        lines += [f"  {found.command(directory)}  ({found.how})" for found in several[:10]]
        raise UsageError("\n".join((*lines, "Name the one to serve.")))
    rejected += reasons[:_MOST_REASONS]
    return several[0] if several else None


def _in_source(
    source: Path, directory: Path, wanted: str, reasons: list[str]
) -> Iterator[Candidate]:
    """Yield what is in src/ itself, which modules are imported from."""
    for name in FILES:
        if is_file(source / name):
            shown = f"{_SOURCE}/{name}"
            each = in_file(source / name, shown, name[:-3], source, reasons)
            yield from _from(each, source, directory)
    if is_file(source / "manage.py"):
        for named, guess in django_project.targets(source, wanted, reasons):
            yield Candidate(Found(*named, other(source, directory)), guess)


def _in_folder(top: Path, name: str, directory: Path, reasons: list[str]) -> Iterator[Candidate]:
    """Yield what is in the folder `name` of `top`, imported from there."""
    return in_package(top / name, name, top, directory, reasons)


def in_package(
    folder: Path, package: str, top: Path, directory: Path, reasons: list[str]
) -> Iterator[Candidate]:
    """Yield what is in a package, which is imported from `top`; `directory` was looked at."""
    for file in (*FILES, "__init__.py"):
        path = folder / file
        if is_file(path):
            module = package if file == "__init__.py" else f"{package}.{file[:-3]}"
            shown = os.path.relpath(path, directory)
            # Nearly every package has this file, and few have an application in it.
            why: list[str] = []
            yield from _from(in_file(path, shown, module, top, why), top, directory)
            reasons += [each for each in why if file != "__init__.py" or "factory" in each]


def _from(each: Iterator[Candidate], top: Path, directory: Path) -> Iterator[Candidate]:
    for found, guess in each:
        yield Candidate(found._replace(directory=other(top, directory)), guess)


def other(top: Path, directory: Path) -> Path | None:
    """Return `top`, None if it is the directory that was looked at."""
    same = os.path.abspath(top) == os.path.abspath(directory)  # noqa: PTH100 (links stay)
    return None if same else top


def _folders(top: Path) -> list[str]:
    """Return the folders of `top` whose files may be the application's, in order."""
    try:
        names = sorted(os.listdir(top))[:_MOST_FOLDERS]
    except OSError:
        return []
    return [
        name
        for name in names
        if name.isidentifier() and name not in _NOT_SERVED and name not in (_USUAL, _SOURCE)
    ]
