"""The files of modules that may be under development: not the library's, nor installed packages'.

What lives here: reading them off `sys.modules`. What must not: importing anything, or touching an
attribute of a module that might do so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from bare_serve.version import PACKAGE

_LIBRARY = os.path.dirname(os.__file__) + "/"  # noqa: PTH120
_LONGEST_CHAIN = 20
_INSTALLED = ("/site-packages/", "/dist-packages/")


class Imports:
    """Those of this process; asked again and again for new ones."""

    def __init__(self) -> None:
        self._count = 0
        self._known: set[str] = set()

    def new(self) -> list[str]:
        """Return the files that were imported since the last call."""
        if len(sys.modules) == self._count:
            return []
        modules = [*sys.modules.values()]
        self._count = len(modules)
        found = {*_files(modules)} - self._known
        self._known |= found
        return sorted(found)


def _files(modules: Iterable[object]) -> Iterator[str]:
    for module in modules:
        try:
            # Not by getattr: some modules import what they stand for when an attribute is read.
            path = object.__getattribute__(module, "__dict__").get("__file__")
        except Exception:  # noqa: BLE001 (there are all kinds of objects in sys.modules)
            continue
        if isinstance(path, str) and is_under_development(path):
            yield os.path.abspath(path)  # noqa: PTH100 (links stay)


def is_under_development(path: str) -> bool:
    """Return whether a file of this path may be edited by whoever runs the server."""
    return not (
        path.startswith((_LIBRARY, PACKAGE, "<"))
        or any(each in path for each in _INSTALLED)
        or os.path.dirname(path) == os.path.dirname(sys.executable)  # noqa: PTH120 (a command)
    )


def files_of(error: BaseException | None) -> list[str]:
    """Return the files that a failed import has gone through: some are in no module then."""
    found: dict[str, None] = {}
    for _ in range(_LONGEST_CHAIN):
        if error is None:
            break
        frames = error.__traceback__
        while frames is not None:
            found[frames.tb_frame.f_code.co_filename] = None
            frames = frames.tb_next
        if isinstance(error, SyntaxError) and isinstance(error.filename, str):
            found[error.filename] = None
        error = error.__cause__ or error.__context__
    return [os.path.abspath(path) for path in found if is_under_development(path)]  # noqa: PTH100
