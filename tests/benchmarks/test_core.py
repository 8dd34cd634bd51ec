"""The core of two checkouts side by side: whose turn it is, what is read, and what is compared."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from benchmarks.core import beside, main

OTHER = Path("/other")


def test_what_the_command_prints_can_be_read() -> None:
    done = CliRunner().invoke(
        main, ["access", "seen", "--seconds", "0.001", "--repeats", "1"], catch_exceptions=False
    )
    [(name, figure)] = beside.figures(done.output).items()
    assert name == "access log: a line, head seen before"
    assert figure > 0


def test_the_best_of_each_turn_counts_and_each_round_begins_with_another_checkout() -> None:
    order: list[Path] = []

    def sample(checkout: Path) -> beside.Figures:
        order.append(checkout)
        return {"a": 9.0 - len(order), "b": float(len(order))}

    before, now = beside.take_best(OTHER, 2, sample)
    assert order == [OTHER, beside.REPOSITORY, beside.REPOSITORY, OTHER]
    assert before == {"a": 5.0, "b": 1.0}
    assert now == {"a": 6.0, "b": 2.0}


def test_what_only_one_checkout_has_is_named_and_not_compared() -> None:
    assert list(beside.table({"a": 2.0, "old": 1.0}, {"a": 1.0, "new": 1.0})) == [
        "| case | before | now | now/before |",
        "| --- | --- | --- | --- |",
        "| a | 2.00 | 1.00 | 0.50 |",
        "\nGone: old.",
        "\nNew: new.",
    ]


def test_a_directory_without_a_core_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--beside", str(tmp_path), "--rounds", "1"])
    assert done.exit_code == 1
    assert f"Error: the core of {tmp_path} ended with 1: " in done.output
    assert "No module named" in done.output
    assert "Traceback" not in done.output


def test_this_checkout_beside_itself() -> None:
    arguments = ["hello, block", "--beside", str(beside.REPOSITORY), "--rounds", "1"]
    done = CliRunner().invoke(
        main, [*arguments, "--seconds", "0.001", "--repeats", "1"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert done.output.count("block memo hit |") == 2, "one for each parser"
