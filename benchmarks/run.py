"""A whole run: every task of the plan, its servers side by side, round after round.

All servers of a scenario are up at the same time (an idle server costs nothing) and each round
drives one after the other, starting with another one each time, so drift hits all alike. Whatever
happens, the servers started here are stopped and what was measured is kept: the report is handed
on after every scenario, and one that fails in a way nobody thought of is recorded as failed.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol, TypeVar

from benchmarks import machine
from benchmarks.checks import NotOffered, WrongAnswer, check
from benchmarks.measure import measure
from benchmarks.peers import Environment
from benchmarks.plan import WARM_UP, Plan, Task
from benchmarks.probes import probe
from benchmarks.process import Running, ServerFailed, launch_of, scrub
from benchmarks.results import Record, Report, Row
from benchmarks.servers import Launch, Server, shown
from benchmarks.wrk import WrkError

_T = TypeVar("_T")


class Watcher(Protocol):
    """Who looks on: the terminal."""

    def doing(self, what: str) -> None: ...
    def started(self, record: Record, servers: int) -> None: ...
    def changed(self, record: Record) -> None: ...
    def finished(self, record: Record) -> None: ...


class Benchmark:
    """`environments` are those of the peers, by the `python` of scenarios: "" for the usual one.

    `keep` gets the report after every scenario.
    """

    def __init__(
        self,
        plan: Plan,
        environments: Mapping[str, Environment],
        watcher: Watcher,
        report: Report,
        keep: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self.plan = plan
        self.environments = environments
        self.watcher = watcher
        self.report = report
        self.keep = keep

    def run(self) -> None:
        """Fill the report, a scenario at a time; a keyboard interrupt leaves it incomplete."""
        self.report.complete = False
        try:
            for task in self.plan.tasks:
                self._one(task)
                self.keep(self.report)
            self.report.complete = True
            self.keep(self.report)
        except KeyboardInterrupt:
            pass

    def _one(self, task: Task) -> None:
        cores = machine.share_out(machine.available_cores(), task.scenario.workers)
        environment = self.environments.get(task.scenario.python)
        record = _new_record(task, cores, environment.missing if environment else {})
        self.watcher.started(record, len(task.servers))
        self._commands(task)
        try:
            self._require(task)
            if task.scenario.kind == "probe":
                self._probe(task, record, cores)
            else:
                self._measure(task, record, cores)
        except Exception as problem:  # noqa: BLE001 - the other scenarios are worth having
            record.state = "failed"
            record.note = f"it failed: {scrub(str(problem)) or type(problem).__name__}"
            if not isinstance(problem, _Lacking):
                record.note += f" ({_where(problem)})"
        self.report.records.append(record)
        self.watcher.finished(record)

    def _require(self, task: Task) -> None:
        """_Lacking says what this machine lacks for it."""
        self._environment(task)
        needed, allowed = task.scenario.descriptors, self.plan.descriptors
        if allowed < needed:
            raise _Lacking(f"it needs {needed} open files, the system allows {allowed} (ulimit -n)")
        package = task.scenario.package
        if package and importlib.util.find_spec(package) is None:
            raise _Lacking(f"it needs the package {package}: pip install -e '.[bench]'")

    def _commands(self, task: Task) -> None:
        for server in task.servers:
            launch = Launch(task.scenario.target(server.interface), 8000)
            self.report.commands.setdefault(server.key, shown(server, launch))

    def _environment(self, task: Task) -> Environment:
        python = task.scenario.python
        if python not in self.environments:
            raise _Lacking(f"it needs CPython {python}, which tools/pythons does not find here")
        return self.environments[python]

    def _measure(self, task: Task, record: Record, cores: machine.Cores) -> None:
        with ExitStack() as stack:
            alive: list[tuple[Running, Row]] = []
            for server, row in _pairs(task, record):
                if server.ours or not _not_there_yet(task, record):
                    self.watcher.doing(f"starting {server.label}")
                    running = self._start(task, server, row, cores, stack)
                    if running is not None:
                        alive.append((running, row))
            if _not_there_yet(task, record):
                return
            for number in range(task.rounds(self.plan.rounds)):
                for running, row in in_turn(alive, number):
                    if row.state == "measured":
                        self._sample(task, running, row, cores)
                        self.watcher.changed(record)

    def _start(
        self, task: Task, server: Server, row: Row, cores: machine.Cores, stack: ExitStack
    ) -> Running | None:
        """Start a server until it answers rightly and is warm; else the row says what is wrong."""
        scenario = task.scenario
        if row.state != "measured":
            return None
        try:
            environment = self._environment(task)
            running = Running(server, launch_of(server, scenario), environment, cores.server)
            stack.callback(running.stop)
            running.first_answer()
            check(running, scenario)
            measure(running, scenario, WARM_UP, cores)
            return running
        except NotOffered as problem:
            row.state = "not there yet" if server.ours else "lacks"
            row.note = str(problem)
        except WrongAnswer as problem:
            row.state, row.note = "wrong", scrub(str(problem))
        except (ServerFailed, WrkError, OSError) as problem:
            row.state, row.note = "failed", scrub(str(problem))
        return None

    def _sample(self, task: Task, running: Running, row: Row, cores: machine.Cores) -> None:
        planned = task.rounds(self.plan.rounds)
        self.watcher.doing(f"round {len(row.rounds) + 1} of {planned}: {row.label}")
        try:
            sample = measure(running, task.scenario, task.round_seconds(self.plan.seconds), cores)
            row.rounds.append(sample.as_dict())
            if sample.errors and not row.note:
                row.note = f"it said last: {running.last_words()}"
            if died := running.obituary():
                row.state, row.note = "failed", f"under load: {died}"
        except (WrkError, OSError) as problem:
            row.state = "failed"
            row.note = f"under load: {running.obituary() or scrub(str(problem))}"

    def _probe(self, task: Task, record: Record, cores: machine.Cores) -> None:
        planned = task.rounds(self.plan.rounds)
        for number in range(planned):
            for server, row in _pairs(task, record):
                if row.state == "measured" and (server.ours or not _not_there_yet(task, record)):
                    self.watcher.doing(f"round {number + 1} of {planned}: {row.label}")
                    self._probe_once(task, server, row, cores)
                    self.watcher.changed(record)
            if _not_there_yet(task, record):
                return

    def _probe_once(self, task: Task, server: Server, row: Row, cores: machine.Cores) -> None:
        try:
            row.rounds.append(probe(server, task.scenario, self._environment(task), cores))
        except NotOffered as problem:
            row.state = "not there yet" if server.ours else "lacks"
            row.note = str(problem)
        except WrongAnswer as problem:
            row.state, row.note = "wrong", scrub(str(problem))
        except (ServerFailed, WrkError, OSError) as problem:
            row.state, row.note = "failed", scrub(str(problem))


def in_turn(servers: list[_T], number: int) -> list[_T]:
    """Return the order of a round: each begins with another server, every other one goes back.

    So of two that are compared none is always the first.
    """
    start = number % len(servers) if servers else 0
    order = servers[start:] + servers[:start]
    return order[::-1] if number % 2 else order


class _Lacking(Exception):
    """The scenario cannot be measured here."""


def _where(problem: Exception) -> str:
    """Return the innermost line, so that the report alone shows where to look."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{type(problem).__name__} in {scrub(last.filename)}, line {last.lineno}"


def _new_record(task: Task, cores: machine.Cores, missing: Mapping[str, str]) -> Record:
    scenario = task.scenario
    record = Record(
        key=scenario.key,
        title=scenario.title,
        judged=list(scenario.judged),
        shared_cores=cores.shared,
        megabytes=scenario.megabytes,
        columns=list(scenario.columns),
        headline=scenario.headline,
        section=scenario.section,
    )
    for server in task.servers:
        row = Row(server.key, server.label, server.interface, server.peer, variant=server.variant)
        if server.peer in missing:
            row.state, row.note = "missing", missing[server.peer]
        record.rows.append(row)
    # Ours first: when bare-serve lacks the feature, nobody need be measured.
    record.rows.sort(key=lambda row: row.peer != "bare-serve")
    return record


def _pairs(task: Task, record: Record) -> list[tuple[Server, Row]]:
    servers = {server.key: server for server in task.servers}
    return [(servers[row.key], row) for row in record.rows]


def _not_there_yet(task: Task, record: Record) -> bool:
    """Whether bare-serve was asked and has not what the scenario is about; marks it so."""
    ours = [row for row in record.rows if row.peer == "bare-serve"]
    if not (task.scenario.feature and ours) or any(row.state == "measured" for row in ours):
        return False
    record.state = "not there yet"
    reasons = dict.fromkeys(row.note for row in ours if row.note)
    record.note = f"bare-serve has no {task.scenario.feature} yet ({'; '.join(reasons)})"
    return True
