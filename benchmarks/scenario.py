"""What one scenario says: the record that the table in scenarios.py is made of.

`feature` names what bare-serve may not have yet: the scenario is then listed as not there yet.
Which figures of a scenario are judged is said by `judged`. A probe has its own `columns`, of which
`headline` ranks; `round_seconds` is what one of its rounds takes. `python` names another Python
than the one that runs the benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.servers import BY_KEY, Interface, Server
from benchmarks.wrk import Load

Kind = Literal["wrk", "mixed", "websocket", "probe"]
Section = Literal["", "hostile", "pythons"]
Check = Literal[
    "hello",
    "json",
    "echo",
    "upload",
    "download",
    "stream",
    "pipelined",
    "websocket",
    "events",
    "room",
    "pid",
]


@dataclass(frozen=True, slots=True)
class Scenario:
    key: str
    title: str
    app: str  # attribute in wsgi_apps and asgi_apps, or a whole target
    servers: tuple[str, ...]
    load: Load = field(default_factory=Load)
    kind: Kind = "wrk"
    check: Check = "hello"
    workers: int = 1
    tls: bool = False
    second: Load | None = None  # the load beside, of a mixed scenario
    message: int = 0  # bytes, of a WebSocket scenario
    latency: bool = True  # whether the percentiles mean something here
    megabytes: float = 0.0  # moved by one request
    feature: str = ""
    judged: tuple[str, ...] = ("rate", "cpu", "p99")
    probe: str = ""
    columns: tuple[str, ...] = ()
    headline: str = ""
    round_seconds: float = 0.0
    rounds: int = 0  # at most, in a run of all scenarios; 0: as many as the run has
    least_rounds: int = 0  # in any run, where what is looked for is small
    least_seconds: int = 0  # of a round, where few requests are counted
    descriptors: int = 0  # how many files one process must be able to open
    section: Section = ""  # under which heading of the report it stands
    attack: str = ""  # in hostile.attacks
    package: str = ""  # what the load needs beside Python
    variables: tuple[tuple[str, str], ...] = ()  # of the servers' environment
    python: str = ""  # such as 3.12; empty: the one that runs the benchmarks

    def target(self, interface: Interface) -> str:
        return self.app if ":" in self.app else f"{interface}_apps:{self.app}"

    def chosen(self) -> list[Server]:
        return [BY_KEY[key] for key in self.servers]
