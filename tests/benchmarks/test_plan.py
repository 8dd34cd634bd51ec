"""The tables of servers and scenarios, and the plan that is made from them."""

from __future__ import annotations

import itertools

import pytest

from benchmarks import plan
from benchmarks.cli import QUICK
from benchmarks.live import Live, laid_out
from benchmarks.probes.footprint import HELD, connections_per_mib
from benchmarks.process import scrub
from benchmarks.profiler import call_table
from benchmarks.results import Record
from benchmarks.scenarios import GROUPS, OTHER_PYTHONS, SCENARIOS
from benchmarks.servers import BY_KEY, SERVERS, Launch, Server, fill, shown
from benchmarks.theme import PALETTE, themed

LAUNCH = Launch("m:app", 8123, 2, "c.pem", "k.pem")


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.key)
def test_every_command_names_its_target_and_port_and_fills_every_blank(server: Server) -> None:
    line = " ".join(fill(server, Launch("m:app", 8123, 2), "/bin-of-peers"))
    assert "m:app" in line
    assert "8123" in line
    assert "{" not in line
    assert "/bin-of-peers" not in shown(server, Launch("m:app", 8123))


@pytest.mark.parametrize("server", [s for s in SERVERS if s.tls], ids=lambda s: s.key)
def test_tls_options_are_added(server: Server) -> None:
    line = fill(server, LAUNCH, "bin")
    assert line.count("c.pem") == 1
    assert line[line.index("c.pem") - 1].startswith("--")
    assert line.count("m:app") == 1


def test_a_server_without_tls_is_not_started_with_it() -> None:
    with pytest.raises(ValueError, match="no TLS"):
        fill(BY_KEY["waitress"], LAUNCH, "bin")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.key)
def test_every_scenario_has_bare_serve_and_somebody_to_compare_with(scenario: object) -> None:
    servers = scenario.chosen()  # type: ignore[attr-defined]
    assert any(server.ours and not server.variant for server in servers)
    assert any(not server.ours for server in servers)


def test_a_full_run_is_planned_for_less_than_fifty_minutes() -> None:
    full = plan.make([], [], 5, 1)
    assert len(full.tasks) == len(SCENARIOS)
    assert full.estimate <= 50 * 60  # peers that fail or stop slowly take their time as well


def test_what_is_done_is_not_planned_again() -> None:
    full = plan.make(["hello", "flask", "flat"], [], 5, 1)
    left = full.without({"hello", "flat"})
    assert [task.scenario.key for task in left.tasks] == ["flask"]
    assert left.estimate < full.estimate


def test_what_the_readme_is_made_of_is_planned_for_less_than_twelve_minutes() -> None:
    planned = plan.make(["readme"], [], 3, 1)
    assert planned.estimate < 12 * 60
    keys = {task.scenario.key for task in planned.tasks}
    assert keys >= set(GROUPS["readme"]) - {"pythons"}
    assert {f"hello-{version}" for version in OTHER_PYTHONS} <= keys


def test_a_small_difference_is_looked_for_in_ten_pairs_whatever_the_run() -> None:
    [log] = plan.make(["access-log"], [], 3, 1).tasks
    assert (log.rounds(3), log.rounds(12)) == (10, 12)
    assert log.seconds(3, 1) == log.seconds(10, 1)


def test_few_requests_are_counted_for_longer() -> None:
    [compute] = plan.make(["mixed-compute"], [], 3, 1).tasks
    assert (compute.round_seconds(1), compute.round_seconds(5)) == (3, 5)
    assert compute.seconds(3, 1) == compute.seconds(3, 3) > compute.seconds(2, 3)


def test_the_quick_run_is_planned_for_less_than_ninety_seconds() -> None:
    assert plan.make([QUICK], [], 3, 1, variants=False).estimate < 90


def test_peers_are_chosen_by_package_or_by_row_and_bare_serve_comes_along() -> None:
    keys = {server.key for server in plan.make(["hello"], ["granian", "waitress"], 1, 1).servers}
    assert {"granian:wsgi", "granian:asgi", "waitress", "bare-serve:wsgi"} <= keys
    assert "uvicorn" not in keys
    alone = plan.make(["hello"], ["gunicorn-sync"], 1, 1, ours=False)
    assert [server.key for server in alone.servers] == ["gunicorn-sync"]


@pytest.mark.parametrize(
    ("only", "peers", "said"),
    [
        (["nonsense"], [], "no scenario 'nonsense'; known: path-varies"),
        ([], ["nonsense"], "no server 'nonsense'; known: bare-serve"),
    ],
)
def test_unknown_names_are_refused_with_those_known(
    only: list[str], peers: list[str], said: str
) -> None:
    with pytest.raises(plan.PlanError, match=said):
        plan.make(only, peers, 1, 1)


def test_servers_that_take_no_part_are_refused() -> None:
    with pytest.raises(plan.PlanError, match="none of these servers"):
        plan.make(["fastapi"], ["waitress"], 1, 1, ours=False)


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (59.6, "1:00 min"), (125, "2:05 min")])
def test_durations_for_people(seconds: float, text: str) -> None:
    assert plan.minutes(seconds) == text


def test_columns_are_in_line_and_short_rows_run_on() -> None:
    lines = laid_out([["name", "a", "b"], ["x", "10", "200"], ["broken", "did not work"]])
    assert lines == ["name     a    b", "x       10  200", "broken  did not work"]


def test_progress_tells_the_share_done_and_the_time_left() -> None:
    two = plan.make(["flask", "fastapi"], [], 5, 2)
    live = Live(two)
    assert "0/2" in live.progress(live.begun)
    live.started(Record("flask", "Flask", []), 5)
    live.finished(Record("flask", "Flask", []))
    done = live.progress(live.begun + live.planned_done)
    assert "1/2" in done
    assert f"{plan.minutes(two.estimate - live.planned_done)} left" in done


@pytest.mark.parametrize(
    ("held", "grown", "figure"),
    [(HELD, 2 << 20, HELD / 2), (HELD, 1000, None), (HELD - 1, 2 << 20, None)],
)
def test_connections_per_mib(held: int, grown: int, figure: float | None) -> None:
    assert connections_per_mib(held, 10 << 20, (10 << 20) + grown) == figure


def test_call_table_from_collapsed_stacks() -> None:
    stacks = ["main (a.py:1);work (a.py:5) 30", "main (a.py:2) 10", "rubbish"]
    assert call_table(stacks) == [("work (a.py)", 0.75, 0.75), ("main (a.py)", 0.25, 1.0)]


def test_no_two_colours_of_the_palette_are_the_same() -> None:
    light = [pair[0] for pair in PALETTE.values()]
    assert len(set(light)) == len(light)


@pytest.mark.parametrize("side", [0, 1])
def test_text_is_legible_on_the_card_in_both_themes(side: int) -> None:
    for name in ("ink", "soft"):
        assert contrast(PALETTE[name][side], PALETTE["card"][side]) >= 4.5
    for name in ("ours", "peer", "line1", "line2", "line3", "line4", "line5", "line6"):
        assert contrast(PALETTE[name][side], PALETTE["card"][side]) >= 2.9


def contrast(one: str, other: str) -> float:
    """WCAG 2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_style_sheet_is_put_inside_the_svg() -> None:
    drawn = '<?xml version="1.0"?>\n<svg width="9">\n<metadata>x\ny</metadata><path/></svg>'
    assert "<metadata>" not in themed(drawn)
    assert themed(drawn).index("<style>") > themed(drawn).index('<svg width="9">')
    for light, dark in PALETTE.values():
        assert f'[style*="fill: {light}"]{{fill:{dark} !important}}' in themed(drawn)


def test_reports_carry_no_path_of_this_machine() -> None:
    from benchmarks.peers import APPS, REPOSITORY

    said = scrub(f"File {APPS}/x.py in {REPOSITORY}/bare_serve")
    assert str(REPOSITORY) not in said
    assert said == "File benchmarks/apps/x.py in ./bare_serve"


def test_keys_of_servers_are_unique() -> None:
    assert all(a.key != b.key for a, b in itertools.combinations(SERVERS, 2))
