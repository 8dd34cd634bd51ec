"""Layers by `sys.monitoring` (PEP 669), from Python 3.12 on.

Starts of functions are watched everywhere, and disabled one by one where no layer can be. Returns,
yields and resumptions are watched only in code that is in trees. Exceptions that leave a frame,
and those that are thrown into one, cannot be watched in single pieces of code.
"""

from __future__ import annotations

import atexit
import inspect
import sys
from types import CodeType, FrameType
from typing import Any

from bare_serve.xray.layer_codes import Code, hands_over
from bare_serve.xray.layer_recorder import INNERMOST, LayersError
from bare_serve.xray.layer_tree import Clock, Tree
from bare_serve.xray.layer_watching import WatchingLayers

_TOOL_IDS = (4, 3)
"""Python keeps 0, 1, 2 and 5 for debuggers, coverage, profilers and optimizers."""

_COROUTINE = inspect.CO_COROUTINE

_NAME = "bare-serve layers"


class MonitoredLayers(WatchingLayers):
    """Layers of all requests, or of each `every`th one."""

    def __init__(self, every: int, clock: Clock) -> None:
        super().__init__(every, clock)
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
        for event, callback in self._callbacks.items():
            monitoring.register_callback(self._tool, event, callback)
        monitoring.set_events(self._tool, events.PY_START | events.PY_UNWIND | events.PY_THROW)
        # What an earlier holder of the tool id has disabled is still disabled.
        monitoring.restart_events()
        atexit.register(self.uninstall)  # modules are gone when the last code runs

    def uninstall(self) -> None:
        """Give the tool id back; nothing is watched in any code any more."""
        if not self._callbacks:
            return
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.set_events(self._tool, 0)
        for code in [*self._codes.values()]:
            if code.watched:
                monitoring.set_local_events(self._tool, code.code, 0)
        for event in self._callbacks:
            monitoring.register_callback(self._tool, event, None)
        monitoring.free_tool_id(self._tool)
        atexit.unregister(self.uninstall)
        self._callbacks = {}
        super().uninstall()

    def _watch(self, code: Code) -> None:
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.set_local_events(self._tool, code.code, self._local)
        code.watched = True

    def _forget(self, code: Code) -> None:
        self._codes.pop(id(code.code), None)

    # The hot path. What is written out here is what `Layers` does in functions: with four calls
    # less for each layer it takes half the time.

    def _started(self, code: CodeType, offset: int) -> Any:
        known = self._codes.get(id(code))
        if known is None:
            known = self._judge(code)
        if known.hopeless:
            return self._disable
        if not self._traces:
            return None
        frame = sys._getframe(1)
        before = INNERMOST.get()
        if before is not None and known.watched and not self._makers:
            trace = before.trace
            label = known.label
            if label is None and known.is_layer:
                label = known.labels.get(type(frame.f_locals.get(known.arguments[0])))
            if (
                label is not None
                and before is not trace.root
                and not trace.over
                and before.label.name != label.name
                and (known.is_layer or self._is_called_by_library(frame))
            ):
                if before.children:
                    node = before.call(label, code)
                else:
                    node = Tree()
                    node.label = label
                    node.trace = trace
                    node.code = code
                    before.children = (node,)
                self._calls[frame] = (node, before)
                trace.open += 1
                INNERMOST.set(node)
                now = self._clock()
                if trace.waiting:
                    trace.holder.waiting_ns += now - trace.since
                    trace.waiting = False
                else:
                    trace.holder.running_ns += now - trace.since
                trace.holder = node
                trace.since = now
                return None
        self._begin_call(known, frame)
        return self._disable if known.hopeless else None

    def _is_called_by_library(self, frame: FrameType) -> bool:
        caller = frame.f_back
        return caller is None or self._files.get(caller.f_code.co_filename) is False

    def _returned(self, code: CodeType, offset: int, value: object) -> None:
        frame = sys._getframe(1)
        call = self._calls.pop(frame, None)
        if call is None:
            return
        node, before = call
        trace = node.trace
        trace.open -= 1
        if value is not None and value is not trace.value:
            trace.value = value
            self._remember_maker(node, value)
        INNERMOST.set(before)
        now = self._clock()
        if trace.waiting:
            trace.holder.waiting_ns += now - trace.since
        else:
            trace.holder.running_ns += now - trace.since
        trace.since = now
        if before.awaiting:
            trace.holder = before.sleeper()
            trace.waiting = True
        else:
            trace.holder = before
            trace.waiting = False

    def _unwound(self, code: CodeType, offset: int, error: BaseException) -> None:
        if self._calls:
            frame = sys._getframe(1)
            call = self._calls.get(frame)
            if call is not None:
                self._leave(frame, call, None)

    def _yielded(self, code: CodeType, offset: int, value: object) -> None:
        frame = sys._getframe(1)
        call = self._calls.get(frame)
        if call is None:
            return
        if code.co_flags & _COROUTINE or not hands_over(code, value):
            node = call[0]
            node.awaiting += 1
            if not node.trace.waiting:  # else a layer further down waits
                node.trace.turn(node, True)
        else:
            self._pause(frame, call)

    def _resumed(self, code: CodeType, offset: int) -> None:
        frame = sys._getframe(1)
        call = self._calls.get(frame)
        if call is None:
            return
        if code.co_flags & _COROUTINE:
            node = call[0]
            node.awaiting -= 1
            if node.trace.waiting:
                node.trace.turn(node, False)
            else:  # the layers above went on just before
                node.trace.holder = node
        else:
            self._resume(frame, call)

    def _thrown(self, code: CodeType, offset: int, error: BaseException) -> None:
        if self._calls:
            frame = sys._getframe(1)
            call = self._calls.get(frame)
            if call is not None:
                self._resume(frame, call)


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
