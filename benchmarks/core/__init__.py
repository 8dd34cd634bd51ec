"""The core alone, without sockets: `python -m benchmarks.core`, microseconds for each operation.

cases.py holds the cases, blocks.py the bytes they are fed, timing.py the clock, beside.py compares
two checkouts. The command is here and imports the cases when it runs, so that the other benchmarks
work while bare_serve does not.
"""

from __future__ import annotations

import platform
from pathlib import Path

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1)
@click.option("--seconds", default=0.05, show_default=True, help="For each repeat.")
@click.option("--repeats", type=click.IntRange(1), default=7, show_default=True)
@click.option(
    "--beside",
    "other",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, to be compared: a table in Markdown.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="With --beside: turns of each checkout.",
)
def main(
    words: tuple[str, ...], seconds: float, repeats: int, other: Path | None, rounds: int
) -> None:
    """Microseconds a call of the cases whose names contain all WORDS; none: all."""
    if other is not None:
        _beside(other.resolve(), words, seconds, repeats, rounds)
        return
    from benchmarks.core.cases import all_cases
    from benchmarks.core.timing import time_it

    click.echo(f"CPython {platform.python_version()}, microseconds each")
    click.echo(f"{'':<46}{'best':>8}{'median':>9}")
    for name, operation in all_cases():
        if all(word in name for word in words):
            found = time_it(operation, seconds, repeats)
            click.echo(f"{name:<46}{found.best:>8.2f}{found.median:>9.2f}")


def _beside(other: Path, words: tuple[str, ...], seconds: float, repeats: int, rounds: int) -> None:
    from benchmarks.core import beside

    arguments = (*words, "--seconds", str(seconds), "--repeats", str(repeats))
    try:
        before, now = beside.take_best(other, rounds, lambda one: beside.run(one, arguments))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    for line in beside.table(before, now):
        click.echo(line)
