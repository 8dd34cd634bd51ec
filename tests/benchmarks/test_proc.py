"""What the benchmarks read from /proc."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks import proc
from benchmarks.machine import parse_cpu_model, share_out
from benchmarks.proc import TICK, CpuTime, ProcessStat

STAT = (
    "4711 (a (strange) name) S 42 4711 4711 0 -1 4194560 9 0 0 0 "
    "150 50 30 20 20 0 4 0 123456 1000000 2500 18446744073709551615"
)


def test_stat_with_brackets_and_spaces_in_the_name() -> None:
    found = proc.parse_stat(STAT)
    assert (found.pid, found.parent) == (4711, 42)


def test_cpu_of_reaped_children_counts() -> None:
    assert proc.parse_stat(STAT).cpu == CpuTime((150 + 30) * TICK, (50 + 20) * TICK)


def test_pss_in_bytes() -> None:
    text = "55d0-7ffe ---p 0 00:00 0  [rollup]\nRss:   9000 kB\nPss:   1234 kB\nPss_Dirty: 9 kB\n"
    assert proc.parse_smaps_rollup(text) == 1234 * 1024


def test_no_pss_is_an_error() -> None:
    with pytest.raises(ValueError, match="no Pss line"):
        proc.parse_smaps_rollup("Rss: 1 kB\n")


def test_machine_busy_counts_neither_idle_nor_interrupts() -> None:
    text = "cpu  10 20 30 1000 500 40 50 60 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    assert proc.parse_machine_busy(text) == pytest.approx((10 + 20 + 30 + 60) * TICK)


def test_descendants_are_the_whole_tree_and_nobody_else() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 13: 10, 20: 1}
    stats = {pid: ProcessStat(pid, parent, CpuTime(0, 0)) for pid, parent in parents.items()}
    assert sorted(proc.descendants(10, stats)) == [10, 11, 12, 13]
    assert proc.descendants(99, stats) == []


def test_the_cpu_and_memory_of_a_real_tree_are_found() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in proc.tree_pids(os.getpid())
        # The kernel tells whole ticks, and may lag by one.
        assert 0.15 <= proc.tree_cpu(child.pid).total < 5
        assert proc.tree_pss(child.pid) > 1 << 20
        child.communicate(b"\n")
    assert proc.tree_pids(child.pid) == []


@pytest.mark.parametrize(
    ("available", "workers", "server", "load", "shared"),
    [
        ([0, 1], 1, (0,), (1,), False),
        ([0, 1], 2, (0, 1), (0, 1), True),
        ([3], 1, (3,), (3,), True),
        ([7, 4, 5, 6], 2, (4, 5), (6, 7), False),
    ],
)
def test_cores_are_shared_out(
    available: list[int],
    workers: int,
    server: tuple[int, ...],
    load: tuple[int, ...],
    shared: bool,
) -> None:
    cores = share_out(available, workers)
    assert (cores.server, cores.load, cores.shared) == (server, load, shared)


def test_cpu_model() -> None:
    assert parse_cpu_model("processor : 0\nmodel name\t: Some  CPU @ 2GHz\n") == "Some CPU @ 2GHz"


def test_the_worker_is_the_process_that_gained_cpu_time() -> None:
    def stats(master: float, worker: float) -> dict[int, proc.ProcessStat]:
        return {
            pid: proc.ProcessStat(pid, 1, proc.CpuTime(cpu, 0.0))
            for pid, cpu in ((10, master), (11, worker))
        }

    assert proc.busiest(stats(5.0, 0.1), stats(5.1, 0.9), [10, 11, 12]) == 11
