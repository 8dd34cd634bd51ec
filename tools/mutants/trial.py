"""One mutant before the tests: the process it lives in, and how that ends.

What lives here: placing a mutant, running tests on it, deadlines, leaving nothing behind. What must
not: which mutants there are, and what is thought of the result.

pytest has collected once; each mutant gets a fork of that process, in which the changed functions
are given the mutant's code. So a mutant costs its tests and little more. A change outside of all
functions (a table, a default, a class body) works when the module is imported, so there pytest
starts in a fork that has imported nothing of the package yet. Processes that the tests start get
the mutant by a `sitecustomize` in a directory of the trial's own. No file of the tree is touched.

A trial is two processes: the tests, and a keeper above it that adopts whatever is left by them
(Linux's PR_SET_CHILD_SUBREAPER), holds the deadline, and kills all that when it is over.
"""

from __future__ import annotations

import ctypes
import gc
import json
import marshal
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SURVIVED, KILLED, TIMEOUT, ERROR = "survived", "killed", "timeout", "error"

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_MEMORY: Final = 6 << 30
_FUNCTION: Final = 1  # CO_OPTIMIZED: code of a function, not of a class or a module

_SITECUSTOMIZE: Final = """
import importlib.abc, importlib.machinery, marshal, sys

class Mutant(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        with open({code!r}, "rb") as file:
            return marshal.load(file)

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != {name!r}:
            return None
        return importlib.util.spec_from_file_location(name, {path!r}, loader=Mutant(name, {path!r}))

import importlib.util
sys.meta_path.insert(0, Finder())
"""


@dataclass(frozen=True)
class Placement:
    """A compiled mutant, and the module it takes the place of."""

    name: str
    path: str
    original: types.CodeType
    mutant: types.CodeType

    @property
    def functions(self) -> list[tuple[types.CodeType, types.CodeType]]:
        """The functions to be changed, as pairs; none if it works at the import only."""
        return functions_changed(self.original, self.mutant) or []


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant, and which test saw to it."""

    index: int
    result: str
    by: str


def functions_changed(
    original: types.CodeType, mutant: types.CodeType
) -> list[tuple[types.CodeType, types.CodeType]] | None:
    """Return pairs of the outermost functions that differ; None if something else does."""
    if original.co_flags & _FUNCTION:
        if original == mutant:
            return []
        # A comprehension is over when the module has been imported.
        lives = not original.co_name.startswith("<") or original.co_name == "<lambda>"
        return [(original, mutant)] if lives else None
    ours, theirs = original.co_consts, mutant.co_consts
    if original.co_code != mutant.co_code or original.co_names != mutant.co_names:
        return None
    if len(ours) != len(theirs):
        return None
    pairs = []
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, types.CodeType) and isinstance(other, types.CodeType):
            inner = functions_changed(one, other)
            if inner is None:
                return None
            pairs += inner
        elif type(one) is not type(other) or one != other:
            return None
    return pairs


def functions_of(paths: Collection[str]) -> list[types.FunctionType]:
    """Return the functions of these files that live in this process."""
    return [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, types.FunctionType) and thing.__code__.co_filename in paths
    ]


def place_in_functions(placement: Placement, living: list[types.FunctionType]) -> None:
    """Give those of the living functions that are to be changed the mutant's code.

    Raises:
        LookupError: one of them is not there, or would have other free variables.
    """
    for original, mutant in placement.functions:
        found = [
            function
            for function in living
            if function.__code__ == original and function.__code__.co_filename == placement.path
        ]
        if not found or len(original.co_freevars) != len(mutant.co_freevars):
            raise LookupError(original.co_qualname)
        for function in found:
            function.__code__ = mutant


def prepare(placement: Placement, scratch: Path) -> Path:
    """Write what makes a process import the mutant; the `sitecustomize.py`."""
    code = scratch / "mutant.bin"
    code.write_bytes(marshal.dumps(placement.mutant))
    site = scratch / "sitecustomize.py"
    text = _SITECUSTOMIZE.format(code=str(code), name=placement.name, path=placement.path)
    site.write_text(text, encoding="utf-8")
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(scratch), path]))
    os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(scratch)
    tempfile.tempdir = None
    return site


class Reporter:
    """The tests' end of the pipe to the keeper: which test runs, how long it may, which failed."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def starts(self, test: str, patience: float) -> None:
        self._say("starts", test, patience)

    def failed(self, test: str) -> None:
        self._say("failed", test, 60.0)

    def done(self) -> None:
        self._say("done", "", 60.0)

    def _say(self, word: str, test: str, patience: float) -> None:
        os.write(self._pipe, json.dumps([word, test[:2000], patience]).encode() + b"\n")


class Trials:
    """Runs trials, so many at a time, each in processes of its own."""

    def __init__(self, jobs: int, on_verdict: Callable[[Verdict], None]) -> None:
        self._jobs = jobs
        self._on_verdict = on_verdict
        self._running: dict[int, tuple[int, int]] = {}  # keeper -> index, pipe

    def start(self, index: int, trial: Callable[[Reporter, Path], None], patience: float) -> None:
        """Begins one; waits for a place. `trial` runs in a fork, which ends when it returns."""
        while len(self._running) >= self._jobs:
            self._reap()
        ours, theirs = os.pipe()
        keeper = os.fork()
        if keeper == 0:
            os.close(ours)
            try:
                os.write(theirs, json.dumps(_keep(trial, patience)).encode())
            finally:
                os._exit(0)
        os.close(theirs)
        self._running[keeper] = index, ours

    def finish(self) -> None:
        """Wait for all of them."""
        while self._running:
            self._reap()

    def stop(self) -> None:
        """End those that run; their keepers clean up."""
        for keeper in self._running:
            os.kill(keeper, signal.SIGTERM)
        for keeper in self._running:
            os.waitpid(keeper, 0)

    def _reap(self) -> None:
        pipes = {pipe: keeper for keeper, (_, pipe) in self._running.items()}
        for pipe in select.select(list(pipes), [], [])[0]:
            keeper = pipes[pipe]
            said = os.read(pipe, 1 << 16)
            os.close(pipe)
            os.waitpid(keeper, 0)
            index, _ = self._running.pop(keeper)
            result, by = json.loads(said) if said else (ERROR, "its keeper ended")
            self._on_verdict(Verdict(index, result, by))


def _keep(trial: Callable[[Reporter, Path], None], patience: float) -> tuple[str, str]:
    """Keep a trial, from its fork to its end, and leave nothing of it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    scratch = Path(tempfile.mkdtemp(prefix="mut"))
    ours, theirs = os.pipe()
    try:
        if os.fork() == 0:
            os.close(ours)
            _run(trial, Reporter(theirs), scratch)
        os.close(theirs)
        return _watch(ours, patience)
    finally:
        _kill_descendants()
        shutil.rmtree(scratch, ignore_errors=True)


def _run(trial: Callable[[Reporter, Path], None], reporter: Reporter, scratch: Path) -> None:
    """Run the tests, in a process of their own that ends here, whatever happens."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        trial(reporter, scratch)
    except BaseException as error:  # noqa: BLE001
        reporter.failed(f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _watch(pipe: int, patience: float) -> tuple[str, str]:
    """Follows what the tests say until they are done, one failed, or one takes too long."""
    rest, test = b"", "before the first test"
    deadline = time.monotonic() + patience
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return TIMEOUT, test
        said = os.read(pipe, 1 << 16)
        if not said:
            return KILLED, f"died: {test}"
        *lines, rest = (rest + said).split(b"\n")
        for line in lines:
            word, name, patience = json.loads(line)
            if word == "failed":
                return KILLED, name or test
            if word == "done":
                return SURVIVED, ""
            test, deadline = name, time.monotonic() + patience


def _children() -> Iterator[int]:
    me = os.getpid()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == me:
                    yield int(entry.name)


def _kill_descendants() -> None:
    """Kills the children; theirs are adopted by then and come next."""
    while pids := list(_children()):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def _prctl(option: int, value: int) -> None:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def end_with_parent() -> None:
    """Have this process get SIGTERM when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
