"""What a directory or a manage.py means that was typed in the place of a target.

The law: a directory stands for the application that a start in it would find, a package for the one
in its files, imported as a package; a manage.py for that of its Django project. Any other text is
none of these, and left to naming.py.
"""

from __future__ import annotations

import os
from pathlib import Path

from bare_serve.app import django_project
from bare_serve.app.candidates import FILES, Candidate, Found, best
from bare_serve.app.deeper import in_package, other
from bare_serve.app.find import find_target
from bare_serve.app.naming import is_file
from bare_serve.errors import UsageError


def find_meant(text: str, directory: Path, prefer: str) -> Found | None:
    """Return what `text` stands for if it is such a place, seen from `directory`; else None.

    Raises:
        UsageError: it is one, and there is no application in it.
    """
    path = directory / text
    if path.name == "manage.py":
        return _project(text, path, directory, prefer) if is_file(path) else None
    if not path.is_dir():
        return None
    path = Path(os.path.abspath(path))  # noqa: PTH100 (links stay)
    if not is_file(path / "__init__.py"):
        found = find_target(path, prefer)
        # Relative to what was typed, so it says from where the rest is.
        return found._replace(directory=other(found.directory or path, directory))
    top = path
    while is_file(top / "__init__.py"):
        top = top.parent
    reasons: list[str] = []
    inside = in_package(path, ".".join(path.relative_to(top).parts), top, directory, reasons)
    found_in = best(inside, {"asgi2": "asgi"}.get(prefer, prefer))
    if found_in is None:
        why = "; ".join(reasons) or f"it has none of {', '.join(FILES)}"
        raise UsageError(f"'{text}' is a package in which no application was found: {why}")
    return found_in


def _project(text: str, path: Path, directory: Path, prefer: str) -> Found:
    reasons: list[str] = []
    wanted = {"asgi2": "asgi"}.get(prefer, prefer)
    top = path.parent
    each = (
        Candidate(Found(*named, other(top, directory)), guess)
        for named, guess in django_project.targets(top, wanted, reasons)
    )
    found = best(each, wanted)
    if found is None:
        raise UsageError(f"'{text}' leads to no application: {'; '.join(reasons)}")
    return found
