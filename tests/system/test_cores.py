"""The cores that a process may use: affinity, and quotas of both kinds of cgroup."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bare_serve.system import cores

HERE = len(os.sched_getaffinity(0))

# What /proc/self/cgroup says, files below the mount, and the quota in cores (0: none).
QUOTAS = [
    ("0::/\n", {}, 0),
    ("0::/\n", {"cpu.max": "max 100000\n"}, 0),
    ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5),
    ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "25000 100000\n"}, 0.25),
    ("0::/host/path\n", {"cpu.max": "30000 100000\n"}, 0.3),
    ("0::/\n", {"cpu.max": "nonsense\n"}, 0),
    ("0::/\n", {"cpu.max": "100 0\n"}, 0),
    ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "1"}, 0),
    (
        "4:cpu,cpuacct:/a\n0::/\n",
        {"cpu/a/cpu.cfs_quota_us": "40000", "cpu/a/cpu.cfs_period_us": "100000"},
        0.4,
    ),
    ("9:memory:/a\n", {"memory/a/cpu.max": "10000 100000"}, 0),
    ("", {}, 0),
]


@pytest.mark.parametrize(("own", "files", "quota"), QUOTAS)
def test_quota(tmp_path: Path, own: str, files: dict[str, str], quota: float) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "cgroups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = cores.usable(tmp_path / "cgroups", tmp_path / "own")
    if quota:
        assert found == 1, "a part of a core is one"
        assert f"a quota of {quota:g} of {HERE} cores" in repr(found)
    else:
        assert found == HERE
        assert repr(found).startswith(f"{HERE} (auto: ")


def test_a_part_of_a_core_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").write_text("0::/")
    (tmp_path / "cpu.max").write_text("250000 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    found = cores.usable(tmp_path, tmp_path / "own")
    assert (found, repr(found)) == (3, "3 (auto: its cgroup has a quota of 2.5 of 12 cores)")


def test_affinity_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    found = cores.usable(tmp_path, tmp_path / "none")
    assert repr(found) == "2 (auto: its affinity has 2 of 16 cores)"
    assert f"{found}" == "2"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(1000)))
    assert cores.usable(tmp_path, tmp_path / "none") == cores.MOST
