"""What both means of watching share: from calls, suspensions and ends of functions to trees.

A request is found in two ways. A layer is passed the environ or the scope, which is marked; a copy
of it keeps the mark. Everything else belongs to the innermost layer of its context
(`contextvars`), which tasks and the threads of frameworks inherit. Generators and coroutines
belong to the layer that returned them.

Within a context calls nest, so a stack tells which layer a return belongs to. A task or a thread
that a layer starts inherits its context, and so its strand; it is suspended then, or it would be
the one that runs, and that is how a new strand is known to be needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from bare_serve.xray.layer_tree import DEEPEST, Clock, Label, Trace, Tree

MARK = "bare_serve.layers"
"""The key of an environ or a scope under which the number of its request stands."""

Given = MutableMapping[str, Any]
"""An environ or a scope."""


class Strand:
    """The layers that run within one another in one task or thread."""

    __slots__ = ("outer", "running", "stack", "stays", "trace")

    def __init__(self, base: Tree, outer: Strand | None, *, stays: bool = False) -> None:
        self.trace = base.trace
        self.stack: list[tuple[Tree, CodeType | None]] = [(base, None)]
        """From the layer that started the task or thread to the innermost one, with their code."""
        self.outer = outer
        """The strand of the task or thread that started this one."""
        self.running = True
        """False while it is suspended in an `await`."""
        self.stays = stays
        """Whether it is still there when its last layer has ended."""


STRAND: ContextVar[Strand | None] = ContextVar("bare_serve.strand_of_layers", default=None)

_FRAMES: dict[type, str] = {
    GeneratorType: "gi_frame",
    CoroutineType: "cr_frame",
    AsyncGeneratorType: "ag_frame",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """Which requests have a tree: one of `every`, and no more than `per_second` of them."""

    every: int = 1
    per_second: int | None = None


class Layers:
    """Watches the requests that are begun, until it is uninstalled."""

    for_all = False
    """Whether each request has a tree, as far as there is room."""
    how = ""
    """One sentence for the banner: by what means, and which requests have a tree."""

    def __init__(self, sample: Sample, clock: Clock) -> None:
        self._every = sample.every
        self._per_second = sample.per_second
        self._second = 0
        self._in_second = 0
        self._clock = clock
        self._begun = itertools.count()
        self._traces: dict[int, Trace] = {}
        """By the id of what was given, which is alive as long as its trace."""
        self._marked: dict[int, Trace] = {}
        self._paused: dict[FrameType, Tree] = {}
        """Generators that have handed over a value: the layer that they are."""
        self._makers: dict[FrameType, Tree] = {}
        """By a frame that has not begun yet: the layer that returned its generator or coroutine."""

    def begin(self, given: Given) -> None:
        """Watch the request with this environ or scope, if it is its turn to be watched."""
        number = next(self._begun)
        if number % self._every or not self._may_begin():
            return
        if self._per_second is not None and not self._has_room(self._per_second):
            return
        trace = Trace(given, self._clock, number)
        given[MARK] = number
        self._traces[id(given)] = self._marked[number] = trace
        if "wsgi.input" in given:  # the server calls more than the application in this thread
            STRAND.set(Strand(trace.root, None, stays=True))

    def end(self, given: Given) -> Tree | None:
        """Return the tree of what was begun with this dict; None if it had no turn."""
        trace = self._traces.pop(id(given), None)
        given.pop(MARK, None)
        if trace is None:
            return None
        self._marked.pop(trace.number, None)
        strand = STRAND.get()
        if strand is not None and strand.trace is trace:
            STRAND.set(None)
        if trace.made:  # some of them may never have begun, or were closed without an event
            for table in (self._makers, self._paused):
                for frame in [f for f, node in [*table.items()] if node.trace is trace]:
                    table.pop(frame, None)
        return trace.finish()

    def rest(self) -> None:
        """Watch as little as can be until the next `begin`: requests go by that are not begun."""

    def so_far(self, given: Given) -> Tree | None:
        """Return the tree of a request that is under way, up to now; it goes on to change."""
        trace = self._traces.get(id(given))
        if trace is None or not trace.root.children:
            return None
        trace.turn(trace.holder, trace.waiting)
        return trace.root.children[0]

    def uninstall(self) -> None:
        """Watch no more; requests that are begun have no tree."""
        for trace in [*self._traces.values()]:
            trace.finish()
        self._traces.clear()
        self._marked.clear()
        self._paused.clear()
        self._makers.clear()

    def _may_begin(self) -> bool:
        return True

    def _has_room(self, per_second: int) -> bool:
        second = self._clock() // 1_000_000_000
        if second != self._second:
            self._second = second
            self._in_second = 0
        self._in_second += 1
        return self._in_second <= per_second

    def _may_matter(self, code: CodeType) -> bool:
        """Whether calls of this code can be in a tree."""
        raise NotImplementedError

    # What happens to frames; each of these is called in the frame's own context.

    def _innermost(self) -> Tree | None:
        """Return the innermost layer of this context, if its request is still watched."""
        strand = STRAND.get()
        return None if strand is None or strand.trace.over else strand.stack[-1][0]

    def _strand(self, trace: Trace) -> Strand:
        """Return the strand of this context; a new one if this context has only inherited one."""
        strand = STRAND.get()
        if strand is not None and strand.trace is not trace:
            strand = None
        if strand is None or not strand.running:
            base = trace.root if strand is None else strand.stack[-1][0]
            strand = Strand(base, strand)
            STRAND.set(strand)
        return strand

    def _enter(self, code: CodeType, label: Label, parent: Tree, same: bool) -> None:
        """Begin a layer below its parent.

        If the parent has the same name it may be the `same` layer: a method that has called that of
        its base class, or has returned this coroutine.
        """
        trace = parent.trace
        parent = trace.below(parent)
        strand = self._strand(trace)
        if same and parent.label.name == label.name:
            node = parent
            node.code = code
        elif len(strand.stack) < DEEPEST:
            node = parent.call(label, code)
        else:
            node = strand.stack[-1][0]
        strand.stack.append((node, code))
        trace.turn(node, False)

    def _pass(self, code: CodeType) -> None:
        """Note a call of watched code that is no layer this time, so that its end is none's."""
        strand = STRAND.get()
        if strand is not None and not strand.trace.over:
            strand = self._strand(strand.trace)
            strand.stack.append((strand.stack[-1][0], code))

    def _leave(self, code: CodeType, value: object) -> None:
        strand = STRAND.get()
        if strand is None or strand.stack[-1][1] is not code:
            return
        node, _ = strand.stack.pop()
        trace = strand.trace
        if value is not None and value is not trace.value:
            trace.value = value
            self._remember_maker(node, value)
        self._go_back(strand)

    def _go_back(self, strand: Strand) -> None:
        """Give the time to the layer above; a strand without layers gives it to who started it."""
        trace = strand.trace
        if len(strand.stack) > 1 or strand.stays:
            trace.turn(strand.stack[-1][0], False)
            return
        outer = strand.outer
        STRAND.set(outer)
        if outer is None:
            trace.turn(trace.root, False)
        else:
            trace.turn(outer.stack[-1][0], not outer.running)

    def _suspend(self) -> None:
        strand = STRAND.get()
        if strand is not None and strand.running:  # else a layer further down has suspended it
            strand.running = False
            strand.trace.turn(strand.stack[-1][0], True)

    def _resume(self) -> None:
        strand = STRAND.get()
        if strand is not None and not strand.running:
            strand.running = True
            strand.trace.turn(strand.stack[-1][0], False)

    def _pause(self, frame: FrameType) -> None:
        """Take a generator that hands over a value out of the strand, until it goes on."""
        strand = STRAND.get()
        if strand is not None and strand.stack[-1][1] is frame.f_code and not strand.trace.over:
            node, _ = strand.stack.pop()
            self._paused[frame] = node
            strand.trace.made += 1
            self._go_back(strand)

    def _continue(self, frame: FrameType) -> None:
        """Let a generator go on, after a value or after an `await`."""
        node = self._paused.pop(frame, None)
        if node is None:
            self._resume()
        elif not node.trace.over:
            self._strand(node.trace).stack.append((node, frame.f_code))
            node.trace.turn(node, False)

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
        try:  # past proxies, which have the attributes of something else
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return
        yield from [*attributes.values()]
