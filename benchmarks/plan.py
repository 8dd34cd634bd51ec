"""What will be measured and how long it will take, before anything starts.

Every figure here comes from the tables and the options; the run follows the plan, so the estimate
printed first is the estimate the progress line counts down.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from benchmarks.scenario import Scenario
from benchmarks.scenarios import BY_NAME, GROUPS, SCENARIOS, SECTIONS
from benchmarks.servers import BY_KEY, OURS, PEERS, Server

WARM_UP = 1
START_AND_STOP = 0.9  # seconds per server and scenario, the check included
BETWEEN = 0.2  # seconds around each measurement


class PlanError(Exception):
    """A scenario or server that does not exist."""


@dataclass(frozen=True, slots=True)
class Task:
    scenario: Scenario
    servers: tuple[Server, ...]
    named: bool = False  # asked for by name, so not one of many: as many rounds as are asked for

    def rounds(self, planned: int) -> int:
        planned = max(planned, self.scenario.least_rounds)
        if self.named:
            return planned
        return min(planned, self.scenario.rounds or planned)

    def round_seconds(self, planned: int) -> int:
        return max(planned, self.scenario.least_seconds)

    def seconds(self, rounds: int, seconds: int) -> float:
        if self.scenario.kind == "probe":
            return len(self.servers) * self.rounds(rounds) * self.scenario.round_seconds
        round_seconds = self.round_seconds(seconds) + BETWEEN
        each = START_AND_STOP + WARM_UP + 0.1 + self.rounds(rounds) * round_seconds
        return len(self.servers) * each


@dataclass(frozen=True, slots=True)
class Plan:
    tasks: tuple[Task, ...]
    rounds: int
    seconds: int
    descriptors: int = 1 << 20  # how many files a process may open

    def without(self, done: Container[str]) -> Plan:
        """Return what is still to do when these scenarios are done."""
        left = tuple(task for task in self.tasks if task.scenario.key not in done)
        return replace(self, tasks=left)

    @property
    def estimate(self) -> float:
        return sum(task.seconds(self.rounds, self.seconds) for task in self.tasks)

    @property
    def servers(self) -> list[Server]:
        found = {server.key: server for task in self.tasks for server in task.servers}
        return list(found.values())

    def lines(self) -> list[str]:
        """For people: what, with how many servers, how long."""
        width = max((len(task.scenario.title) for task in self.tasks), default=0)
        lines = []
        for task in self.tasks:
            took = minutes(task.seconds(self.rounds, self.seconds))
            count = len(task.servers)
            lines.append(f"  {task.scenario.title:<{width}}  {count:>2} servers  {took:>6}")
        lines.append(
            f"{len(self.tasks)} scenarios, {self.rounds} rounds of {self.seconds} s each:"
            f" about {minutes(self.estimate)}"
        )
        return lines


def minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d} min" if whole >= 60 else f"{whole} s"


def choose_servers(names: Sequence[str], *, ours: bool = True) -> set[str]:
    """Keys of the servers that go by these names: a package or one row; none given: all."""
    chosen = set()
    for name in names:
        keys = [key for key, server in BY_KEY.items() if name in (server.peer, key)]
        if not keys:
            known = ", ".join([OURS, *PEERS, *(key for key in BY_KEY if key not in PEERS)])
            raise PlanError(f"there is no server {name!r}; known: {known}")
        chosen.update(keys)
    if not names:
        chosen.update(key for key, server in BY_KEY.items() if not server.ours)
    if ours and not any(BY_KEY[key].ours for key in chosen):
        chosen.update(key for key, server in BY_KEY.items() if server.ours)
    return chosen


def make(
    only: Sequence[str],
    peers: Sequence[str],
    rounds: int,
    seconds: int,
    *,
    ours: bool = True,
    variants: bool = True,
) -> Plan:
    only = [name for given in only for name in GROUPS.get(given, (given,))]
    for name in only:
        if name not in BY_NAME and name not in SECTIONS:
            known = ", ".join((*BY_NAME, *SECTIONS, *GROUPS))
            raise PlanError(f"there is no scenario {name!r}; known: {known}")
    chosen = choose_servers(peers, ours=ours)
    tasks = []
    for scenario in SCENARIOS:
        if only and scenario.key not in only and scenario.section not in only:
            continue
        servers = tuple(
            server
            for server in scenario.chosen()
            if server.key in chosen and (variants or not server.variant)
        )
        if servers:
            tasks.append(Task(scenario, servers, named=bool(only)))
    if not tasks:
        raise PlanError("none of these servers takes part in these scenarios")
    return Plan(tuple(tasks), rounds, seconds)
