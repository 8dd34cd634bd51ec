"""A traceback for a log: the application's frames, and one line for those of libraries between them.

The law: frames of the application are all shown, and so is the innermost frame, whosever it is,
since what was raised was raised there. Any run of other frames is one line that counts them and
names their packages. Where no frame is the application's nothing is folded, for then the traceback
is about the others. Causes, contexts and the members of groups are treated alike.

What must not be here: what is logged, and where frames of the server are cut off (tracebacks.py).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from itertools import groupby
from traceback import FrameSummary, StackSummary, TracebackException
from typing import Any

from bare_serve.version import PACKAGE

_INSTALLED = ("/site-packages/", "/dist-packages/")
_PYTHON = f"{os.path.dirname(traceback.__file__)}/"  # noqa: PTH120 (as code objects write it)
_MOST_NAMES = 4


def folded(error: BaseException) -> str:
    """Return the traceback of `error` as Python prints it, with the frames of libraries folded."""
    told = TracebackException.from_exception(error, compact=True)
    own = _packages_of(error)
    _fold(told, own)
    return "".join(told.format())


def library_of(file: str) -> str:
    """Return the name of the library that a file belongs to, nothing for an application's file."""
    if file.startswith(PACKAGE):
        return "bare-serve"
    for folder in _INSTALLED:
        _, found, rest = file.partition(folder)
        if found:
            return rest.partition("/")[0].removesuffix(".py")
    return "Python" if file.startswith((_PYTHON, "<frozen ")) else ""
