"""The record of one request: its steps, each with its time.

What lives here: `Trace`, and `Tracer`, which makes one for each request that is to be shown. What
must not: what a step says (show.py), how a record becomes text (text.py), secrets (redact.py): what
is handed to a record may be shown to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from fnmatch import fnmatchcase
from time import perf_counter
from typing import Any, Final, NamedTuple

from bare_serve.clauses import reference
from bare_serve.errors import ResponseError
from bare_serve.xray import redact
from bare_serve.xray.layer_recorder import Layers
from bare_serve.xray.layer_text import text as layer_text
from bare_serve.xray.layer_tree import Tree
from bare_serve.xray.options import XrayOptions

IN: Final = "->"
"""Towards the application."""
APP: Final = "<-"
"""From the application."""
OUT: Final = "=>"
"""Bytes to the client."""
WRONG: Final = "x"
ADVICE: Final = "!"

MOST_STEPS: Final = 120
"""In one block; what comes behind is a block of its own."""
MOST_BLOCKS: Final = 20
"""Of one request; then its steps are only counted."""
SHOWN_AFTER: Final = 2.0
"""Seconds after which the steps of a request that goes on are shown."""
SLOW: Final = 0.001
"""Seconds from which on it is said that somebody waited."""

# Notes that popular frameworks make reason for with each answer.
_ONLY_IN_FULL = frozenset(("asgi-headers-case",))


class Step(NamedTuple):
    """One line of a record; further lines of `text` belong to it."""

    at: float
    """Seconds since the first byte."""
    mark: str
    name: str
    text: str


class Block(NamedTuple):
    """What is shown at once: all steps of a request, or those since the last block of it."""

    title: str
    facts: tuple[str, ...]
    steps: list[Step]
    layers: tuple[str, ...] = ()
    """Which application wraps which, as lines."""
    is_last: bool = False
    """The request is over."""


class Trace:
    """The record of one request, a WebSocket or a lifespan."""

    def __init__(self, tracer: Tracer, number: int, title: str, began: float) -> None:
        self.tracer = tracer
        self.options = tracer.options
        self._emit = tracer.emit
        self.title = title
        self.number = number
        self.began = began
        """When its first byte came, by perf_counter."""
        self.head_at = began
        self.called_at = 0.0
        self.status = ""
        self.where = ""
        """Thread and client."""
        self.request_id = ""
        """What the answer has told the client, ready to be shown."""
        self.by_server = False
        """The server answers in the application's place."""
        self.steps: list[Step] = []
        self.layers: tuple[str, ...] = ()
        self._given: MutableMapping[str, Any] | None = None
        """The environ or scope of the call that is under way."""
        self._tree: Tree | None = None
        self.finished = False
        self.block: Block | None = None
        """The last one, once it is finished."""
        self.before: Trace | None = None
        """Of the request before on the same connection, where the application may look at it."""
        self.said: set[tuple[str, str]] = set()
        self._outs: list[tuple[str, bool, float]] = []
        self._shown_at = perf_counter()
        self._blocks = 0
        self._left_out = 0

    # ------------------------------------------------------------------ layers

    def begin_layers(self, given: MutableMapping[str, Any]) -> None:
        """Watch which application wraps which, in the call that is handed this environ or scope."""
        if self.tracer.layers is not None:
            self.tracer.layers.begin(given)
            self._given = given

    def layer_times(self) -> Iterator[tuple[str, float]]:
        """Yield the layers up to now, each with its milliseconds and those of what it has called.

        None where only some requests have layers. Inner functions of libraries are left out.
        """
        layers, given, tree = self.tracer.layers, self._given, self._tree
        if layers is None or not layers.for_all:
            return
        if given is not None:
            tree = layers.so_far(given)
        if tree is not None:
            for _, each, total in tree.with_totals():
                if each.label.users or each.label.named:
                    yield each.label.name, total

    def end_layers(self, given: MutableMapping[str, Any]) -> None:
        """Note what came of it: the call is over."""
        self._given = None
        if self.tracer.layers is not None:
            self._tree = tree = self.tracer.layers.end(given)
            if tree is not None:
                self.layers = tuple(layer_text(tree, full=self.options.full))

    # ------------------------------------------------------------------ steps

    def step(self, mark: str, name: str, text: str = "", at: float = 0.0) -> None:
        """Add a step; `at`: when it was, by perf_counter, if that is not now."""
        if self.finished:
            return
        now = perf_counter()
        if len(self.steps) >= MOST_STEPS or (self.steps and now - self._shown_at > SHOWN_AFTER):
            self._show_so_far(now)
        if self._blocks >= MOST_BLOCKS:
            self._left_out += 1
            return
        self.steps.append(Step((at or now) - self.began, mark, name, text))

    def out(self, text: str, *, own: bool) -> None:
        """Note bytes that are about to leave; `own`: they are a step of their own."""
        self._outs.append((text, own, perf_counter()))

    def sent(self, name: str, text: str, at: float) -> None:
        """Add a step of the application's, with what it made leave: at its end, or behind it."""
        outs, self._outs = self._outs, []
        tail = "; ".join(out for out, own, _ in outs if not own)
        self.step(APP, name, f"{text}   => {tail}" if tail else text, at)
        for out, own, when in outs:
            if own:
                self.step(OUT, "bytes out", out, when)

    @property
    def has_outs(self) -> bool:
        """Whether something has been noted by `out` since the last step."""
        return bool(self._outs)

    def flush_outs(self, note: str = "") -> None:
        """Make steps of what has been noted by `out`."""
        outs, self._outs = self._outs, []
        for text, _, when in outs:
            self.step(OUT, "bytes out", text + note, when)

    # ------------------------------------------------------------------ clauses

    def wrong(self, name: str, error: ResponseError) -> None:
        """Show a mistake that was raised into the application, in its place."""
        text, clause = str(error), f"\n{reference(error.clause)}" if error.clause else ""
        if clause and text.endswith(clause):
            text = redact.said(text.removesuffix(clause)) + clause
        else:
            text = redact.said(text)
        self.step(WRONG, name, text)
        self.said.add((error.clause, ""))

    def breach(self, clause: str, got: str) -> None:
        """Show a mistake that the server has only logged."""
        if (clause, "") not in self.said:
            self.said.add((clause, ""))
            self.step(WRONG, "wrong", f"{redact.said(got)}\n{reference(clause)}")

    def advise(self, clause: str, got: str) -> None:
        """Show what works, and is most likely not meant; the same once."""
        if clause in _ONLY_IN_FULL and not self.options.full:
            return
        if (clause, got) not in self.said and len(self.said) < MOST_STEPS:
            self.said.add((clause, got))
            self.step(ADVICE, "advice", f"{redact.said(got)}\n{reference(clause)}")

    def raised(self, error: BaseException, mark: str = WRONG) -> None:
        """Show an exception that has left the application, and where it was raised."""
        if (
            isinstance(error, ResponseError)
            and error.clause
            and (error.clause, "") not in self.said
        ):
            self.wrong("raised", error)
            return
        if isinstance(error, ResponseError):
            what = f"{type(error).__name__} of above, which the application let through"
        else:
            what = type(error).__name__
            if not redact.shows_only_harmless():
                first = str(error).partition("\n")[0]
                what = f"{what}: {redact.target(first)[:200]}".rstrip(": ")
        self.step(mark, "raised", what + _place(error))

    # ------------------------------------------------------------------ the end

    def so_far(self) -> list[Block]:
        """Return what is there now, behind what there was of the request before."""
        found = [Block(self._title("so far"), self._facts(perf_counter()), list(self.steps))]
        if self.before is not None and self.before.block is not None:
            found.insert(0, self.before.block)
        return found

    def finish(self) -> None:
        """Show the record; nothing is added any more."""
        if self.finished:
            return
        self.flush_outs()
        if self._left_out:
            self._blocks = 0
            self.step(ADVICE, "left out", f"{self._left_out} more steps of this request")
        self.finished = True
        self.block = block = self._block("", perf_counter())
        self._emit(block)

    def _show_so_far(self, now: float) -> None:
        self._blocks += 1
        if self._blocks <= MOST_BLOCKS:
            self._emit(self._block("goes on", now))
        self.steps = []
        self._shown_at = now

    def _block(self, state: str, now: float) -> Block:
        return Block(self._title(state), self._facts(now), self.steps, self.layers, not state)

    def _title(self, state: str) -> str:
        number = f"#{self.number}  " if self.number else ""
        return f"{number}{self.title}" + (f" ({state})" if state else "")

    def _facts(self, now: float) -> tuple[str, ...]:
        took = f"{(now - self.began) * 1000:.2f} ms"
        named = f"request id {self.request_id}" if self.request_id else ""
        return tuple(filter(None, (self.status, took, self.tracer.place, self.where, named)))


class Tracer:
    """Makes a record for each request that is to be shown; one for a worker."""

    def __init__(
        self,
        options: XrayOptions,
        admit: Callable[[], int],
        show: Callable[[Block], None],
        place: str = "",
    ) -> None:
        """Have `admit` say which number a record gets, 0 for none, and `show` take what is ready.

        Any thread may call both. `place`: the worker, in words.
        """
        self.options = options
        self.place = place
        self.emit = show
        self._admit = admit
        method, _, pattern = options.pattern.rpartition(" ")
        self._method, self._pattern = method.strip().upper(), pattern
        self._without = options.without
        self.app_name = "app"
        """What the application is called in steps."""
        self.parser = "python"
        """What splits heads."""
        self.over = False
        """No request is to be shown any more."""
        self.layers: Layers | None = None
        """What watches which application wraps which; None where nothing can."""

    def admit(self, method: str, path: bytes) -> int:
        """Return the number of a record for a request; 0 if it is not to be shown.

        `method` and `path`, without the query, are as sent; empty if they could not be read.
        """
        chooses = self._pattern or self._without
        is_wanted = not chooses or self._is_wanted(method, path.decode("latin-1"))
        number = self._admit() if is_wanted else 0
        if not number and (layers := self.layers) is not None:
            layers.rest()
        return number

    def _is_wanted(self, method: str, path: str) -> bool:
        if self._without and self._without in path:
            return False
        if not self._pattern:
            return True
        return self._method in ("", method) and fnmatchcase(path, self._pattern)

    def lend(self, other: Tracer) -> Callable[[], None]:
        """Do what another tracer does with requests that begin from now on; return what ends that.

        What the application is handed and what clients see stays as it is.
        """
        mine, theirs = {**vars(self)}, {**vars(other)}
        theirs["options"] = other.options._replace(
            in_call=self.options.in_call, silent=self.options.silent
        )
        theirs["_without"] = self._without
        vars(self).update(theirs)  # at once, as other threads look at it
        return lambda: vars(self).update(mine)

    def begin_apart(self, title: str) -> Trace:
        """Return the record of what is no request."""
        return Trace(self, 0, title, perf_counter())


def _place(error: BaseException) -> str:
    """Return where an exception was raised: the last frame that is not the server's."""
    found: Any = None
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not traceback.tb_frame.f_globals.get("__name__", "").startswith("bare_serve."):
            found = f"\nat {code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
    return found or ""


def waited(seconds: float, whom: str) -> str:
    """Return how long somebody waited, if that is worth a word."""
    return f"   waited {seconds * 1000:.1f} ms for {whom}" if seconds >= SLOW else ""
