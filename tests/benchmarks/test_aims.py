"""What is set out to be reached, and how a run is judged by it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import aims
from benchmarks.aims import AIMS, Aim, Finding, judge, summary
from benchmarks.report import markdown
from benchmarks.results import MEASURES, Record, Report, Round, Row
from benchmarks.scenarios import BY_NAME
from benchmarks.servers import BY_KEY

WSGI = "bare-serve:wsgi"
GRANIAN = "granian:wsgi"


def a_row(key: str, *rounds: Round) -> Row:
    server = BY_KEY[key]
    return Row(
        key, server.label, server.interface, server.peer, "measured", "", [*rounds], server.variant
    )


def a_round(rate: float = 100.0, cpu: float = 10.0, load_cpu: float = 0.5, **more: Any) -> Round:
    half = {"user_us": cpu / 2, "system_us": cpu / 2}
    return {"rate": rate, "requests": 1, "load_cpu": load_cpu, "latency": {}, **half, **more}


def a_report(key: str, *rows: Row, **more: Any) -> Report:
    machine = {"cpu": "X", "cores": 2, "memory_gib": 4, "kernel": "Linux 6", "python": "3.11.7"}
    record = Record(key, BY_NAME[key].title, [*BY_NAME[key].judged], rows=[*rows], **more)
    return Report("2026-01-02", machine, {}, {"rounds": 1, "seconds": 1}, records=[record])


def finding(monkeypatch: pytest.MonkeyPatch, aim: Aim, report: Report) -> Finding:
    monkeypatch.setattr(aims, "AIMS", (aim,))
    [found] = judge(report)
    return found


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: f"{aim.scenario}-{aim.ours}-{aim.against}")
def test_every_aim_is_about_rows_and_figures_that_a_full_run_measures(aim: Aim) -> None:
    scenario = BY_NAME[aim.scenario]
    assert aim.ours in scenario.servers
    assert BY_KEY[aim.ours].ours
    assert not aim.against or aim.against in scenario.servers
    assert (aim.at_least is None) is not (aim.at_most is None)
    for measure in aim.measures:
        slow = ("slow",) if scenario.kind == "mixed" else ()
        shown = scenario.columns or ("rate", "cpu", "p99", *slow)
        assert measure in MEASURES
        assert measure in shown


@pytest.mark.parametrize(
    ("rates", "cpus", "outcome"),
    [
        ((130, 100), (10, 10), "holds"),
        ((100, 100), (8, 10), "holds"),  # one of the two is enough
        ((124, 100), (9, 10), "missed"),
    ],
)
def test_speed_is_by_requests_or_by_cpu(
    monkeypatch: pytest.MonkeyPatch,
    rates: tuple[float, float],
    cpus: tuple[float, float],
    outcome: str,
) -> None:
    rows = [a_row(WSGI, a_round(rates[0], cpus[0])), a_row(GRANIAN, a_round(rates[1], cpus[1]))]
    aim = Aim("hello", WSGI, aims.SPEED, GRANIAN, at_least=1.25)
    assert finding(monkeypatch, aim, a_report("hello", *rows)).outcome == outcome


def test_ratios_are_taken_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = a_row(WSGI, a_round(200), a_round(100), a_round(50))
    theirs = a_row(GRANIAN, a_round(100), a_round(50), a_round(25))
    aim = Aim("hello", WSGI, ("rate",), GRANIAN, at_least=2)
    found = finding(monkeypatch, aim, a_report("hello", ours, theirs))
    assert found.outcome == "holds"
    assert found.found == "2.00 (2.00 - 2.00)"


@pytest.mark.parametrize(
    ("rate", "bound", "outcome"),
    [(300, (0.99, 0.5), "holds"), (150, (0.99, 0.5), "not measured"),
     (300, (0.99, 0.99), "not measured"), (150, (0.5, 0.5), "missed")],
)  # fmt: skip
def test_where_wrk_was_the_limit_for_ours_the_rate_is_a_lower_bound(
    monkeypatch: pytest.MonkeyPatch, rate: float, bound: tuple[float, float], outcome: str
) -> None:
    ours = a_row(WSGI, a_round(rate, load_cpu=bound[0]))
    theirs = a_row(GRANIAN, a_round(100, load_cpu=bound[1]))
    aim = Aim("mixed-sleep", WSGI, ("rate",), GRANIAN, at_least=2)
    assert finding(monkeypatch, aim, a_report("mixed-sleep", ours, theirs)).outcome == outcome


@pytest.mark.parametrize(("mib", "outcome"), [(40, "holds"), (41, "missed")])
def test_at_most_is_of_the_quotient_of_the_figures(
    monkeypatch: pytest.MonkeyPatch, mib: float, outcome: str
) -> None:
    rows = [a_row(WSGI, {"loaded_mib": mib}), a_row(GRANIAN, {"loaded_mib": 100})]
    aim = Aim("footprint", WSGI, ("loaded",), GRANIAN, at_most=0.4)
    found = finding(monkeypatch, aim, a_report("footprint", *rows))
    assert found.outcome == outcome
    assert found.wanted == "memory after load, at most 0.4 times granian's"


@pytest.mark.parametrize(("cpu", "outcome"), [(11.5, "holds"), (11.6, "missed")])
def test_a_difference_of_two_rows_of_ours(
    monkeypatch: pytest.MonkeyPatch, cpu: float, outcome: str
) -> None:
    logged = f"{WSGI}:access-log"
    rows = [a_row(WSGI, a_round(cpu=10)), a_row(logged, a_round(cpu=cpu))]
    aim = Aim("access-log", logged, ("cpu",), WSGI, at_most=1.5, difference=True)
    found = finding(monkeypatch, aim, a_report("access-log", *rows))
    assert found.outcome == outcome
    assert found.wanted == "CPU per request above that without: at most 1.5 us"


@pytest.mark.parametrize(("grown", "outcome"), [(-0.5, "holds"), (0.0, "holds"), (1.2, "missed")])
def test_a_figure_of_one_row(monkeypatch: pytest.MonkeyPatch, grown: float, outcome: str) -> None:
    aim = Aim("flat", WSGI, ("grown",), at_most=1)
    report = a_report("flat", a_row(WSGI, {"grown_mib": grown}))
    assert finding(monkeypatch, aim, report).outcome == outcome


def test_what_stood_in_the_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = a_row(GRANIAN)
    broken.state, broken.note = "failed", "the server ended (SIGSEGV)"
    aim = Aim("hello", WSGI, aims.SPEED, GRANIAN, at_least=1.25)
    found = finding(monkeypatch, aim, a_report("hello", a_row(WSGI, a_round()), broken))
    assert (found.outcome, found.why) == (
        "not measured",
        "granian: failed: the server ended (SIGSEGV)",
    )
    found = finding(monkeypatch, Aim("flat", WSGI, ("grown",), at_most=1), a_report("hello"))
    assert found.why == "it was not part of this run"


def test_the_report_ends_with_the_aims_and_begins_with_their_number() -> None:
    report = a_report(
        "footprint", a_row(WSGI, {"worker_mib": 50.0}), a_row(GRANIAN, {"worker_mib": 100.0})
    )
    findings = judge(report)
    text = markdown(report)
    row = (
        "| Start-up, memory, connections held (WSGI) | the worker alone, at most 0.4 times"
        " granian's | 0.500 (0.500 - 0.500) | **missed** |"
    )
    assert row in text.partition("## Aims")[2]
    assert "\n## " not in text.partition("## Aims")[2]
    assert summary(findings) in text.partition("## At a glance")[0]
    assert f"Of {len(AIMS)} aims 0 hold and 1 are missed; {len(AIMS) - 1} were not" in text


def test_the_median_of_pairs_is_what_a_log_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine drifts by more than the difference; a pair does not."""
    machine = [10.0, 14.0, 11.0, 18.0, 9.0]
    extra = [1.0, 1.4, 1.2, 9.0, 1.3]
    key = f"{WSGI}:access-log"
    logged = a_row(key, *(a_round(cpu=a + b) for a, b in zip(machine, extra, strict=True)))
    plain = a_row(WSGI, *(a_round(cpu=cpu) for cpu in machine))
    aim = Aim("access-log-varies", key, ("cpu",), WSGI, at_most=1.5, difference=True)
    found = finding(monkeypatch, aim, a_report("access-log-varies", plain, logged))
    assert found.outcome == "holds"
    assert found.found == "1.30 (1.00 - 9.00)"


def test_a_large_bound_is_written_once_with_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    aim = Aim("mixed-compute", WSGI, ("rate",), at_least=24_000)
    found = finding(monkeypatch, aim, a_report("mixed-compute", a_row(WSGI, a_round(23_999))))
    assert (found.wanted, found.outcome) == ("requests/s: at least 24,000", "missed")


def test_the_slow_side_of_the_gate_is_aimed_at_beside_its_quick_side() -> None:
    about_gate = [aim for aim in AIMS if aim.scenario == "mixed-compute"]
    assert {measure for aim in about_gate for measure in aim.measures} == {"rate", "p99", "slow"}
    assert "slow" in BY_NAME["mixed-compute"].judged


@pytest.mark.parametrize("case", aims.PAIRED)
def test_each_aim_of_pairs_is_about_a_case_of_pairs(case: tuple[str, str]) -> None:
    from benchmarks.pairs import CASES

    assert case in CASES


def test_a_row_that_answered_nothing_is_no_matter_of_the_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [a_row(WSGI, a_round(second_rate=2.0)), a_row(f"{WSGI}:ungated", a_round(second_rate=0))]
    aim = Aim("mixed-compute", WSGI, ("slow",), f"{WSGI}:ungated", at_least=0.85)
    found = finding(monkeypatch, aim, a_report("mixed-compute", *rows))
    assert (found.outcome, found.why) == ("not measured", "no round has the figures")
