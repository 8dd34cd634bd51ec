"""From a run's record to verdicts, tables, report and comparison: nothing is measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, readme, results, tables
from benchmarks.report import markdown
from benchmarks.results import Record, Report, Row
from benchmarks.stats import Spread
from benchmarks.verdicts import at_a_glance, losses, ranking, ranking_measure


def a_round(rate: float, cpu: float = 10.0, load_cpu: float = 0.5, **more: Any) -> results.Round:
    return {
        "rate": rate,
        "requests": int(rate),
        "user_us": cpu / 2,
        "system_us": cpu / 2,
        "load_cpu": load_cpu,
        "foreign": 0.0,
        "latency": {"50": 1.0, "99": 2.0, "99.9": 3.0},
        "errors": {},
        **more,
    }


def a_row(key: str, *rounds: results.Round, state: str = "measured", note: str = "") -> Row:
    peer = key.partition(":")[0]
    return Row(key, peer, "wsgi", peer, state, note, list(rounds))


def a_record(*rows: Row, key: str = "hello", **more: Any) -> Record:
    return Record(key, "Hello", ["rate", "cpu", "p99"], rows=list(rows), **more)


def a_report(*records: Record, **more: Any) -> Report:
    machine = {"cpu": "X", "cores": 2, "memory_gib": 4, "kernel": "Linux 6", "python": "3.11.7"}
    settings = {"rounds": 3, "seconds": 1, "cores": "Server on core 0, wrk on core 1"}
    return Report(
        "2026-01-02", machine, {"granian": "2.8"}, settings, records=list(records), **more
    )


def ours(*rates: float, **more: Any) -> Row:
    return a_row("bare-serve:wsgi", *(a_round(rate, **more) for rate in rates))


def peer(*rates: float, **more: Any) -> Row:
    return a_row("granian:wsgi", *(a_round(rate, **more) for rate in rates))


@pytest.mark.parametrize(
    ("value", "text"),
    [(92_123.0, "92,100"), (1234.0, "1,230"), (123.4, "123"), (13.61, "13.6"), (1.5, "1.50"),
     (0.4821, "0.482")],
)  # fmt: skip
def test_numbers_show_three_figures(value: float, text: str) -> None:
    assert results.number(value) == text


def test_ratios_above_one_are_good_for_ours_whatever_the_measure() -> None:
    record = a_record(ours(200, cpu=10.0), peer(100, cpu=30.0))
    mine, other = record.rows
    assert record.ratio("rate", mine, other) == Spread(2, 2, 2, 1)
    assert record.ratio("cpu", mine, other) == Spread(3, 3, 3, 1)


@pytest.mark.parametrize("bound", [0, 1])
def test_requests_per_second_are_not_compared_when_wrk_was_the_limit(bound: int) -> None:
    shares = [0.5, 0.5]
    shares[bound] = 0.96
    record = a_record(ours(200, load_cpu=shares[0]), peer(100, cpu=20.0, load_cpu=shares[1]))
    mine, other = record.rows
    assert record.ratio("rate", mine, other) is None
    assert record.ratio("p99", mine, other) is None
    assert record.main_ratio(mine, other) == ("cpu", Spread(2, 2, 2, 1))
    assert ranking_measure(record) == "cpu"
    assert tables.BOUND in "".join(tables.notes(record))


def test_requests_per_second_are_not_compared_on_shared_cores() -> None:
    record = a_record(ours(200), peer(100, cpu=20.0), shared_cores=True)
    assert record.main_ratio(*record.rows) == ("cpu", Spread(2, 2, 2, 1))


def test_a_loss_is_said_in_plain_words() -> None:
    found = losses(a_report(a_record(ours(100, 110, cpu=20.0), peer(150, 165, cpu=10.0))))
    assert [loss.sentence for loss in found] == [
        "granian answers 1.50 times as many requests per second, 158 requests/s against"
        " 105 requests/s",
        "granian needs less CPU, 10.0 us per request against 20.0 us (2.00 times less)",
    ]


def test_rounds_that_do_not_agree_are_no_loss() -> None:
    assert losses(a_report(a_record(ours(100, 100, 200), peer(150, 150, 150)))) == []


def test_failing_ourselves_is_a_loss() -> None:
    failed = a_row("bare-serve:wsgi", state="failed", note="no answer")
    assert "no answer" in losses(a_report(a_record(failed, peer(1))))[0].sentence
    torn = ours(100, errors={"read": 7})
    assert "7 errors" in losses(a_report(a_record(torn)))[0].sentence


def test_what_is_not_there_yet_is_listed_and_is_no_loss() -> None:
    record = a_record(key="tls", state="not there yet", note="bare-serve has no TLS yet")
    report = a_report(record)
    assert losses(report) == []
    assert "bare-serve has no TLS yet" in markdown(report)
    assert "no row that was measured" in markdown(report)


def test_a_missing_peer_is_reported() -> None:
    text = markdown(a_report(a_record(ours(1)), missing={"granian": "no wheel"}))
    assert "granian is not installed: no wheel" in text


def test_a_peer_that_fails_is_reported_in_table_and_report() -> None:
    broken = a_row("granian:wsgi", state="failed", note="the server ended (SIGSEGV)")
    record = a_record(ours(1), broken)
    assert tables.cells(record, broken) == [
        "granian",
        "did not work: the server ended (SIGSEGV)",
    ]
    assert "SIGSEGV" in markdown(a_report(record))


def test_glance_marks_losses_and_ties() -> None:
    record = a_record(ours(100, 100), peer(200, 200), a_row("waitress", a_round(99), a_round(101)))
    text = markdown(a_report(record))
    assert "**0.50**" in text
    assert "(1.00)" in text
    assert list(at_a_glance(a_report(record))[0].ratios) == ["granian", "waitress"]


def test_disturbed_rounds_are_told() -> None:
    record = a_record(ours(1, 2, foreign=0.5), peer(1))
    assert "in 2 measurements other programs" in " ".join(tables.notes(record))


def test_a_report_survives_being_written_and_read(tmp_path: Path) -> None:
    report = a_report(a_record(ours(100.123456789), peer(50)), missing={"waitress": "no"})
    report.save(tmp_path / "run.json")
    again = results.load(tmp_path / "run.json")
    assert again.records[0].rows[0].rounds[0]["rate"] == 100.123
    assert again.missing == {"waitress": "no"}
    assert markdown(again) == markdown(report)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1}'])
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(results.UnreadableReport, match=r"other\.json"):
        results.load(path)


def test_comparing_finds_what_got_slower_and_faster() -> None:
    old = a_report(a_record(ours(100, 102, cpu=10.0), peer(50, 51)))
    new = a_report(a_record(ours(80, 82, cpu=8.0), peer(50, 51)))
    found = {(c.row.peer, c.measure): c for c in compare.changes(old, new)}
    assert found["bare-serve", "rate"].slower
    assert found["bare-serve", "rate"].gain == pytest.approx(81 / 101)
    assert found["bare-serve", "cpu"].gain == pytest.approx(1.25)
    assert not found["granian", "rate"].certain
    text = compare.lines(old, new)
    assert any("requests/s 101 -> 81.0 requests/s, 1.25 times worse" in line for line in text)
    assert "Slower, bare-serve:" in text


def test_a_change_within_the_ranges_of_the_rounds_is_not_certain() -> None:
    old = a_report(a_record(ours(100, 120)))
    new = a_report(a_record(ours(90, 105)))
    assert not any(change.certain for change in compare.changes(old, new))


def test_changed_places_are_told_with_their_certainty() -> None:
    old = a_report(a_record(ours(100), peer(50)))
    new = a_report(a_record(ours(50), peer(100)))
    assert compare.reordered(old, new) == [
        "Hello: granian:wsgi is now before bare-serve:wsgi (requests/s; beyond the noise)"
    ]
    assert compare.reordered(old, old) == []


def test_ranking_is_best_first() -> None:
    record = a_record(peer(50, cpu=5.0), ours(100, cpu=9.0))
    assert [row.peer for row in ranking(record, "wsgi", "rate")] == ["bare-serve", "granian"]
    assert [row.peer for row in ranking(record, "wsgi", "cpu")] == ["granian", "bare-serve"]


def test_two_runs_agree_when_no_clear_pair_changed_places() -> None:
    one = a_report(a_record(ours(100, 102), peer(50, 51), a_row("waitress", *2 * [a_round(49.5)])))
    other = a_report(a_record(ours(90, 91), peer(48, 49), a_row("waitress", *2 * [a_round(49)])))
    lines, alike = compare.agreement(one, other)
    assert alike
    assert lines == [
        "Hello: the same ranking (requests/s, 2 clear pairs)",
        "The runs agree.",
    ]


def test_two_runs_do_not_agree_when_a_clear_pair_changed_places() -> None:
    one, other = (a_report(a_record(ours(r), peer(300 - r))) for r in (100, 200))
    lines, alike = compare.agreement(one, other)
    assert not alike
    assert "another ranking: bare-serve:wsgi and granian:wsgi" in lines[0]


def test_a_run_where_wrk_was_the_limit_is_ranked_by_cpu_with_the_other() -> None:
    one = a_report(a_record(ours(100, load_cpu=0.99), peer(50, cpu=20.0)))
    other = a_report(a_record(ours(50), peer(100, cpu=20.0)))
    assert compare.agreement(one, other)[1]


def test_a_variant_beside_its_servers_own_row_is_shown_and_not_judged() -> None:
    wide = a_row("granian:wsgi:wide", a_round(900))
    wide.variant, wide.label = "wide", "granian (wide)"
    report = a_report(a_record(ours(100), peer(50), wide))
    assert losses(report) == []
    assert list(at_a_glance(report)[0].ratios) == ["granian"]
    assert "900" in markdown(report)
    alone = a_report(a_record(ours(100), wide))
    assert list(at_a_glance(alone)[0].ratios) == ["granian (wide)"]
    assert len(losses(alone)) == 1


def test_a_probe_is_shown_by_its_columns_and_ranked_by_its_headline() -> None:
    rows = [a_row(key, {"full_mib": mib, "each_kib": 2.0}) for key, mib in
            (("granian:wsgi", 90.0), ("waitress", 80.0), ("bare-serve:wsgi", 100.0))]  # fmt: skip
    record = Record("idle", "Idle", ["full"], columns=["full", "each"], headline="full", rows=rows)
    assert tables.headers(record) == [
        "server",
        "memory with all open MiB",
        "added by each KiB",
        "ours x",
    ]
    [(_, members)] = tables.grouped(record)
    assert [tables.cells(record, row)[0] for row in members] == [
        "bare-serve",
        "waitress",
        "granian",
    ]
    assert tables.cells(record, members[1])[-1] == "0.80"
    assert ranking_measure(record) == "full"
    assert len(losses(a_report(record))) == 2


def test_only_the_place_for_measurements_is_replaced_in_the_readme() -> None:
    report = a_report(a_record(ours(100), peer(50)))
    fresh = readme.section(report, ["varies"], "benchmarks/results/run.md")
    text = readme.put(f"# A\n{readme.BEGIN}\nstale\n{readme.END}\n## B\n", fresh)
    assert text.startswith("# A\n<!-- measured -->")
    assert text.endswith("<!-- end of measured -->\n## B\n")
    assert "stale" not in text
    assert "docs/charts/varies.svg" in text
    assert "mixed.svg" not in text
    assert "X, 2 cores" in text
    assert "granian 2.8" in text
    assert "(benchmarks/results/run.md)" in text
    assert readme.put(text, fresh) == text
    with pytest.raises(readme.NoPlace):
        readme.put("# nothing", fresh)


def test_the_readme_begins_with_what_varies_and_names_what_repeats() -> None:
    same = a_record(ours(200, cpu=5.0), peer(100))
    varied = a_record(ours(110, cpu=9.0), peer(100), key="path-varies")
    text = readme.section(a_report(same, varied), [], "run.md")
    table = text[text.index("| WSGI") :].split("\n\n")[0].splitlines()
    assert table == [
        "| WSGI | CPU us | granian |",
        "|:--|--:|--:|",
        "| another path in each request, 14 browser headers | 9.00 | 1.10 |",
        "| one small request again and again * | 5.00 | 2.00 |",
    ]
    assert "\\* A head that its connection repeats byte for byte is answered from a memo" in text
    only_varied = readme.section(a_report(varied), [], "run.md")
    assert "memo" not in only_varied


def test_the_readme_shows_both_sides_of_the_gate_and_what_the_log_costs() -> None:
    gated = ours(25_000, second_rate=13.0)
    ungated = a_row("bare-serve:wsgi:ungated", a_round(13_000, second_rate=14.7))
    logged = a_row("bare-serve:wsgi:access-log", a_round(100, cpu=11.2))
    text = readme.section(
        a_report(
            a_record(gated, ungated, key="mixed-compute"),
            a_record(ours(100), logged, key="access-log"),
        ),
        [],
        "run.md",
    )
    assert "25,000 requests/s with a p99 of 2.00 ms, and 13.0 computing ones a second" in text
    assert "13,000 requests/s with a p99 of 2.00 ms, and 14.7 computing ones a second" in text
    assert "The access log costs 1.20 us in WSGI for one head." in text


def test_our_own_readme_has_that_place() -> None:
    assert readme.put((Path(__file__).parents[2] / "README.md").read_text(), "x")
