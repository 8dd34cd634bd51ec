"""Layers by `sys.monitoring` (PEP 669), from Python 3.12 on.

Starts of functions are watched everywhere, and disabled one by one where no layer can be. Returns,
yields and resumptions are watched only in code that is in trees. Exceptions that leave a frame,
and those that are thrown into one, cannot be watched in single pieces of code.

Under load most requests are not to be watched, as nobody could read so many trees. Then nothing is
watched at all between those that are: Python takes its instruments out of the code that runs, and
puts them back, a few times a second.
"""

from __future__ import annotations

import atexit
import inspect
import sys
import threading
import time
from types import CodeType, FrameType
from typing import Any

from bare_serve.errors import LayersError
from bare_serve.xray.layer_codes import Code, hands_over
from bare_serve.xray.layer_recorder import STRAND, Given, Sample
from bare_serve.xray.layer_tree import DEEPEST, Clock, Tree
from bare_serve.xray.layer_watching import WatchingLayers

_TOOL_IDS = (4, 3)
"""Python keeps 0, 1, 2 and 5 for debuggers, coverage, profilers and optimizers."""

_COROUTINE = inspect.CO_COROUTINE

_NAME = "bare-serve layers"

_AWAKE = 0.05
"""Seconds for which all is watched at the least: to begin costs as much as some requests."""

_MOST_CODES = 20_000
"""Of so many pieces of code it is remembered that they are no layers."""


class MonitoredLayers(WatchingLayers):
    """Layers of all requests, or of each `every`th one."""

    for_all = True

    def __init__(self, sample: Sample, clock: Clock) -> None:
        super().__init__(sample, clock)
        self._tool = _take_tool_id()
        self.how = f"layers by sys.monitoring, tool id {self._tool}"
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events
        self._disable = monitoring.DISABLE
        self._local = events.PY_RETURN | events.PY_YIELD | events.PY_RESUME
        self._callbacks = {
            events.PY_START: self._started,
            events.PY_RETURN: self._returned,
            events.PY_YIELD: self._yielded,
            events.PY_RESUME: self._resumed,
            events.PY_UNWIND: self._unwound,
            events.PY_THROW: self._thrown,
        }
        self._everywhere = events.PY_START | events.PY_UNWIND | events.PY_THROW
        self._switch = threading.Lock()
        self._awake = False
        self._awake_since = 0.0
        for event, callback in self._callbacks.items():
            monitoring.register_callback(self._tool, event, callback)
        # What an earlier holder of the tool id has disabled is still disabled.
        monitoring.restart_events()
        atexit.register(self.uninstall)  # modules are gone when the last code runs

    def uninstall(self) -> None:
        """Give the tool id back; nothing is watched in any code any more."""
        if not self._callbacks:
            return
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        with self._switch:
            self._watch_all(False)
            for event in self._callbacks:
                monitoring.register_callback(self._tool, event, None)
            monitoring.free_tool_id(self._tool)
            self._callbacks = {}
        atexit.unregister(self.uninstall)
        super().uninstall()

    def begin(self, given: Given) -> None:
        """See `Layers.begin`."""
        super().begin(given)
        with self._switch:
            if self._traces and self._callbacks and not self._awake:
                self._watch_all(True)

    def rest(self) -> None:
        """See `Layers.rest`."""
        if not self._awake or time.monotonic() - self._awake_since < _AWAKE:
            return
        with self._switch:
            if self._awake and not self._traces:
                self._watch_all(False)

    def _watch_all(self, watch: bool) -> None:
        """Watch all code, or none."""
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.set_events(self._tool, self._everywhere if watch else 0)
        for code in [*self._codes.values()]:
            if code.watched:
                monitoring.set_local_events(self._tool, code.code, self._local if watch else 0)
        if not watch and len(self._codes) > _MOST_CODES:
            for number, code in [*self._codes.items()]:
                if code.hopeless and not code.watched:
                    del self._codes[number]
        self._awake, self._awake_since = watch, time.monotonic()

    def _watch(self, code: Code) -> None:
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.set_local_events(self._tool, code.code, self._local)
        super()._watch(code)

    # The hot path. What is written out here is what `Layers` does in functions: the calls of those
    # would take as long as all the rest.

    def _started(self, code: CodeType, offset: int) -> Any:
        known = self._codes.get(id(code))
        if known is None:
            known = self._judge(code)
        if known.hopeless:
            return self._disable
        strand = STRAND.get()
        if strand is not None and strand.running and known.watched and not self._makers:
            trace = strand.trace
            before = strand.stack[-1][0]
            label = known.label
            if label is None and known.is_method:
                owner = sys._getframe(1).f_locals.get(known.arguments[0])
                label = known.labels.get(type(owner))
            if (
                label is not None
                and not trace.over
                and before is not trace.root
                and len(strand.stack) < DEEPEST
                and (
                    known.is_layer
                    or known.may_be_middleware
                    or self._is_called_by_library(sys._getframe(1))
                )
            ):
                if before.label.name == label.name and known.is_method and before.code is not code:
                    # A method has called that of its base class: they are one layer.
                    before.code = code
                    strand.stack.append((before, code))
                    return None
                if before.children:
                    node = before.call(label, code)
                else:
                    node = Tree()
                    node.label = label
                    node.trace = trace
                    node.code = code
                    before.children = (node,)
                strand.stack.append((node, code))
                if trace.waiting:
                    trace.turn(node, False)
                    return None
                now = self._clock()
                trace.holder.running_ns += now - trace.since
                trace.holder = node
                trace.since = now
                return None
        if self._traces:
            self._begin_call(known, sys._getframe(1))
        return None

    def _is_called_by_library(self, frame: FrameType) -> bool:
        caller = frame.f_back
        return caller is None or self._files.get(caller.f_code.co_filename) is False

    def _returned(self, code: CodeType, offset: int, value: object) -> None:
        strand = STRAND.get()
        if strand is None:
            return
        stack = strand.stack
        if stack[-1][1] is not code:
            return
        trace = strand.trace
        other = value is not None and value is not trace.value
        if other or len(stack) < 3 or trace.waiting:
            self._leave(code, value)
            return
        stack.pop()
        now = self._clock()
        trace.holder.running_ns += now - trace.since
        trace.holder = stack[-1][0]
        trace.since = now

    def _unwound(self, code: CodeType, offset: int, error: BaseException) -> None:
        strand = STRAND.get()
        if strand is not None and strand.stack[-1][1] is code:
            self._leave(code, None)

    def _yielded(self, code: CodeType, offset: int, value: object) -> None:
        if code.co_flags & _COROUTINE or not hands_over(code, value):
            strand = STRAND.get()
            if strand is not None and strand.running:
                self._suspend()
        else:
            self._pause(sys._getframe(1))

    def _resumed(self, code: CodeType, offset: int) -> None:
        if code.co_flags & _COROUTINE:
            strand = STRAND.get()
            if strand is not None and not strand.running:
                self._resume()
        else:
            self._continue(sys._getframe(1))

    def _thrown(self, code: CodeType, offset: int, error: BaseException) -> None:
        known = self._codes.get(id(code))
        if known is not None and known.watched:
            self._resumed(code, offset) if code.co_flags & _COROUTINE else self._continue(
                sys._getframe(1)
            )


def _take_tool_id() -> int:
    monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    holders = []
    for tool in _TOOL_IDS:
        holder = monitoring.get_tool(tool)
        if holder is None:
            monitoring.use_tool_id(tool, _NAME)
            return tool
        holders.append(f"{tool} ({holder})")
    raise LayersError(
        f"layers cannot be watched: the tool ids {' and '.join(holders)} of sys.monitoring"
        " are in use; end what holds one of them"
    )
