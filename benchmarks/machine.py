"""The machine a run was made on: which cores go to whom, and what may be told about it.

Reports name the CPU model, the number of cores, the kernel and versions; never a path, a user or a
host name.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def sentence(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{self.cpu}, {cores}, {self.memory_gib:g} GiB, {self.kernel}, CPython {self.python}"


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. `shared`: both on the same cores, so requests/s say little."""

    server: tuple[int, ...]
    load: tuple[int, ...]
    shared: bool

    def sentence(self) -> str:
        if self.shared:
            return f"server and wrk share cores {_listed(self.server)}"
        return f"server on core {_listed(self.server)}, wrk on core {_listed(self.load)}"


def _listed(cores: tuple[int, ...]) -> str:
    return ", ".join(str(core) for core in cores)


def share_out(available: list[int], workers: int) -> Cores:
    """Give a core to each worker and at least one other to the load; else all cores to all."""
    cores = sorted(available)
    if len(cores) > workers:
        return Cores(tuple(cores[:workers]), tuple(cores[workers:]), shared=False)
    return Cores(tuple(cores), tuple(cores), shared=True)


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Run this process on these cores meanwhile, for load that is made here."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit() -> int:
    """As many open files as the system lets us have, for us and for the servers we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def available_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def parse_cpu_model(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return " ".join(value.split())
    return platform.machine() or "unknown CPU"


def describe() -> Machine:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=parse_cpu_model(Path("/proc/cpuinfo").read_text()),
        cores=len(available_cores()),
        memory_gib=round(pages / (1 << 30), 1),
        kernel=f"{platform.system()} {platform.release().split('-')[0]}",
        python=platform.python_version(),
    )
