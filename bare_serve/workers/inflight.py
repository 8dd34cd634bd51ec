"""A request in progress in one line, for reports of what a worker was doing, and for who looks.

Reports ask for the requests once a second, and for all that is in progress when a worker is about
to be killed, possibly from a signal handler. Serving stores nothing for them: what is in progress
is read off, by `workers/asgi/inflight.py` and `workers/wsgi/inflight.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import NamedTuple

from bare_serve.http import log_text
from bare_serve.logs.request_ids import Answered, Asked, id_told
from bare_serve.version import PACKAGE

_LONGEST = 200
"""Bytes of a target that a report shows."""
_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Running(NamedTuple):
    """A request in progress."""

    call: object
    number: int
    """Another one is another request of the same `call`."""
    head: Asked
    age: float
    """Seconds since its head was there."""
    place: Callable[[], str]
    """Returns the line that the application is on: `file.py:12 in function`; or nothing."""


def describe(head: Asked, answer: Answered | None = None) -> str:
    """Return method and target, of a long one the beginning, and the id if the request has one.

    Without an `answer` that is the id that the client or a proxy has sent.
    """
    return log_text.describe(head, _LONGEST) + id_told(head, answer)


def flight_line(head: Asked, seconds: float, where: str, thread: str = "", ident: int = 0) -> str:
    """Return a request as counts/layout.py wants one that is in flight."""
    age = max(0, int(seconds * 1e6))
    return f"{age}\t{thread}\t{ident}\t{_tidy(where)}\t{_tidy(describe(head))}"


def _tidy(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def is_applications(code: CodeType) -> bool:
    """Return whether code is the application's own: neither ours, Python's nor a package's."""
    name = code.co_filename
    if name.startswith(("<", PACKAGE)):
        return False
    return not (name.startswith(_LIBRARY) or any(each in name for each in _INSTALLED))


def place_of(frame: FrameType) -> str:
    """Return `file.py:12 in function`; of the path what is below the current directory."""
    name = frame.f_code.co_filename
    for directory in _directories():
        if name.startswith(directory):
            name = name[len(directory) :]
            break
    return f"{name}:{frame.f_lineno} in {frame.f_code.co_name}"


def _directories() -> tuple[str, ...]:
    try:
        return (os.getcwd() + os.sep,)  # noqa: PTH109
    except OSError:
        return ()


def innermost(frames: Iterable[FrameType]) -> str:
    """Return the place of the first of these frames that is the application's, else of the first
    that is not ours; they come from the innermost one on. Empty for none."""
    other: FrameType | None = None
    for frame in frames:
        if is_applications(frame.f_code):
            return place_of(frame)
        if other is None and not frame.f_code.co_filename.startswith((PACKAGE, "<")):
            other = frame
    return "" if other is None else place_of(other)


def outwards(frame: FrameType | None) -> Iterable[FrameType]:
    """Yield a frame and those that have called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back
