"""This checkout beside another one, paired: CPU microseconds per request, and their ratio.

What lives here: which servers run side by side, in which order, and what the figures are worth.
What must not: servers (process.py), one measurement (measure.py), peers (run.py).

Three servers run at a time: the other checkout, this one, and the other one once more. The ratio of
the two that are alike says how much of the ratio of the two that differ is chance. Memory is laid
out anew by each start, so the servers are started several times; in between they take turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.aims import PAIRED
from benchmarks.machine import Cores
from benchmarks.measure import measure
from benchmarks.peers import REPOSITORY, Environment
from benchmarks.process import Running, launch_of
from benchmarks.scenarios import BY_NAME
from benchmarks.servers import BY_KEY
from benchmarks.stats import Spread, spread

# Scenarios, each with the interface by which it is served.
CASES: Final = (
    ("path-varies", "wsgi"),
    ("path-varies", "asgi"),
    ("all-varies", "wsgi"),
    ("all-varies", "asgi"),
    ("hello", "wsgi"),
    ("hello", "asgi"),
    ("hello-browser", "wsgi"),
    ("hello-browser", "asgi"),
    ("pipelined", "wsgi"),
    ("pipelined", "asgi"),
    ("upload", "wsgi"),
    ("upload", "asgi"),
    ("stream", "wsgi"),
    ("stream", "asgi"),
    ("connections", "wsgi"),
    ("connections", "asgi"),
    ("websocket-64", "asgi"),
)
WARM_UP: Final = 1
SETTLED: Final = 0.8  # seconds after the start, when workers have put nothing off any more

Sample = TypeVar("Sample")
Round = tuple[float, float, float]
"""CPU microseconds per request: the other checkout, this one, the other one again."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the rounds of one case show."""

    case: str
    rounds: Sequence[Round]
    at_most: float | None = None  # the aim for `ratio`

    @property
    def ratio(self) -> Spread:
        """This checkout to the mean of the other one's two servers; below 1 is faster."""
        found = spread([2 * this / (other + again) for other, this, again in self.rounds])
        assert found is not None
        return found

    @property
    def chance(self) -> Spread:
        """The other checkout's second server to its first: what is no difference at all."""
        found = spread([again / other for other, _, again in self.rounds])
        assert found is not None
        return found

    def cells(self) -> list[str]:
        before = statistics.median((other + again) / 2 for other, _, again in self.rounds)
        now = statistics.median(this for _, this, _ in self.rounds)
        return [
            self.case,
            f"{before:.1f}",
            f"{now:.1f}",
            *(
                text
                for found in (self.ratio, self.chance)
                for text in (f"{found.median:.3f}", f"{found.low:.3f} - {found.high:.3f}")
            ),
            self._aim(),
        ]

    def _aim(self) -> str:
        if self.at_most is None:
            return ""
        outcome = "holds" if self.ratio.median <= self.at_most else "**missed**"
        return f"at most {self.at_most:g}: {outcome}"


_HEADERS: Final = ("us a request", "before", "now", "now/before", "", "before/before", "", "aim")


def table_head() -> list[str]:
    """Return the first two lines of a table in Markdown."""
    return [table_row(_HEADERS), table_row(["---"] * len(_HEADERS))]


def table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def take_turns(servers: int, rounds: int, sample: Callable[[int], Sample]) -> list[list[Sample]]:
    """Return the samples of each server; each round begins with another one.

    `sample(number)` measures one server.
    """
    found: list[list[Sample]] = [[] for _ in range(servers)]
    for number in range(rounds):
        for step in range(servers):
            which = (number + step) % servers
            found[which].append(sample(which))
    return found


def compare(
    other: Path,
    case: tuple[str, str],
    environment: Environment,
    cores: Cores,
    *,
    starts: int,
    rounds: int,
    pause: Callable[[float], None],
    settings: Sequence[tuple[str, str]] = (),
) -> Found:
    """Measure one of `CASES` with the checkout in `other` and this one.

    Each start gives one round of the result: the mean of `rounds` measurements of a second.
    `settings` are variables of the environment that this checkout's server alone has.

    Raises:
        ServerFailed: one of them does not start.
    """
    name, interface = case
    scenario, server = BY_NAME[name], BY_KEY[f"bare-serve:{interface}"]
    found: list[Round] = []
    for _ in range(starts):
        with ExitStack() as stack:
            alive: list[Running] = []
            for root in (other, REPOSITORY, other):
                launch = launch_of(server, scenario)
                # The seed of hashes decides where things lie: it is the same for all.
                same = (("PYTHONPATH", str(root)), ("PYTHONHASHSEED", "0"))
                own = settings if root is REPOSITORY else ()
                variables = (*launch.variables, *same, *own)
                launch = replace(launch, variables=variables)
                running = Running(server, launch, environment, cores.server)
                stack.callback(running.stop)
                running.first_answer()
                alive.append(running)
            pause(SETTLED)
            for running in alive:
                measure(running, scenario, WARM_UP, cores)

            def sample(which: int, alive: list[Running] = alive) -> float:
                return measure(alive[which], scenario, 1, cores).cpu

            samples = take_turns(3, rounds, sample)
        first, this, again = (statistics.mean(each) for each in samples)
        found.append((first, this, again))
    return Found(f"{scenario.title} ({interface.upper()})", found, PAIRED.get(case))
