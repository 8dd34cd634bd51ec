"""What both means of watching share: from calls, suspensions and ends of frames to trees.

A request is found in two ways. A layer is passed the environ or the scope, which is marked; a copy
of it keeps the mark. Everything else belongs to the innermost layer of its context
(`contextvars`), which tasks and the threads of frameworks inherit. Generators and coroutines
belong to the layer that returned them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from bare_serve.errors import BareServeError
from bare_serve.xray.layer_tree import Clock, Label, Trace, Tree

MARK = "bare_serve.layers"
"""The key of an environ or a scope under which the number of its request stands."""

Call = tuple[Tree, Tree]
"""A layer, and the one that runs when it ends or hands over a value."""

Given = MutableMapping[str, Any]
"""An environ or a scope."""

INNERMOST: ContextVar[Tree | None] = ContextVar("bare_serve.innermost_layer", default=None)


_FRAMES: dict[type, str] = {
    GeneratorType: "gi_frame",
    CoroutineType: "cr_frame",
    AsyncGeneratorType: "ag_frame",
}


class LayersError(BareServeError):
    """Layers cannot be watched in this process; the message says who holds what is needed."""


class Layers:
    """Watches the requests that are begun, until it is uninstalled."""

    how = ""
    """One sentence for the banner: by what means, and which requests have a tree."""

    def __init__(self, every: int, clock: Clock) -> None:
        self._every = every
        self._clock = clock
        self._begun = itertools.count()
        self._traces: dict[int, Trace] = {}
        """By the id of what was given, which is alive as long as its trace."""
        self._marked: dict[int, Trace] = {}
        self._calls: dict[FrameType, Call] = {}
        self._paused: set[FrameType] = set()
        """Generators among them that have handed over a value, and do not await."""
        self._makers: dict[FrameType, Tree] = {}
        """By a frame that has not begun yet: the layer that returned its generator or coroutine."""

    def begin(self, given: Given) -> None:
        """Watch the request with this environ or scope, if it is its turn to be watched."""
        number = next(self._begun)
        if number % self._every or not self._may_begin():
            return
        trace = Trace(given, self._clock, number)
        given[MARK] = number
        self._traces[id(given)] = self._marked[number] = trace
        if "wsgi.input" in given:  # the server calls more than the application in this thread
            INNERMOST.set(trace.root)

    def end(self, given: Given) -> Tree | None:
        """Return the tree of what was begun with this dict; None if it had no turn."""
        trace = self._traces.pop(id(given), None)
        given.pop(MARK, None)
        if trace is None:
            return None
        self._marked.pop(trace.number, None)
        innermost = INNERMOST.get()
        if innermost is not None and innermost.trace is trace:
            INNERMOST.set(None)
        if trace.made:
            for frame in [f for f, node in [*self._makers.items()] if node.trace is trace]:
                self._makers.pop(frame, None)  # never begun
        if trace.open:
            for frame in [f for f, call in [*self._calls.items()] if call[0].trace is trace]:
                self._calls.pop(frame, None)  # left running, or closed without an event
                self._paused.discard(frame)
        return trace.finish()

    def uninstall(self) -> None:
        """Watch no more; requests that are begun have no tree."""
        for trace in [*self._traces.values()]:
            trace.finish()
        self._traces.clear()
        self._marked.clear()
        self._calls.clear()
        self._paused.clear()
        self._makers.clear()

    def _may_begin(self) -> bool:
        return True

    def _may_matter(self, code: CodeType) -> bool:
        """Whether calls of this code can be in a tree."""
        raise NotImplementedError

    # What happens to frames; each of these is called in the frame's own context.

    def _innermost(self) -> Tree | None:
        """Return the innermost layer of this context, if its request is still watched."""
        node = INNERMOST.get()
        return None if node is None or node.trace.over else node

    def _enter(
        self, frame: FrameType, label: Label, parent: Tree, before: Tree | None, same: bool
    ) -> None:
        """Begin a layer below its parent; `before` is the layer that runs in this context.

        If the parent has the same name it may be the `same` layer: a method that has called that of
        its base class, or has returned this coroutine.
        """
        trace = parent.trace
        parent = trace.below(parent)
        if same and parent.label.name == label.name:
            node = parent
            node.code = frame.f_code
        else:
            node = parent.call(label, frame.f_code)
        if before is None or before.trace is not trace:
            before = trace.root
        self._calls[frame] = (node, before)
        trace.open += 1
        INNERMOST.set(node)
        trace.turn(node, False)

    def _leave(self, frame: FrameType, call: Call, value: object) -> None:
        del self._calls[frame]
        node, before = call
        trace = node.trace
        trace.open -= 1
        if value is not None and value is not trace.value:
            trace.value = value
            self._remember_maker(node, value)
        INNERMOST.set(before)
        trace.back_to(before)

    def _suspend(self, call: Call) -> None:
        node = call[0]
        node.awaiting += 1
        if not node.trace.waiting:  # else a layer further down waits
            node.trace.turn(node, True)

    def _pause(self, frame: FrameType, call: Call) -> None:
        self._paused.add(frame)
        INNERMOST.set(call[1])
        call[0].trace.back_to(call[1])

    def _resume(self, frame: FrameType, call: Call) -> None:
        node = call[0]
        trace = node.trace
        if frame in self._paused:
            self._paused.discard(frame)
            before = self._innermost()
            if before is None or before.trace is not trace:
                before = trace.root
            self._calls[frame] = (node, before)
            INNERMOST.set(node)
        elif node.awaiting:
            node.awaiting -= 1
        trace.turn(node, False)

    def _remember_maker(self, node: Tree, value: object) -> None:
        """Remember who made the generators and coroutines of a value that a layer returns.

        A response has them in its attributes.
        """
        for each in _value_and_attributes(value):
            name = _FRAMES.get(type(each))
            made = getattr(each, name) if name else None
            if made is not None and self._may_matter(made.f_code):
                self._makers.setdefault(made, node)
                node.trace.made += 1


def _value_and_attributes(value: object) -> Iterator[object]:
    kind = type(value)
    yield value
    if kind.__module__ != "builtins":
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is dict:
            yield from [*attributes.values()]
