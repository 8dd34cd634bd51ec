"""Who a probe looks at."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.machine import Cores
from benchmarks.process import Running
from benchmarks.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Subject:
    """A server just started, with no other one up, and what it is started for."""

    running: Running
    scenario: Scenario
    cores: Cores
    startup: float  # seconds to its first answer
