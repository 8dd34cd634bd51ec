"""`make mutants ARGS="http1/deadlines websocket"`: mutants of these modules against their tests.

What lives here: which modules, which tests for each, how many mutants, and the report. What must
not: making mutants (operators.py) and running them (trial.py).

The tests of a module are those of the directory that mirrors its package (`TESTS` names more). Of
these a mutant gets the ones that reach the changed line, first those that have killed most in a
second. Tests that start servers reach lines in other processes: with `--all-tests` each mutant gets
every test.

A mutant is killed if a test fails, or if one takes far longer than without it. What survives is
either a missing test or makes no difference; the latter belongs into `equivalent.txt`, by the name
that the report gives it, with the reason. Net is the share of the killed in those that make one.
"""

from __future__ import annotations

import argparse
import ast
import bisect
import gc
import itertools
import os
import pickle
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import pytest

from tools.mutants.operators import Mutant, mutants
from tools.mutants.trial import (
    ERROR,
    KILLED,
    SURVIVED,
    TIMEOUT,
    Placement,
    Reporter,
    Trials,
    Verdict,
    functions_of,
    place_in_functions,
    prepare,
)

ROOT: Final = Path(__file__).resolve().parents[2]
EQUIVALENT: Final = "equivalent"
EQUIVALENTS: Final = "tools/mutants/equivalent.txt"

# Beside the directory that mirrors the package.
TESTS: Final[dict[str, tuple[str, ...]]] = {
    "bare_serve/asgi": (
        "tests/tls/test_tls_protocol.py",
        "tests/workers/asgi/test_extensions.py",
    ),
    "bare_serve/http": ("tests/http1",),
    "bare_serve/wsgi": ("tests/tls/test_secure_connection.py",),
}
_QUIET: Final = (
    *("-qq", "--no-header", "--capture=sys", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"),
)


@dataclass
class Case:
    """A mutant of a module, and what became of it."""

    module: str
    mutant: Mutant
    placement: Placement
    loud: bool
    """It is told of if it is killed, too."""
    result: str = ""
    by: str = ""


@dataclass
class Baseline:
    """What the tests do without a mutant."""

    patience: float
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    reach: dict[str, dict[int, set[str]]] = field(default_factory=dict)  # path, line -> tests


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    os.nice(max(0, options.nice - os.nice(0)))
    os.chdir(options.root)
    sys.path.insert(0, str(options.root))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    modules = list(_modules(options.modules, options.package))
    known = read_equivalents(Path(EQUIVALENTS))
    groups: dict[tuple[str, ...], list[str]] = {}
    for module in modules:
        groups.setdefault(_tests_of(module, options.tests), []).append(module)
    cases: list[Case] = []
    for tests, members in groups.items():
        chosen = [case for module in members for case in _cases(module, known, options)]
        cases += chosen
        _try(chosen, tests, options)
    return _report(cases)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("modules", nargs="+", help="http1/deadlines, or a package: http1")
    add("--sample", type=int, default=0, help="mutants of a module at most (default: all)")
    add("--seed", type=int, default=0, help="which ones the sample takes")
    add("-j", "--jobs", type=int, default=1, help="mutants at a time (default: 1)")
    add("--only", action="append", default=[], help="only mutants whose name contains this")
    add("--again", type=Path, help="only those that survived in the output of a run before")
    add("--tests", nargs="*", default=[], help="files or directories, instead of the mirrored ones")
    add("--all-tests", action="store_true", help="also those that do not reach the line here")
    add("--patience", type=float, default=10, help="seconds beyond a test's usual (default: 10)")
    add("--budget", type=float, default=0, help="seconds of tests for a mutant (default: all)")
    add("-v", "--verbose", action="store_true", help="tell of those that are killed, too")
    add("--list", action="store_true", help="name the mutants and run nothing")
    add("--nice", type=int, default=15, help="niceness of all processes (default: 15)")
    add("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    add("--package", default="bare_serve", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.survivors = set(read_survivors(options.again)) if options.again else None
    return options


def _modules(names: Sequence[str], package: str) -> Iterator[str]:
    for name in names:
        bare = name.removeprefix(f"{package}/").removesuffix("/").removesuffix(".py")
        path = Path(package, bare)
        if path.is_dir():
            yield from (str(file) for file in sorted(path.glob("*.py")))
        elif path.with_suffix(".py").is_file():
            yield str(path.with_suffix(".py"))
        else:
            raise SystemExit(f"There is no module {path}.py, and no package {path}.")


def _tests_of(module: str, given: Sequence[str]) -> tuple[str, ...]:
    if given:
        return tuple(given)
    path = Path(module)
    inner = path.parent.relative_to(path.parts[0])
    if inner.parts:
        more = [test for test in TESTS.get(str(path.parent), ()) if Path(test).exists()]
        return (str(Path("tests") / inner), *more)
    found = sorted(Path("tests").glob(f"test_{path.stem}*.py"))
    if not found:
        raise SystemExit(f"No tests mirror {module}: name them with --tests.")
    return tuple(map(str, found))


def read_equivalents(path: Path) -> dict[str, dict[str, str]]:
    """Of each module, the names of mutants that make no difference, and why.

    A line of a module, lines of names two blanks in, and each one's reason four blanks in.
    """
    known: dict[str, dict[str, str]] = {}
    module = name = ""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        text = line.strip()
        if line.startswith("    "):
            known[module][name] = f"{known[module][name]} {text}".strip()
        elif line.startswith("  "):
            name = text
            if name in known[module]:
                raise SystemExit(f"{path}:{number}: {name} is there twice.")
            known[module][name] = ""
        else:
            module = text
            known.setdefault(module, {})
    for module, names in known.items():
        for name, reason in names.items():
            if not reason:
                raise SystemExit(f"{path}: {module}: no reason is given for {name}")
    return known


def read_survivors(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of each mutant that survived in the output of a run."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"survived: (\S+?):\d+: (.*?)(?:   \[.*\])?", line):
            yield found[1], found[2]


def _cases(
    module: str, known: dict[str, dict[str, str]], options: argparse.Namespace
) -> list[Case]:
    """Return the mutants of a module that are to be tried."""
    path = str(Path(module).resolve())
    source = Path(module).read_text(encoding="utf-8")
    original = compile(ast.parse(source), path, "exec", dont_inherit=True)
    dotted = ".".join(Path(module).with_suffix("").parts).removesuffix(".__init__")
    names = [mutant.name for mutant in mutants(ast.parse(source))]
    chosen = [index for index, name in enumerate(names) if _is_wanted(module, name, options)]
    if options.sample and len(chosen) > options.sample:
        chosen = sorted(random.Random(options.seed).sample(chosen, options.sample))
    wanted, cases = set(chosen), []
    tree = ast.parse(source)
    for index, mutant in enumerate(mutants(tree)):
        if index in wanted:
            code = compile(tree, path, "exec", dont_inherit=True)
            placement = Placement(dotted, path, original, code)
            case = Case(module, mutant, placement, options.verbose)
            if mutant.name in known.get(module, {}) or code == original:
                case.result = EQUIVALENT
            cases.append(case)
    for stale in set(known.get(module, {})) - set(names):
        print(f"{EQUIVALENTS}: {module} has no such mutant now: {stale}", flush=True)
    return cases


def _is_wanted(module: str, name: str, options: argparse.Namespace) -> bool:
    if options.survivors is not None and (module, name) not in options.survivors:
        return False
    return not options.only or any(part in name for part in options.only)


def _try(cases: list[Case], tests: tuple[str, ...], options: argparse.Namespace) -> None:
    """Run those that are not known to make no difference."""
    todo = [case for case in cases if not case.result]
    if options.list:
        for case in todo:
            print(f"{case.module}:{case.mutant.lines[0]}: {case.mutant.name}")
        return
    if not todo:
        return
    _settle_hypothesis()
    inside = [case for case in todo if case.placement.functions]
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _in_a_session(inside, todo, tests, options, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    baseline = _take(said, todo)
    _try_outside([case for case in todo if not case.result], tests, baseline, options)


def _take(said: bytes, todo: list[Case]) -> Baseline:
    """Return what the session's process sent: the baseline and the verdicts."""
    if not said:
        raise SystemExit("The tests could not be run without a mutant; see above.")
    baseline, results = pickle.loads(said)
    for index, result in enumerate(results):
        todo[index].result, todo[index].by = result
    assert isinstance(baseline, Baseline)
    return baseline


def _settle_hypothesis() -> None:
    """Give each mutant the same examples, and keep none on disk."""
    try:
        from hypothesis import settings
    except ImportError:
        return
    settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    settings.load_profile("mutants")


def _in_a_session(
    inside: list[Case],
    todo: list[Case],
    tests: tuple[str, ...],
    options: argparse.Namespace,
    pipe: int,
) -> None:
    """Collect the tests once, and fork for each mutant. Never return."""
    from tools.mutants.trial import end_with_parent

    try:
        end_with_parent()
        session = _Session(inside, {case.module for case in todo}, options)
        code = pytest.main([*_QUIET, *tests], plugins=[session])
        if session.baseline.seconds:
            results = [(case.result, case.by) for case in todo]
            with os.fdopen(pipe, "wb") as out:
                out.write(pickle.dumps((session.baseline, results)))
        else:
            print(f"pytest ended with {code!r} and has run nothing.", flush=True)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


class _Session:
    """A pytest plugin whose test loop runs the tests once as they are, then on each mutant."""

    def __init__(self, cases: list[Case], modules: set[str], options: argparse.Namespace) -> None:
        self.cases = cases
        self.paths = {str(Path(module).resolve()) for module in modules}
        self.options = options
        self.baseline = Baseline(options.patience)
        self.kills: Counter[str] = Counter()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return True
        items = {item.nodeid: item for item in session.items}
        self._run_baseline(list(items.values()))
        if self.baseline.failed:
            names = ", ".join(sorted(self.baseline.failed))
            print(f"Left out, since they fail without a mutant: {names}", flush=True)
        trials = Trials(self.options.jobs, self._on_verdict)
        living = functions_of(self.paths)
        gc.collect()
        gc.freeze()  # the collector of a fork need not look at what is here
        try:
            for index, case in enumerate(self.cases):
                chosen = choose(case, self.baseline, self.kills, self.options)
                if not chosen:
                    case.result, case.by = SURVIVED, "no test reaches it"
                    _tell(case)
                    continue
                trial = _trial(case, [items[name] for name in chosen], self.baseline, living)
                trials.start(index, trial, 60)
            trials.finish()
        finally:
            trials.stop()
        return True

    def _on_verdict(self, verdict: Verdict) -> None:
        case = self.cases[verdict.index]
        if verdict.by.startswith("LookupError"):
            return  # to be tried by importing it
        case.result, case.by = verdict.result, verdict.by
        if verdict.result == KILLED:
            self.kills[verdict.by] += 1
        _tell(case)

    def _run_baseline(self, items: list[pytest.Item]) -> None:
        """In a fork, since tests leave things behind in a process."""
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the dots
                measured = _measure(items, self.paths, self.baseline)
                with os.fdopen(theirs, "wb") as out:
                    out.write(pickle.dumps(measured))
            except Exception:  # noqa: BLE001
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        if said:
            self.baseline = pickle.loads(said)


def _measure(items: list[pytest.Item], paths: set[str], baseline: Baseline) -> Baseline:
    """Run all of them, with the lines that each reaches and the time that it takes."""
    import coverage

    measuring = coverage.Coverage(data_file=None, include=sorted(paths), config_file=False)
    outcome = _Outcome(baseline.failed.add)
    items[0].config.pluginmanager.register(outcome)
    measuring.start()
    for item, following in zip(items, [*items[1:], None], strict=True):
        measuring.switch_context(item.nodeid)
        began = time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        baseline.seconds[item.nodeid] = time.monotonic() - began
    measuring.stop()
    data = measuring.get_data()
    for path in data.measured_files():
        lines = data.contexts_by_lineno(path)
        baseline.reach[path] = {line: set(names) - {""} for line, names in lines.items()}
    return baseline


class _Outcome:
    """A pytest plugin that hears of failures."""

    def __init__(self, on_failure: Any) -> None:
        self._on_failure = on_failure

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._on_failure(report.nodeid)


def choose(
    case: Case, baseline: Baseline, kills: Counter[str], options: argparse.Namespace
) -> list[str]:
    """Order the tests for a mutant: those that killed before, then the quick ones."""
    reach = baseline.reach.get(case.placement.path, {})
    if options.all_tests or not case.placement.functions:
        names = set(baseline.seconds)  # a table works wherever it was imported
        near = set().union(*reach.values())
    else:
        names = near = set().union(*(reach.get(line, set()) for line in case.mutant.lines))

    def rank(name: str) -> tuple[Any, ...]:
        # Who has killed most in a second comes first.
        worth = (kills[name] + 0.1) / max(baseline.seconds[name], 0.001)
        return name not in near, -worth, name

    chosen = sorted(names - baseline.failed, key=rank)
    if options.budget:
        spent = list(itertools.accumulate(baseline.seconds[name] for name in chosen))
        chosen = chosen[: max(1, bisect.bisect(spent, options.budget))]
    return chosen


def patience(baseline: Baseline, test: str) -> float:
    """Seconds that a test may take with a mutant, on a machine that has other work too."""
    return baseline.patience + 10 * baseline.seconds.get(test, 1.0)


def _trial(
    case: Case, items: list[pytest.Item], baseline: Baseline, living: list[FunctionType]
) -> Any:
    """Do what the fork of a mutant in functions does."""

    def run(reporter: Reporter, scratch: Path) -> None:
        prepare(case.placement, scratch)
        place_in_functions(case.placement, living)
        plugins = items[0].config.pluginmanager
        plugins.register(_Outcome(lambda name: _fail(reporter, name)))
        for item, following in zip(items, [*items[1:], None], strict=True):
            reporter.starts(item.nodeid, patience(baseline, item.nodeid))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        reporter.done()

    return run


def _fail(reporter: Reporter, name: str) -> None:
    reporter.failed(name)
    os._exit(0)  # one is enough


def _try_outside(
    cases: list[Case], tests: tuple[str, ...], baseline: Baseline, options: argparse.Namespace
) -> None:
    """Try mutants that work when the module is imported: each in a pytest of its own."""

    def on_verdict(verdict: Verdict) -> None:
        case = cases[verdict.index]
        case.result, case.by = verdict.result, verdict.by
        _tell(case)

    trials = Trials(options.jobs, on_verdict)
    try:
        for index, case in enumerate(cases):
            chosen = choose(case, baseline, Counter(), options)
            trials.start(index, _import_trial(case, chosen, tests, baseline), 60)
        trials.finish()
    finally:
        trials.stop()


def _import_trial(case: Case, chosen: list[str], tests: tuple[str, ...], baseline: Baseline) -> Any:
    def run(reporter: Reporter, scratch: Path) -> None:
        exec(compile(prepare(case.placement, scratch).read_text(), "sitecustomize", "exec"), {})
        files = sorted({name.partition("::")[0] for name in chosen})
        plugin = _Fresh(chosen, reporter, baseline)
        code = pytest.main([*_QUIET, *(files or tests)], plugins=[plugin])
        if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            reporter.failed(f"pytest: {code!r}")
        reporter.done()

    return run


class _Fresh(_Outcome):
    """A pytest plugin: these tests in this order, told to the keeper."""

    def __init__(self, chosen: list[str], reporter: Reporter, baseline: Baseline) -> None:
        super().__init__(lambda name: _fail(reporter, name))
        self._order = {name: index for index, name in enumerate(chosen)}
        self._known = set(baseline.seconds)
        self._reporter = reporter
        self._baseline = baseline

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A test whose name is new has a parameter that the mutant has changed.
        kept = [i for i in items if i.nodeid in self._order or i.nodeid not in self._known]
        items[:] = sorted(kept, key=lambda item: self._order.get(item.nodeid, -1))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._reporter.starts(nodeid, patience(self._baseline, nodeid))


def _tell(case: Case) -> None:
    if case.result in {SURVIVED, ERROR} or case.loud:
        why = f"   [{case.by}]" if case.by else ""
        place = f"{case.module}:{case.mutant.lines[0]}"
        print(f"{case.result}: {place}: {case.mutant.name}{why}", flush=True)


def _report(cases: list[Case]) -> int:
    """One line for each module; 1 if anything survived."""
    print(f"\n{'module':34} mutants killed timeout survived equivalent    net")
    for module in dict.fromkeys(case.module for case in cases):
        print(_row(module, [case for case in cases if case.module == module]))
    print(_row("all", cases), flush=True)
    return int(any(case.result in {SURVIVED, ERROR} for case in cases))


def _row(name: str, cases: list[Case]) -> str:
    count = Counter(case.result for case in cases)
    live = len(cases) - count[EQUIVALENT]
    net = f"{100 * (count[KILLED] + count[TIMEOUT]) / live:5.1f}%" if live else "     -"
    return (
        f"{name:34} {len(cases):7} {count[KILLED]:6} {count[TIMEOUT]:7} "
        f"{count[SURVIVED] + count[ERROR]:8} {count[EQUIVALENT]:10} {net}"
    )


if __name__ == "__main__":
    sys.exit(main())
