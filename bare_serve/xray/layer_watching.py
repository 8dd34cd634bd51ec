"""What happens at the start of a call: whether it is a layer, and of which request."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import CodeType, FrameType

from bare_serve.xray.layer_codes import Code, Labels, is_of_user
from bare_serve.xray.layer_recorder import MARK, Layers, Sample
from bare_serve.xray.layer_tree import Clock, Tree


class WatchingLayers(Layers):
    """Decides for each start of a frame what becomes of it."""

    def __init__(self, sample: Sample, clock: Clock) -> None:
        super().__init__(sample, clock)
        self._codes: dict[int, Code] = {}
        """By the id of a code object, which is kept alive by what is known of it."""
        self._files: dict[str, bool] = {}
        self._labels = Labels()

    def _judge(self, code: CodeType) -> Code:
        """Return what a piece of code can be; it is remembered, also that it is nothing."""
        known = self._codes[id(code)] = Code(code)
        return known

    def _may_matter(self, code: CodeType) -> bool:
        return not (self._codes.get(id(code)) or self._judge(code)).hopeless

    def _watch(self, code: Code) -> None:
        """Watch from now on how calls of this code end, also the one that has just begun."""
        code.watched = True

    def _begin_call(self, code: Code, frame: FrameType) -> None:
        try:
            if not self._look_at(code, frame) and code.watched:
                self._pass(code.code)
        except Exception:  # noqa: BLE001 (an object of the application's that fails when looked at)
            code.is_layer = code.may_be_layer = code.may_be_middleware = code.entry = False
            code.label = None
        if not code.is_layer:
            code.judge()

    def _look_at(self, code: Code, frame: FrameType) -> bool:
        """Begin the call if it belongs into a tree, and return whether it does."""
        maker = self._makers.pop(frame, None) if self._makers else None
        if code.may_be_layer and self._begin_layer(code, frame, maker):
            return True
        if code.may_be_middleware or code.entry is not False:
            return self._begin_other(code, frame, maker)
        return False

    def _begin_layer(self, code: Code, frame: FrameType, maker: Tree | None) -> bool:
        values = frame.f_locals
        given = values.get(code.given) if code.given else code.given_in(values)
        if not code.is_layer:
            code.chances -= 1
            code.may_be_layer = code.chances > 0
            return False
        before = self._innermost()
        trace = self._marked.get(given.get(MARK, -1)) if isinstance(given, Mapping) else None
        if trace is None:  # what an application makes for another one has no mark
            if before is None or given is None:
                return False
            trace = before.trace
        if not code.watched:
            self._watch(code)
        parent = maker or before
        if parent is None or parent.trace is not trace:
            parent = trace.root
        owner = code.owner(values)
        label = self._labels.of(code, owner, layer=True)
        self._enter(code.code, label, parent, self._may_be_same(code, parent, maker))
        return True

    def _begin_other(self, code: Code, frame: FrameType, maker: Tree | None) -> bool:
        """Begin a call of Django middleware, or of the user's code by a framework."""
        before = self._innermost()
        parent = maker or before
        if parent is None or parent.trace.over:
            code.idle -= not code.watched  # what was in a tree is called by other requests, too
            if code.idle <= 0:
                code.entry = code.may_be_middleware = False
            return False
        if code.may_be_middleware:
            code.may_be_middleware = code.is_middleware(frame.f_locals)
        if not code.may_be_middleware and not self._is_entry(code, frame, maker is not None):
            return False
        if not code.watched:
            self._watch(code)
        owner = code.owner(frame.f_locals) if code.is_method else None
        label = self._labels.of(code, owner, layer=False)
        self._enter(code.code, label, parent, self._may_be_same(code, parent, maker))
        return True

    def _may_be_same(self, code: Code, parent: Tree, maker: Tree | None) -> bool:
        return maker is not None or (code.is_method and parent.code is not code.code)

    def _is_entry(self, code: Code, frame: FrameType, made: bool) -> bool:
        """Whether a framework has called code of the user's, or a function that wraps it.

        A generator that a layer has returned is one, whoever asks for its pieces.
        """
        caller = frame.f_back
        if made or caller is None or not self._is_of_user(caller.f_code.co_filename):
            called = code.users
        else:
            called = _wraps(caller, code.code)
        if code.entry is None:
            code.entry = called
        return called

    def _is_of_user(self, filename: str) -> bool:
        found = self._files.get(filename)
        if found is None:
            found = self._files[filename] = is_of_user(filename)
        return found


def _wraps(caller: FrameType, code: CodeType) -> bool:
    """Whether the caller is a decorator's inner function, and this code what it was put around.

    Such a function takes any arguments, and has the other one as a variable of its decorator.
    """
    if not caller.f_code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return False
    free = caller.f_code.co_freevars
    values = caller.f_locals if free else {}
    return any(getattr(values.get(name), "__code__", None) is code for name in free)
