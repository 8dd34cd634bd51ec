"""A run survives its scenarios: what is measured is kept, whatever happens. Nothing is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import cli, peers, plan, results, run
from benchmarks.live import Live
from benchmarks.machine import Cores
from benchmarks.peers import Environment
from benchmarks.process import ServerFailed
from benchmarks.results import Record, Report

ENVIRONMENT = Environment("bin", "3.11.7", {}, {"nginx": "no such program"})
MACHINE = {"cpu": "X", "cores": 2, "memory_gib": 4, "kernel": "Linux 6", "python": "3.11.7"}


def a_report() -> Report:
    return Report("2026-01-02", MACHINE, {}, {"rounds": 1, "seconds": 1})


def a_run(only: list[str], kept: list[list[str]], **more: int) -> run.Benchmark:
    planned = replace(plan.make(only, [], 2, 1), **more)

    def keep(report: Report) -> None:
        kept.append([record.state for record in report.records])

    with open("/dev/null", "w") as nowhere:
        return run.Benchmark(planned, {"": ENVIRONMENT}, Live(planned, nowhere), a_report(), keep)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Live, "_write", lambda self, text: None)


def test_a_scenario_that_fails_unforeseen_is_recorded_and_the_others_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(self: object, task: plan.Task, record: Record, cores: Cores) -> None:
        if task.scenario.key == "flask":
            raise KeyError("latency")

    monkeypatch.setattr(run.Benchmark, "_measure", measure)
    kept: list[list[str]] = []
    bench = a_run(["hello", "flask", "fastapi"], kept)
    bench.run()
    assert [record.state for record in bench.report.records] == ["measured", "failed", "measured"]
    assert "KeyError in" in bench.report.records[1].note
    assert bench.report.complete
    assert kept == [
        ["measured"],
        ["measured", "failed"],
        ["measured", "failed", "measured"],
        ["measured", "failed", "measured"],
    ]


def test_an_interrupted_run_keeps_whole_scenarios_and_says_it_is_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(self: object, task: plan.Task, record: Record, cores: Cores) -> None:
        if task.scenario.key == "flask":
            raise KeyboardInterrupt

    monkeypatch.setattr(run.Benchmark, "_measure", measure)
    kept: list[list[str]] = []
    bench = a_run(["hello", "flask"], kept)
    bench.run()
    assert kept == [["measured"]]
    assert not bench.report.complete


def test_a_server_that_fails_once_leaves_the_probe_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def probe(server: object, *rest: object) -> dict[str, object]:
        if server.key == "uvicorn":  # type: ignore[attr-defined]
            raise ServerFailed("it took 7 of 5000 connections")
        return {"full_mib": 1.0, "each_kib": 1.0, "reach_ms": 1.0, "reach_us": 1.0}

    monkeypatch.setattr(run, "probe", probe)
    bench = a_run(["events"], [])
    bench.run()
    [record] = bench.report.records
    rows = {row.key: (row.state, len(row.rounds)) for row in record.rows}
    assert rows["uvicorn"] == ("failed", 0)
    assert rows["bare-serve:asgi"] == ("measured", 2)


def test_a_scenario_that_needs_more_open_files_than_allowed_says_so() -> None:
    bench = a_run(["events"], [], descriptors=1024)
    bench.run()
    [record] = bench.report.records
    assert record.state == "failed"
    assert record.note == "it failed: it needs 5100 open files, the system allows 1024 (ulimit -n)"


def test_a_run_goes_on_where_it_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.json"
    report = a_report()
    report.records = [Record("hello", "Hello", ["rate"])]
    report.complete = False
    report.save(path)
    assert json.loads(path.read_text())["complete"] is False
    planned: list[plan.Plan] = []

    def go(todo: plan.Plan, earlier: Report, keep: object) -> Report:
        planned.append(todo)
        return earlier

    monkeypatch.setattr(cli, "_go", go)
    CliRunner().invoke(cli.main, ["run", "--only", "hello,flask", "--resume", str(path)])
    assert [task.scenario.key for task in planned[0].tasks] == ["flask"]
    assert planned[0].rounds == 1


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    a_report().save(tmp_path / "run.json")
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]
    assert results.load(tmp_path / "run.json").date == "2026-01-02"


def test_a_scenario_whose_package_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    bench = a_run(["hostile-key-updates"], [])
    bench.run()
    [record] = bench.report.records
    assert record.state == "failed"
    said = "it failed: it needs the package cryptography: pip install -e '.[bench]'"
    assert record.note == said


def test_a_python_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    monkeypatch.setattr(
        run.Benchmark, "_measure", lambda self, task, *rest: measured.append(task.scenario.key)
    )
    bench = a_run(["hello-3.12", "hello-3.13"], [])
    bench.environments = {"": ENVIRONMENT, "3.13": ENVIRONMENT}
    bench.run()
    missing, there = bench.report.records
    assert (
        missing.note == "it failed: it needs CPython 3.12, which tools/pythons does not find here"
    )
    assert (there.state, measured) == ("measured", ["hello-3.13"])


def test_none_of_two_that_are_compared_is_always_measured_first() -> None:
    orders = [run.in_turn(["without", "with", "other"], number) for number in range(6)]
    firsts = [order.index("without") < order.index("with") for order in orders]
    assert {order[0] for order in orders} == {"without", "with", "other"}
    assert firsts.count(True) == firsts.count(False) == 3
    assert run.in_turn([], 3) == []


def test_other_pythons_go_by_their_minor_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("one", "3.12.9"), ("two", "3.13.0")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho Python {version}\n")
    (tmp_path / "pythons").write_text(f"#!/bin/sh\nprintf '%s\\n' {tmp_path}/one {tmp_path}/two\n")
    for script in tmp_path.iterdir():
        script.chmod(0o755)
    monkeypatch.setattr(peers, "PYTHONS", tmp_path / "pythons")
    assert peers.other_pythons() == {"3.12": tmp_path / "one", "3.13": tmp_path / "two"}
