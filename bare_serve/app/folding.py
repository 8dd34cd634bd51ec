"""A traceback for a log: the application's frames, one line for those of libraries between them.

The law: frames of the application are all shown, and so is the innermost frame, whosever it is,
since what was raised was raised there. Any run of other frames is one line that counts them and
names their packages. Where no frame is the application's nothing is folded, for then the traceback
is about the others. Causes, contexts and the members of groups are treated alike.

What must not be here: what is logged, and where frames of the server are cut off (tracebacks.py).
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator
from itertools import groupby
from traceback import FrameSummary, StackSummary, TracebackException
from types import TracebackType
from typing import Any

from bare_serve.app.tracebacks import OWN
from bare_serve.version import PACKAGE

_INSTALLED = ("/site-packages/", "/dist-packages/")
_PYTHON = f"{os.path.dirname(traceback.__file__)}/"  # noqa: PTH120 (as code objects write it)
_MOST_NAMES = 4


def folded(error: BaseException, frames: TracebackType | None) -> str:
    """Return what Python prints of `error`, with the frames of libraries folded.

    `frames` are those of `error`, or what is to be shown of them.
    """
    told = TracebackException(type(error), error, frames, compact=True)
    waiting = [told]
    while waiting:
        each = waiting.pop()
        each.stack = _Folded(_fold(each.stack))
        waiting += filter(None, (each.__cause__, each.__context__, *(each.exceptions or ())))
    return "".join(told.format())


def library_of(file: str) -> str:
    """Return the name of the library that a file belongs to, nothing for an application's file."""
    if file.startswith(PACKAGE):
        return "bare-serve"
    for folder in _INSTALLED:
        _, found, rest = file.partition(folder)
        if found:
            return "" if file.startswith(tuple(OWN)) else rest.partition("/")[0].removesuffix(".py")
    return "Python" if file.startswith((_PYTHON, "<frozen ")) else ""


class _Run(FrameSummary):
    """So many frames of libraries in a row."""

    text: str


class _Folded(StackSummary):
    """Frames, and runs of them."""

    def format_frame_summary(self, frame_summary: FrameSummary, **more: Any) -> str:
        """Return the lines of one frame; those of a run are one line."""
        if isinstance(frame_summary, _Run):
            return frame_summary.text
        return super().format_frame_summary(frame_summary, **more)


def _fold(frames: Iterable[FrameSummary]) -> Iterator[FrameSummary]:
    every = [(library_of(frame.filename), frame) for frame in frames]
    if all(name for name, _ in every):
        yield from (frame for _, frame in every)
        return
    begun = False
    last = every.pop()
    for is_library, run in groupby(every, lambda each: bool(each[0])):
        if not is_library:
            begun = True
            yield from (frame for _, frame in run)
        elif begun:  # before the application's first frame they have only called it
            yield _run(*zip(*run, strict=True))
    yield last[1]


def _run(names: tuple[str, ...], frames: tuple[FrameSummary, ...]) -> _Run:
    made = _Run(frames[0].filename, frames[0].lineno, frames[0].name, lookup_line=False)
    several = [*dict.fromkeys(names)]
    more = ", ..." * (len(several) > _MOST_NAMES)
    of = ", ".join(several[:_MOST_NAMES])
    made.text = f"  ... {len(frames)} frame{'s' * (len(frames) > 1)} of {of}{more}\n"
    return made
