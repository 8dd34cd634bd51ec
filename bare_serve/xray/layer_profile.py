"""Layers by `sys.setprofile`, before Python 3.12: for sampled requests, in their own thread.

A profile function is called for every call in its thread, so it is set only while a sampled
request is under way there; what else the thread does meanwhile is slowed down, too. What runs in
other threads is not seen, and counts as waiting of the layer that waits for it.
"""

from __future__ import annotations

import dis
import inspect
import sys
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

from bare_serve.errors import LayersError
from bare_serve.xray.layer_codes import hands_over
from bare_serve.xray.layer_recorder import Given, Sample
from bare_serve.xray.layer_tree import Clock, Tree
from bare_serve.xray.layer_watching import WatchingLayers

_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_YIELD = dis.opmap["YIELD_VALUE"]
_UNIT = 2
"""Bytes of an instruction."""


class ProfiledLayers(WatchingLayers):
    """Layers of each `every`th request."""

    def __init__(self, sample: Sample, clock: Clock) -> None:
        super().__init__(sample, clock)
        if sys.getprofile() is not None:
            raise LayersError(
                "layers cannot be watched: a profiler holds sys.setprofile of this thread; end it,"
                " or take Python 3.12 or newer"
            )
        self.how = (
            f"layers by sys.setprofile, of one request in {sample.every}, in its own thread only;"
            " Python 3.12 and newer show all at a fraction of the cost"
        )
        self._function = self._event
        self._under_way: dict[int, int] = {}
        """By the id of a thread: how many sampled requests it has begun."""
        self._threads: dict[int, int] = {}
        """By the id of what was given: the thread that has begun it."""
        self._resumed_at: dict[FrameType, int] = {}
        """The instruction at which a suspended frame went on."""

    def begin(self, given: Given) -> None:
        """Watch the request if it is its turn, and no profiler is at work in this thread."""
        super().begin(given)
        if id(given) in self._traces:
            thread = self._threads[id(given)] = get_ident()
            self._under_way[thread] = self._under_way.get(thread, 0) + 1
            sys.setprofile(self._function)

    def end(self, given: Given) -> Tree | None:
        """Return the tree; if no other is watched, the thread runs at full speed again."""
        thread = self._threads.pop(id(given), None)
        if thread is not None:
            self._under_way[thread] -= 1
            if not self._under_way[thread]:
                del self._under_way[thread]
        tree = super().end(given)
        if thread == get_ident():
            self._rest()
        return tree

    def uninstall(self) -> None:
        """Take the profile function away; other threads drop it at their next return."""
        super().uninstall()
        self._threads.clear()
        self._under_way.clear()
        self._rest()

    def _may_begin(self) -> bool:
        return sys.getprofile() in (None, self._function)

    def _rest(self) -> None:
        if get_ident() not in self._under_way and sys.getprofile() is self._function:
            sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        if event == "call":
            known = self._codes.get(id(code)) or self._judge(code)
            if known.hopeless:
                return
            if not code.co_flags & _GENERATORS or frame.f_lasti <= _first_instruction(code):
                self._begin_call(known, frame)
            elif known.watched:
                self._resumed_at[frame] = frame.f_lasti
                if code.co_flags & inspect.CO_COROUTINE:
                    self._resume()
                else:
                    self._continue(frame)
        elif event == "return":
            ended = self._codes.get(id(code))
            if ended is None or not ended.watched:
                if not self._under_way:  # uninstalled by another thread
                    self._rest()
            elif not _yields(frame, self._resumed_at.pop(frame, -1)):
                self._leave(code, value)
            elif hands_over(code, value):
                self._pause(frame)
            else:
                self._suspend()


def _yields(frame: FrameType, resumed_at: int) -> bool:
    """Whether a frame that is left goes on later, and neither returns nor raises.

    What is thrown into a generator and not caught leaves it where it was suspended.
    """
    code = frame.f_code
    suspended = code.co_flags & _GENERATORS and _operation(code, frame.f_lasti) == _YIELD
    return bool(suspended) and frame.f_lasti != resumed_at


def _operation(code: CodeType, offset: int) -> int:
    return code.co_code[offset]


def _first_instruction(code: CodeType) -> int:
    """Return the offset of the RESUME that stands where a generator begins."""
    resume = dis.opmap["RESUME"]
    bytecode = code.co_code
    for offset in range(0, len(bytecode), _UNIT):
        if bytecode[offset] == resume:
            return offset
    return 0
