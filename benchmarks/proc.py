"""What /proc tells about a tree of processes: its CPU time and its memory.

Parsing is apart from reading, so that tests feed text. CPU time of a tree is the sum, over the
processes alive, of their own time and that of the children they have reaped: a worker that dies
between two readings moves from the first sum to the second, and nothing is lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of CPU."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.user - earlier.user, self.system - earlier.system)

    def __add__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.user + other.user, self.system + other.system)


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """The fields of /proc/PID/stat that matter here."""

    pid: int
    parent: int
    cpu: CpuTime


def parse_stat(text: str) -> ProcessStat:
    """Parse a line of /proc: the command may hold brackets, what is behind the last is regular."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    user, system, children_user, children_system = (int(value) for value in fields[11:15])
    cpu = CpuTime((user + children_user) * TICK, (system + children_system) * TICK)
    return ProcessStat(int(head.split(" ", 1)[0]), int(fields[1]), cpu)


def parse_smaps_rollup(text: str) -> int:
    """Bytes of proportional set size (shared pages divided among their users)."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no Pss line in smaps_rollup")


def parse_status(text: str, name: str) -> int:
    """Bytes of a memory figure in /proc/PID/status, such as VmRSS (now) and VmHWM (the most)."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {name} in status")


def parse_machine_busy(text: str) -> float:
    """Seconds all cores spent working, from /proc/stat: not idle, not in interrupts.

    Interrupts are left out because the kernel may charge them to nobody's process.
    """
    fields = [int(value) for value in text.splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = fields
    return (user + nice + system + steal) * TICK


def read_all_stats() -> dict[int, ProcessStat]:
    stats = {}
    for name in os.listdir(PROC):
        if name.isdigit():
            try:
                stat = parse_stat((PROC / name / "stat").read_text())
            except (OSError, ValueError, IndexError):
                continue  # it ended while we looked
            stats[stat.pid] = stat
    return stats


def descendants(root: int, stats: dict[int, ProcessStat]) -> list[int]:
    """Return the root and all below it, parents first."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    tree = [root] if root in stats else []
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree


def tree_pids(root: int) -> list[int]:
    return descendants(root, read_all_stats())


def tree_cpu(root: int) -> CpuTime:
    stats = read_all_stats()
    return sum((stats[pid].cpu for pid in descendants(root, stats)), CpuTime(0.0, 0.0))


def pss(pid: int) -> int:
    """Bytes of memory of one process, its share of shared pages; 0 when it has ended."""
    try:
        return parse_smaps_rollup((PROC / str(pid) / "smaps_rollup").read_text())
    except (OSError, ValueError):
        return 0


def tree_pss(root: int) -> int:
    """Bytes of memory of the whole tree, shared pages counted once."""
    return sum(pss(pid) for pid in tree_pids(root))


class Growth:
    """How much memory the processes of a tree have taken at most since this object was made.

    Resident bytes: what a process takes anew is its own, unlike what it shares with its parent.
    """

    def __init__(self, root: int) -> None:
        self._before = {pid: self._read(pid, "VmRSS") for pid in tree_pids(root)}
        for pid in self._before:
            (PROC / str(pid) / "clear_refs").write_text("5")  # VmHWM begins anew

    def _read(self, pid: int, name: str) -> int:
        return parse_status((PROC / str(pid) / "status").read_text(), name)

    def bytes(self) -> int:
        """OSError or ValueError when one of the processes has ended."""
        return sum(
            max(0, self._read(pid, "VmHWM") - before) for pid, before in self._before.items()
        )


def busiest(before: dict[int, ProcessStat], after: dict[int, ProcessStat], pids: list[int]) -> int:
    """Which of these processes used most CPU between two readings: the worker, not its master."""

    def gain(pid: int) -> float:
        both = pid in before and pid in after
        return after[pid].cpu.total - before[pid].cpu.total if both else -1.0

    return max(pids, key=gain)


def machine_busy() -> float:
    return parse_machine_busy((PROC / "stat").read_text())
