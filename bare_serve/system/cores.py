"""How many cores this process may use: what an `auto` number of workers is.

The law: the smaller one of two limits counts, the affinity (sched_setaffinity(2)) and the quota of
the cgroup that the process is in, or of one above it (cpu.max of cgroup v2, cpu.cfs_quota_us of
v1). A part of a core counts as one, since a quota of 1.5 cores takes two processes to be used up.

What must not be here: what the number is used for. Nothing is cached: a quota may change while a
server runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

MOST = 256
"""The most that is answered."""
_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


class Cores(int):
    """A number of cores that knows where it comes from; an ordinary int for anything else."""

    reason: str

    def __new__(cls, number: int, reason: str) -> Cores:
        """`reason`: in words, for the banner."""
        made = super().__new__(cls, number)
        made.reason = reason
        return made

    def __repr__(self) -> str:
        return f"{int(self)} ({self.reason})"

    __str__ = int.__repr__


def usable(cgroups: Path = _CGROUPS, own: Path = _OWN) -> Cores:
    """Return the cores that this process may use, from 1 to `MOST`.

    `cgroups` is where cgroups are mounted, `own` says which ones this process is in (cgroups(7)).
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not of this system
        allowed = os.cpu_count() or 1
    reason = "auto: the cores of this machine"
    if allowed < (os.cpu_count() or allowed):
        reason = f"auto: its affinity has {allowed} of {os.cpu_count()} cores"
    quota = min(_quotas(cgroups, own), default=math.inf)
    if quota < allowed:
        reason = f"auto: its cgroup has a quota of {quota:.3g} of {allowed} cores"
        allowed = max(math.ceil(quota), 1)
    return Cores(min(allowed, MOST), reason)


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield the quotas, in cores, that stand between this process and the root."""
    lines = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield from _up(cgroups, path, _of_v2)
        elif "cpu" in controllers.split(","):
            for mounted in (cgroups / "cpu", cgroups / controllers):
                yield from _up(mounted, path, _of_v1)


def _up(root: Path, path: str, quota_of: Callable[[Path], float]) -> Iterator[float]:
    # In a container the path may be that of the host, which is not there: then the root is ours.
    inner = root / path.strip("/")
    for place in (inner, *inner.parents):
        with suppress(OSError, ValueError, IndexError, ZeroDivisionError):
            quota = quota_of(place)
            if quota > 0:
                yield quota
        if place == root:
            return


def _of_v2(place: Path) -> float:
    """Read "max 100000" or "150000 100000"."""
    quota, period = (place / "cpu.max").read_text().split()[:2]
    return int(quota) / int(period)


def _of_v1(place: Path) -> float:
    quota = int((place / "cpu.cfs_quota_us").read_text())
    return quota / int((place / "cpu.cfs_period_us").read_text())
