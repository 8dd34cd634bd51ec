"""Settings of gunicorn and uvicorn that are there and are not read: a line for each source.

What lives here: the lines. What must not: reading these settings, which only --migrate does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bare_serve.config.foreign import by_key
from bare_serve.config.settings import BY_NAME

_ARGUMENTS = "GUNICORN_CMD_ARGS"
_PREFIX = "UVICORN_"


def remarks(names: Iterable[str], file: str, sources: Mapping[str, str]) -> list[str]:
    """Return the lines.

    Args:
        names: variables that may be such settings.
        file: the name of gunicorn's file, which may be in the current directory.
        sources: where our settings come from: beside a file of ours, gunicorn's is no surprise.
    """
    names = sorted(names)
    told = []
    of_ours = any(source.startswith("file ") for source in sources.values())
    shows = "bare-serve --migrate shows what to write"
    if Path(file).exists() and not of_ours:
        told.append(f"{file} is not read; bare-serve --migrate {file} shows what it is here.")
    if _ARGUMENTS in names:
        told.append(f"{_ARGUMENTS} is set and not read; {shows}.")
    if found := [name for name in names if is_of_uvicorn(name)]:
        are = "is" if len(found) == 1 else "are"
        shown = ", ".join(found)
        told.append(f"{shown} {are} set and not read; {shows}.")
    return told


def is_of_uvicorn(name: str) -> bool:
    """Return whether a variable is a setting of uvicorn's, and not a link to some service."""
    key = name.removeprefix(_PREFIX).lower()
    return name.startswith(_PREFIX) and (key in BY_NAME or by_key(key) is not None)
