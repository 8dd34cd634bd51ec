"""Finding the application when no target was typed, without importing anything.

Candidates come in one order: what [tool.fastapi] of pyproject.toml states, the usual files, each by
the names it defines, then a Django project's settings; where there is none of these, the folders
below (deeper.py). The first that does not contradict `prefer` wins; a wish (--wsgi on a directory
that holds only an ASGI file) still beats a guess, so contradicted ones come last. Whatever was
looked at and rejected is remembered with its reason: that is the error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bare_serve.app import django_project
from bare_serve.app.candidates import FILES, Candidate, Found, best, in_file
from bare_serve.app.naming import is_file, parse_target, read_directory
from bare_serve.errors import UsageError

_PROJECT = "pyproject.toml"


def find_target(directory: Path, prefer: str = "auto") -> Found:
    """Return the target to serve from `directory`; UsageError says which files are there."""
    entries = set(read_directory(directory, "The application directory"))
    rejected: list[str] = []
    wanted = {"asgi2": "asgi"}.get(prefer, prefer)
    found = best(_candidates(directory, entries, wanted, rejected), wanted)
    if found is None:
        from bare_serve.app import deeper  # most are found above

        found = deeper.find(directory, wanted, rejected)
    if found is not None:
        return found
    raise UsageError(_nothing(directory, entries, rejected))


def may_have_application(directory: Path) -> bool:
    """Return whether a file is there that `find_target` looks into, be there anything in it."""
    return any(is_file(directory / name) for name in (*FILES, "manage.py"))


def _candidates(
    directory: Path, entries: set[str], wanted: str, rejected: list[str]
) -> Iterator[Candidate]:
    if _PROJECT in entries:
        yield from _stated(directory, rejected)
    for name in FILES:
        if name in entries:
            yield from in_file(directory / name, name, name[:-3], directory, rejected)
    if "manage.py" in entries:
        for found, guess in django_project.targets(directory, wanted, rejected):
            yield Candidate(Found(*found), guess)


def _stated(directory: Path, rejected: list[str]) -> Iterator[Candidate]:
    """Yield the entrypoint of [tool.fastapi], which FastAPI's own command takes."""
    try:
        text = (directory / _PROJECT).read_text(encoding="utf-8").removeprefix("\ufeff")
        if "tool.fastapi" not in text:
            return
        import tomllib  # 4 ms that few need

        target = tomllib.loads(text)["tool"]["fastapi"]["entrypoint"]
        if not isinstance(target, str):
            raise ValueError(f"{target!r} is no text")
        parsed = parse_target(target)
    except (KeyError, TypeError):
        return
    except (OSError, ValueError, UsageError) as error:
        rejected.append(f"{_PROJECT} has no [tool.fastapi] entrypoint to take: {error}")
        return
    top = parsed.source.partition(".")[0]
    source = directory / "src"
    is_inside = any(map(is_file, (source / f"{top}.py", source / top / "__init__.py")))
    here = any(map(os.path.exists, (directory / f"{top}.py", directory / top)))
    how = f"entrypoint of [tool.fastapi] in {_PROJECT}"
    yield Candidate(Found(target, how, source if is_inside and not here else None), "asgi")


def _nothing(directory: Path, entries: set[str], rejected: list[str]) -> str:
    missing = [name for name in (*FILES, "manage.py") if name not in entries]
    lines = [f"No application was named, and none was found in {directory}:"]
    lines += [f"  {reason}" for reason in rejected]
    if missing:
        lines.append(f"  not there: {', '.join(missing)}")
    lines.append(
        'Name it: bare-serve module:attribute. Or set app = "module:attribute" under '
        "[tool.bare-serve] in pyproject.toml. For the built-in example: bare-serve --demo"
    )
    return "\n".join(lines)
