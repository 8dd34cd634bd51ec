"""The command line of the benchmarks, as far as it measures nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cli import main

MACHINE = {"cpu": "X", "cores": 2, "memory_gib": 4, "kernel": "Linux 6", "python": "3.11.7"}


def run_of(tmp_path: Path, name: str, rates: list[float]) -> str:
    rounds = [
        {"rate": rate, "requests": 1, "user_us": 1, "system_us": 1, "latency": {}} for rate in rates
    ]
    row = {"key": "bare-serve:wsgi", "label": "bare-serve", "interface": "wsgi"}
    record = {"key": "hello", "title": "Hello", "judged": ["rate"]}
    report = {
        "date": name,
        "machine": MACHINE,
        "versions": {},
        "settings": {"rounds": 2, "seconds": 1},
        "records": [{**record, "rows": [{**row, "peer": "bare-serve", "rounds": rounds}]}],
        "schema": 1,
    }
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(report))
    return str(path)


def test_without_a_command_it_runs_and_shows_the_plan_first() -> None:
    found = CliRunner().invoke(main, ["--only", "hello,tls", "--rounds", "3", "--dry-run"])
    assert found.exit_code == 0
    assert "Hello over TLS" in found.output
    assert "2 scenarios, 3 rounds of 1 s each: about" in found.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "nonsense"], "there is no scenario 'nonsense'"),
        (["run", "--peers", "nonsense", "--dry-run"], "there is no server 'nonsense'"),
        (["report", "/nonexistent/run.json"], "cannot read"),
        (["--rounds", "0"], "0 is not in the range"),
    ],
)
def test_bad_usage_is_said_plainly_and_exits_with_2(words: list[str], said: str) -> None:
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 2
    assert said in found.output
    assert "Traceback" not in found.output


def test_compare_tells_what_got_slower_and_strict_fails(tmp_path: Path) -> None:
    old, new = run_of(tmp_path, "old", [100, 101]), run_of(tmp_path, "new", [50, 51])
    found = CliRunner().invoke(main, ["compare", old, new])
    assert found.exit_code == 0
    assert "Hello (WSGI): bare-serve: requests/s 100 -> 50.5" in found.output
    assert CliRunner().invoke(main, ["compare", old, new, "--strict"]).exit_code == 1
    assert CliRunner().invoke(main, ["compare", new, old, "--strict"]).exit_code == 0


def test_a_setting_of_one_checkout_is_a_variable(tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["pair", str(tmp_path), "--set", "counts"])
    assert found.exit_code == 2
    assert "'counts': it is NAME=VALUE, as BARE_SERVE_COUNTS=no" in found.output
