"""Which part of a traceback is the application's.

Frames of this package and of the import system say nothing to an application's author, so
what is shown begins with the application's first frame. All frames behind that one stay: they were
called from there.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from bare_serve.errors import ResponseError
from bare_serve.version import PACKAGE

if TYPE_CHECKING:
    from traceback import FrameSummary

_OURS = (
    PACKAGE,
    f"{Path(importlib.__file__).parent}/",
    "<frozen importlib",
)

OWN: set[str] = set()
"""Where the application is if it was installed as a package: its folder, or its file."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def note_own(file: str) -> None:
    """Note that the application is of this file: it may be installed where libraries are."""
    for folder in ("/site-packages/", "/dist-packages/"):
        before, found, rest = file.partition(folder)
        if found and not file.startswith(PACKAGE):
            OWN.add(f"{before}{folder}{rest.partition('/')[0]}")


def theirs(frames: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the application's first frame on; None if it has none."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames


def below_us(stack: Sequence[FrameSummary]) -> list[FrameSummary]:
    """Return a stack without this package's frames, and the import system's behind them."""
    start = 0
    for index, frame in enumerate(stack):
        if frame.filename.startswith(_OURS[0]):
            start = index + 1
    while start < len(stack) and stack[start].filename.startswith(_OURS):
        start += 1
    return list(stack[start:] or stack)


def exc_info(error: BaseException) -> ExcInfo:
    """For `logging`: with the application's frames; if there are none, with all of them, unless
    the message says it all: a ResponseError is a judgement of ours, on what was returned."""
    frames = error.__traceback__
    ours = None if isinstance(error, ResponseError) else frames
    return type(error), error, theirs(frames) or ours
