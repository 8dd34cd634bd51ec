"""Who has the time of one request: a cursor that is passed from layer to layer.

At each moment exactly one layer of a request has the time: the one that runs, or, while all are
suspended, the one that waits at the bottom. So the own times of a tree sum up to its total by
construction, whatever runs at once: tasks, threads, generators. No clock but the one that is
handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType

Clock = Callable[[], int]
"""Nanoseconds that never go back."""


DEEPEST = 150
"""So many layers within one another are told apart; the time of further ones is the last one's."""

WIDEST = 60
"""So many layers below the same one are told apart, and one more stands for all others."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a layer is called, and where its code is.

    `package` is that of an installed library ("flask"); code of the user has `file.py:12` there.
    `users` tells the two apart. `named` is false for a library's inner functions, which pass on.
    """

    name: str
    package: str
    users: bool = False
    named: bool = True


class Tree:
    """One layer and what it called. Times are milliseconds; own times sum up to the total."""

    # Defaults of the class, since most layers never change them: one is made for each call.
    label: Label
    children: Sequence[Tree] = ()
    calls = 1
    """More than one where a layer was called again below the same one."""
    running_ns = 0
    waiting_ns = 0
    # Only while the request is under way:
    trace: Trace
    code: CodeType | None = None
    """What was called last."""

    @property
    def name(self) -> str:
        """The class of the layer, or the function; functions of the user's end in `()`."""
        return self.label.name

    @property
    def package(self) -> str:
        """The library ("flask"), or for code of the user's file and line ("shop/web.py:12")."""
        return self.label.package

    @property
    def total(self) -> float:
        """Milliseconds in this layer and in all below it."""
        return self.with_totals()[0][2]

    @property
    def own(self) -> float:
        """Milliseconds in which the request was at this layer, and not at one below it."""
        return (self.running_ns + self.waiting_ns) / 1e6

    @property
    def waiting(self) -> float:
        """The part of `own` in which the layer was suspended in an `await`."""
        return self.waiting_ns / 1e6

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Tree]]:
        """Yield each layer with its depth, from the outermost in the order of their calls."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)

    def with_totals(self) -> list[tuple[int, Tree, float]]:
        """Return each layer as `walk` does, with its total: all of them in one pass."""
        found: list[tuple[int, Tree, float]] = []

        def add(tree: Tree, depth: int) -> int:
            place = len(found)
            found.append((depth, tree, 0.0))
            total = tree.running_ns + tree.waiting_ns
            for child in tree.children:
                total += add(child, depth + 1)
            found[place] = depth, tree, total / 1e6
            return total

        add(self, 0)
        return found

    def call(self, label: Label, code: CodeType) -> Tree:
        """Return the layer of this name below this one, which is called now."""
        if len(self.children) >= WIDEST:
            label = _OTHERS
        for each in self.children:
            if each.label is label:
                each.calls += 1
                each.code = code
                return each
        made = Tree()
        made.label = label
        made.trace = self.trace
        made.code = code
        self.children = [*self.children, made]
        return made


_SERVER = Label("", "")
_OTHERS = Label("...", "")


class Trace:
    """One request: its layers, and which of them has the time now."""

    __slots__ = (
        *("clock", "given", "holder", "made", "number", "over", "root", "since"),
        *("value", "waiting"),
    )

    def __init__(self, given: object, clock: Clock, number: int = 0) -> None:
        self.given = given
        self.clock = clock
        self.root = Tree()
        """The server: it is above the outermost layer, and its own time is not counted."""
        self.root.label = _SERVER
        self.root.trace = self
        self.holder = self.root
        self.waiting = False
        self.since = clock()
        self.number = number
        self.over = False
        self.made = 0
        """Generators and coroutines that a layer has returned or that have handed over a value."""
        self.value: object = None
        """What a layer has returned last: mostly the next one returns the same."""

    def turn(self, holder: Tree, waiting: bool) -> None:
        """Give the time since the last turn to its holder, and the time from now on to another."""
        now = self.clock()
        if self.waiting:
            self.holder.waiting_ns += now - self.since
        else:
            self.holder.running_ns += now - self.since
        self.holder = holder
        self.waiting = waiting
        self.since = now

    def below(self, parent: Tree) -> Tree:
        """Return who answers for a call: the outermost layer if the server itself has called."""
        return parent.children[0] if parent is self.root and parent.children else parent

    def finish(self) -> Tree | None:
        """Return the tree; None if no layer was seen. What happens later is not counted."""
        self.turn(self.root, False)
        tree = self.root.children[0] if self.root.children else None
        # Nothing of a request may wait for a garbage collection, so no cycle is left.
        self.over = True
        self.given = self.value = None
        self.root = self.holder = _NOBODY
        return tree


_NOBODY = Trace(None, lambda: 0).root
"""Who has the time of requests that are over."""
