"""Where a loaded worker spends its time: a table of functions and a flame graph.

py-spy samples a real worker from outside, which costs it next to nothing. Where the system forbids
that (or with --how cprofile) the server runs in one process (--workers 0) under cProfile, whose
own cost swells small functions: believe its counts, and its times only roughly.
"""

from __future__ import annotations

import pstats
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from benchmarks import machine, peers, proc, wrk
from benchmarks.process import Running, ServerFailed, free_port
from benchmarks.scenario import Scenario
from benchmarks.scenarios import BY_NAME
from benchmarks.servers import BY_KEY, Launch, Server

RATE = 500  # samples a second
FLAME = peers.HOME / "results" / "profile.svg"


def call_table(stacks: Iterable[str]) -> list[tuple[str, float, float]]:
    """Return (function, own share, share with what it calls) of stacks, largest own first.

    A line is `outer (file:line);inner (file:line) COUNT`, as py-spy writes them.
    """
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit():
            continue
        names = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        total += int(count)
        own[names[-1]] += int(count)
        for name in set(names):
            whole[name] += int(count)
    return [
        (name, own[name] / total, whole[name] / total)
        for name in sorted(whole, key=lambda name: (-own[name], -whole[name]))
    ]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--server", default="bare-serve:asgi", show_default=True, help="A row's name.")
@click.option("--scenario", default="hello", show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--how", type=click.Choice(["auto", "py-spy", "cprofile"]), default="auto")
@click.option("--gil", is_flag=True, help="Only what holds Python's lock: no waiting, no I/O.")
@click.option("--lines", default=30, show_default=True, help="Of the table.")
def main(server: str, scenario: str, seconds: int, how: str, gil: bool, lines: int) -> None:
    """Profiles a worker under load."""
    if server not in BY_KEY or scenario not in BY_NAME or BY_NAME[scenario].kind != "wrk":
        raise click.UsageError("no such server or scenario; `peers` lists them")
    wrk.require()
    environment = peers.prepare(click.echo)
    chosen, load = BY_KEY[server], BY_NAME[scenario]
    sampler = [f"{environment.binaries}/py-spy", "record", *(["--gil"] if gil else [])]
    try:
        if how != "cprofile":
            problem = _sampled(environment, chosen, load, seconds, sampler)
            if isinstance(problem, list):
                _print_table(problem[:lines])
                return
            click.echo(f"py-spy cannot look into the worker: {problem}", err=True)
            if how == "py-spy":
                raise click.exceptions.Exit(1)
        _counted(environment, chosen, load, seconds, lines)
    except ServerFailed as error:
        raise click.ClickException(f"{server}: {error}") from error


def _sampled(
    environment: peers.Environment,
    server: Server,
    scenario: Scenario,
    seconds: int,
    sampler: list[str],
) -> str | list[tuple[str, float, float]]:
    """Return the call table, or py-spy's complaint. Write the flame graph beside."""
    cores = machine.share_out(machine.available_cores(), 1)
    launch = Launch(scenario.target(server.interface), free_port())
    running = Running(server, launch, environment, cores.server)
    load = None
    try:
        running.first_answer()
        worker = _worker(running, scenario, cores)
        whole = 2 * seconds + 4
        load = wrk.Running(scenario.load.command(running.url, whole), whole, cores.load)
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "stacks"
            for form, place in (("raw", raw), ("flamegraph", FLAME)):
                if problem := _record(sampler, worker, seconds, form, place):
                    return problem
            return call_table(raw.read_text().splitlines())
    finally:
        if load is not None:
            load.stop()
        running.stop()


def _worker(running: Running, scenario: Scenario, cores: machine.Cores) -> int:
    """Return the process that works under a short load."""
    before = proc.read_all_stats()
    wrk.run(scenario.load, running.url, 1, cores.load)
    return proc.busiest(before, proc.read_all_stats(), proc.tree_pids(running.pid))


def _record(sampler: list[str], pid: int, seconds: int, form: str, place: Path) -> str | None:
    place.parent.mkdir(exist_ok=True)
    words = [*sampler, "--pid", str(pid), "--function"]
    words += ["--rate", str(RATE), "--duration", str(seconds)]
    words += ["--format", form, "--output", str(place)]
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if result.returncode == 0 else result.stderr.strip().splitlines()[-1]


def _print_table(table: list[tuple[str, float, float]]) -> None:
    click.echo(f"{'own':>7}{'whole':>8}  function")
    for name, own, whole in table:
        click.echo(f"{own:>7.1%}{whole:>8.1%}  {name}")
    click.echo(f"flame graph: benchmarks/results/{FLAME.name}")


def _counted(
    environment: peers.Environment, server: Server, scenario: Scenario, seconds: int, lines: int
) -> None:
    """cProfile around the server in one process."""
    if not server.ours:
        raise click.ClickException("only bare-serve itself can be run under cProfile")
    cores = machine.share_out(machine.available_cores(), 1)
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        python, _, *rest = server.command
        words = (python, "-m", "cProfile", "-o", str(figures), "-m", *rest)
        if server.interface == "wsgi":
            words = (*words, "--threads", "1")  # cProfile sees the main thread alone
        under = Server(server.key, server.peer, server.interface, words, server.why)
        launch = Launch(scenario.target(server.interface), free_port(), workers=0)
        running = Running(under, launch, environment, cores.server)
        try:
            running.first_answer()
            wrk.run(scenario.load, running.url, seconds, cores.load)
        finally:
            running.stop()  # politely: cProfile writes when the server has ended by itself
        if not figures.exists():
            raise click.ClickException("cProfile wrote nothing: the server did not end by itself")
        pstats.Stats(str(figures)).strip_dirs().sort_stats("tottime").print_stats(lines)
