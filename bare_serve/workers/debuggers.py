"""Whether a debugger holds a thread: a thread at a prompt is neither blocked nor dead.

What lives here: finding out by the stack and by the trace functions that are set. What must not:
what follows from it (asgi/loop_watchdog.py does not report, the master does not end the worker).

A debugger is looked for where a thread is under suspicion already; requests pay nothing.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

_DEBUGGERS = frozenset(("bdb", "pdb", "pydevd", "debugpy", "IPython"))
_PYDEVD = "_pydev"  # how the names of its inner modules begin
_OURS = __name__.partition(".")[0]


def holds(frame: FrameType | None) -> bool:
    """Return whether a debugger has stopped the thread of this innermost frame, or steps in it."""
    return is_attached() or _is_on_stack(frame)


def holds_any(frame: FrameType | None) -> bool:
    """Return the same for the calling thread, which is in `frame`, and all threads that serve.

    A debugger has threads of its own, which are in its code for as long as it waits to be wanted.
    They say nothing; those that serve have been started by this server.
    """
    if holds(frame) or is_trace(sys.gettrace()):
        return True
    return any(_serves(each) and _is_on_stack(each) for each in sys._current_frames().values())


def is_trace(function: Any) -> bool:
    """Return whether this is a debugger's trace function, and not one of coverage."""
    if function is None:
        return False
    owner = getattr(function, "__self__", function)
    return not any(
        str(getattr(each, "__module__", "")).startswith("coverage")
        for each in (function, owner, type(owner))
    )


def is_attached() -> bool:
    """Return whether a debugger watches what runs here, by sys.monitoring (PEP 669)."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


def _is_on_stack(frame: FrameType | None) -> bool:
    while frame is not None:
        # pdb forgets its mark on the outermost frame, when it is long over.
        if is_trace(frame.f_trace) and frame.f_back is not None:
            return True
        package = _package(frame)
        if package in _DEBUGGERS or package.startswith(_PYDEVD):
            return True
        frame = frame.f_back
    return False


def _serves(frame: FrameType | None) -> bool:
    while frame is not None:
        if _package(frame) == _OURS:
            return True
        frame = frame.f_back
    return False


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
