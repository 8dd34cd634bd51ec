"""The command line: `python -m benchmarks [run] ...`, quick, compare, report, peers, core, profile.

Reads options, prints, exits; everything that is known is known elsewhere. Exit codes: 0 done,
1 it failed while running (or `compare --strict` found something slower), 2 bad usage.
"""

from __future__ import annotations

import datetime
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from benchmarks import aims, core, machine, pairs, peers, plan, profiler, readme, results, wrk
from benchmarks import compare as comparison
from benchmarks.live import Live, laid_out
from benchmarks.process import ServerFailed
from benchmarks.report import markdown
from benchmarks.run import Benchmark
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import SERVERS
from benchmarks.stats import verdict
from benchmarks.verdicts import at_a_glance

RESULTS = Path(__file__).with_name("results")
QUICK = "path-varies"
TROUBLE = (
    *(wrk.WrkError, peers.InstallError, plan.PlanError, ServerFailed),
    *(results.UnreadableReport, readme.NoPlace),
)


class Group(click.Group):
    """Takes `run` when the first word is no command, and says our own errors plainly."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TROUBLE as error:
            click.echo(f"error: {error}", err=True)
            usage = isinstance(error, (plan.PlanError, results.UnreadableReport))
            sys.exit(2 if usage else 1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measures bare-serve beside its peers. Without a command: run."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that servers are stopped on that too


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _names(ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> list[str]:
    return [name.strip() for part in value for name in part.split(",") if name.strip()]


def _settings(
    ctx: click.Context, option: click.Parameter, value: tuple[str, ...]
) -> list[tuple[str, str]]:
    for each in value:
        if "=" not in each:
            raise click.BadParameter(f"{each!r}: it is NAME=VALUE, as BARE_SERVE_COUNTS=no")
    return [(name, setting) for name, _, setting in (each.partition("=") for each in value)]


_only = click.option("--only", multiple=True, callback=_names, help="Scenarios, with commas.")
_peers = click.option("--peers", "chosen", multiple=True, callback=_names, help="Peers, likewise.")
_ours = click.option("--peers-only", is_flag=True, help="Leave bare-serve out.")


@main.command()
@_only
@_peers
@_ours
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--no-variants", is_flag=True, help="bare-serve in its default configuration only.")
@click.option("--name", help="Of the result files; default: today's date.")
@click.option("--resume", type=click.Path(path_type=Path), help="A .json that was broken off.")
@click.option("--strict-aims", is_flag=True, help="Exit with 1 when an aim is missed.")
@click.option("--dry-run", is_flag=True, help="Show the plan and its time, measure nothing.")
def run(
    only: list[str],
    chosen: list[str],
    peers_only: bool,
    rounds: int,
    seconds: int,
    no_variants: bool,
    name: str | None,
    resume: Path | None,
    strict_aims: bool,
    dry_run: bool,
) -> None:
    """Measures, and writes benchmarks/results/<date>.json, .md and charts."""
    earlier = results.load(resume) if resume else None
    if earlier is not None:
        rounds, seconds = earlier.settings["rounds"], earlier.settings["seconds"]
    planned = plan.make(
        only, chosen, rounds, seconds, ours=not peers_only, variants=not no_variants
    )
    if earlier is not None:
        planned = planned.without({record.key for record in earlier.records})
    click.echo("\n".join(planned.lines()))
    if dry_run:
        return
    path = resume or _free_name(name or datetime.date.today().isoformat())
    report = _go(planned, earlier, keep=lambda report: report.save(path))
    if report.records:
        write(report, path)
    if not report.complete:
        click.echo(f"interrupted: whole scenarios are kept; go on with --resume {_relative(path)}")
        sys.exit(1)
    if strict_aims and any(found.outcome == "missed" for found in aims.judge(report)):
        sys.exit(1)


@main.command()
@_peers
def quick(chosen: list[str]) -> None:
    """One small answer, another path each time: ratios against each peer, and nothing written."""
    report = _go(plan.make([QUICK], chosen, 3, 1, variants=False))
    glance = at_a_glance(report)
    if not glance:
        click.echo("no ratios: bare-serve or all of its peers could not be measured", err=True)
    for line in glance:
        click.echo(f"bare-serve ({line.interface.upper()}), requests/s or CPU per request:")
        rows = [
            [
                f"  against {label}",
                f"{ratio.median:.2f} x",
                f"({ratio.low:.2f} - {ratio.high:.2f})",
                f"by {results.MEASURES[measure].title}",
                verdict(ratio),
            ]
            for label, (measure, ratio) in line.ratios.items()
        ]
        click.echo("\n".join(laid_out(rows)))
    sys.exit(0 if report.complete and glance else 1)


@main.command()
@click.argument("other", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, callback=_names, help="Scenarios, with commas.")
@click.option("--starts", type=click.IntRange(1), default=5, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_settings,
    help="A variable that only this checkout's server has: BARE_SERVE_COUNTS=no.",
)
def pair(
    other: Path, only: list[str], starts: int, rounds: int, settings: list[tuple[str, str]]
) -> None:
    """Measures this checkout beside OTHER, another one, paired; writes a table in Markdown.

    OTHER is a directory with the package, as `git worktree add OTHER COMMIT` makes it.
    """
    wrk.require()
    environment = peers.prepare(click.echo)
    cores = machine.share_out(machine.available_cores(), 1)
    click.echo(f"{machine.describe().sentence()}. {cores.sentence().capitalize()}.\n")
    for line in pairs.table_head():
        click.echo(line)
    for case in pairs.CASES:
        if not only or case[0] in only:
            found = pairs.compare(
                other.resolve(), case, environment, cores,
                starts=starts, rounds=rounds, pause=time.sleep, settings=settings,
            )  # fmt: skip
            click.echo(pairs.table_row(found.cells()))


def _go(
    planned: plan.Plan,
    earlier: results.Report | None = None,
    keep: Callable[[results.Report], None] = lambda report: None,
) -> results.Report:
    wrk.require()
    planned = replace(planned, descriptors=machine.raise_descriptor_limit())
    environments = {"": peers.prepare(click.echo), **_abroad(planned)}
    report = _new_report(planned, environments)
    if earlier is not None:
        both = earlier.versions.keys() & report.versions.keys()
        if report.machine != earlier.machine or any(
            report.versions[name] != earlier.versions[name] for name in both
        ):
            raise plan.PlanError("versions or machine differ from those of the run to go on with")
        earlier.versions.update(report.versions)
        report = earlier
    for peer, why in report.missing.items():
        click.echo(f"{peer} is missing: {why}")
    live = Live(planned)
    try:
        Benchmark(planned, environments, live, report, keep).run()
    finally:
        live.end()
    return report


def _abroad(planned: plan.Plan) -> dict[str, peers.Environment]:
    """Return the environments of the other Pythons that the plan needs and that are found here."""
    needed = {task.scenario.python for task in planned.tasks} - {""}
    found = peers.other_pythons() if needed else {}
    return {
        version: peers.prepare_abroad(version, found[version], click.echo)
        for version in sorted(needed & found.keys())
    }


def _new_report(
    planned: plan.Plan, environments: Mapping[str, peers.Environment]
) -> results.Report:
    place = machine.share_out(machine.available_cores(), 1)
    environment = environments[""]
    others = {f"CPython {name}": each.python for name, each in environments.items() if name}
    return results.Report(
        date=datetime.date.today().isoformat(),
        machine={**machine.describe().as_dict(), "python": environment.python},
        versions={**environment.reported(), "wrk": wrk.version(), **others},
        settings={
            "rounds": planned.rounds,
            "seconds": planned.seconds,
            "cores": place.sentence().capitalize(),
            "command": _command(sys.argv[1:]),
        },
        missing={peer: why for peer, why in environment.missing.items() if peer != "py-spy"},
    )


def _command(words: list[str]) -> str:
    return "make bench" if words in ([], ["run"]) else " ".join(["python -m benchmarks", *words])


def _free_name(name: str) -> Path:
    """Return a name that does not overwrite an earlier run of the day."""
    path, number = RESULTS / f"{name}.json", 2
    while path.exists():
        path, number = RESULTS / f"{name}-{number}.json", number + 1
    return path


def write(report: results.Report, path: Path) -> None:
    report.save(path)
    folder = path.with_suffix("")
    names = _draw(report, folder)
    path.with_suffix(".md").write_text(markdown(report, names, folder.name))
    stem = _relative(path.with_suffix(""))
    click.echo(f"written: {stem}.json, {stem}.md, {len(names)} charts in {stem}/")


def _relative(path: Path) -> Path:
    repository = RESULTS.parent.parent
    return path.relative_to(repository) if path.is_relative_to(repository) else path


def _draw(report: results.Report, folder: Path, only: tuple[str, ...] = ()) -> list[str]:
    try:
        from benchmarks import charts
    except ImportError:
        click.echo("no charts: matplotlib is not installed (pip install -e '.[bench]')", err=True)
        return []
    return charts.draw_all(report, folder, only)


_file = click.Path(path_type=Path)


@main.command()
@click.argument("result", type=_file)
@click.option("--charts-into", type=_file, help="Draw the charts there instead.")
def report(result: Path, charts_into: Path | None) -> None:
    """Make the Markdown report and the charts again from a .json."""
    found = results.load(result)
    if charts_into is None:
        write(found, result.resolve())
    else:
        click.echo(f"drawn: {', '.join(_draw(found, charts_into)) or 'nothing'}")


@main.command()
@click.argument("old", type=_file)
@click.argument("new", type=_file)
@click.option("--threshold", default=comparison.THRESHOLD, show_default=True)
@click.option("--strict", is_flag=True, help="Exit with 1 when bare-serve got slower somewhere.")
def compare(old: Path, new: Path, threshold: float, strict: bool) -> None:
    """Show what got slower and what faster between two runs."""
    before, after = results.load(old), results.load(new)
    click.echo("\n".join(comparison.lines(before, after, threshold)))
    slower = [c for c in comparison.changes(before, after, threshold) if c.slower]
    if strict and any(change.row.peer == "bare-serve" for change in slower):
        sys.exit(1)


@main.command("peers")
@click.option("--fresh", is_flag=True, help="Make the virtual environment anew.")
def show_peers(fresh: bool) -> None:
    """Installs the peers and shows them, and the scenarios there are."""
    environment = peers.prepare(click.echo, fresh=fresh)
    for server in SERVERS:
        version = environment.version(server.peer) or environment.missing.get(server.peer, "")
        version = "this checkout" if server.ours else version
        click.echo(f"{server.key:<26}{version:<15}{server.why}")
    click.echo("\nscenarios: " + ", ".join(scenario.key for scenario in SCENARIOS))


@main.command("readme")
@click.argument("result", type=_file)
def write_readme(result: Path) -> None:
    """Put a run's main figures, charts and machine into the README."""
    found, root = results.load(result), RESULTS.parent.parent
    drawn = _draw(found, root / readme.FOLDER, tuple(readme.CHARTS))
    for chart in (root / readme.FOLDER).glob("*.svg"):
        if chart.stem not in drawn:
            chart.unlink()  # of an earlier run; nothing shows it any more
    place = _relative(result.resolve().with_suffix(".md"))
    path = root / "README.md"
    path.write_text(readme.put(path.read_text(), readme.section(found, drawn, str(place))))
    click.echo(f"README.md: {', '.join(drawn) or 'no chart'}")


@main.command("aims")
@click.argument("result", type=_file)
@click.option("--strict", is_flag=True, help="Exit with 1 when an aim is missed.")
def show_aims(result: Path, strict: bool) -> None:
    """Which aims a run shows to hold, and which are missed."""
    findings = aims.judge(results.load(result))
    for found in findings:
        line = f"{found.outcome:<13}{found.subject}: {found.wanted}"
        click.echo(f"{line}; measured {found.found}" if found.found else f"{line}; {found.why}")
    click.echo(aims.summary(findings))
    if strict and any(found.outcome == "missed" for found in findings):
        sys.exit(1)


@main.command()
@click.argument("one", type=_file)
@click.argument("other", type=_file)
def agree(one: Path, other: Path) -> None:
    """Whether two runs rank the servers alike, where both separate them clearly."""
    lines, alike = comparison.agreement(results.load(one), results.load(other))
    click.echo("\n".join(lines))
    sys.exit(0 if alike else 1)


main.add_command(core.main, "core")
main.add_command(profiler.main, "profile")
