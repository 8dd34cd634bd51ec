"""Which part of a traceback is the application's.

Frames of this package and of the import system say nothing to whoever wrote the application, so
what is shown begins with the application's first frame. What comes after that one stays, whoever
it belongs to: it was called from there.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import TracebackType

from bare_serve.errors import ResponseError

_OURS = (
    f"{Path(__file__).parent}/",
    f"{Path(importlib.__file__).parent}/",
    "<frozen importlib",
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def theirs(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the application's first frame on; None if it has none."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames


def exc_info(error: BaseException) -> ExcInfo:
    """For ``logging``: with the application's frames; if there are none, with all of them, unless
    the message says it all: a ResponseError is a judgement of ours, on what was returned."""
    frames = error.__traceback__
    ours = None if isinstance(error, ResponseError) else frames
    return type(error), error, theirs(frames) or ours
