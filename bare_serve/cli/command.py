"""The command line as click knows it: `--help`, `--version`, and every mistake.

click splits the line and nothing more: values are read by sources.load, so that a wrong one is
refused in the same words wherever it came from. It is imported for lines that plain.py does not
take. Nothing is served or exited here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from bare_serve.cli.compat import translate
from bare_serve.cli.plain import Line
from bare_serve.config.options import GROUPS, Option
from bare_serve.config.settings import BY_NAME, OPTIONS
from bare_serve.errors import UsageError
from bare_serve.version import __version__

_EPILOG = """\
Times are 10, 1.5, 500ms, 2m or off; sizes are 4096, 64KiB or 1MiB. Each option is also a key
of [tool.bare-serve] in pyproject.toml and an environment variable: --log-level is log-level
and BARE_SERVE_LOG_LEVEL. The command line is stronger than the environment, and that is
stronger than the file. A server that runs is looked at by bare-serve status, top and stacks, and
steered by reload, replace and stop; bare-serve status --help says more."""


class _Command(click.Command):
    """Shows its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        parameters = {parameter.name: parameter for parameter in self.get_params(ctx)}
        for group in GROUPS:
            names = [option.name for option in OPTIONS if option.group == group]
            self._section(group, [parameters.pop(name) for name in names], ctx, formatter)
        self._section("Instead of serving", parameters.values(), ctx, formatter)

    @staticmethod
    def _section(
        title: str,
        parameters: Iterable[click.Parameter],
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        records = [
            # Most versions of click say nothing of arguments here.
            ("APP", BY_NAME["app"].help) if each.name == "app" else each.get_help_record(ctx)
            for each in parameters
        ]
        with formatter.section(title):
            formatter.write_dl([record for record in records if record], col_max=34)


def _parameter(option: Option) -> click.Parameter:
    """Return the click parameter of one line of the table; values stay text."""
    if option.name == "app":
        return click.Argument(["app"], required=False, metavar="[APP]", type=click.UNPROCESSED)
    kind = option.kind
    declarations = [option.flag, *filter(None, [option.short])]
    text = option.help
    if kind.switch:
        if option.default is True:
            declarations = [f"{option.flag}/--no-{option.key}"]
        return click.Option([option.name, *declarations], is_flag=True, default=None, help=text)
    if option.default not in (None, "", (), Path()):
        text = f"{text} [default: {kind.show(option.default)}]"
    return click.Option(
        [option.name, *declarations],
        metavar=kind.metavar,
        multiple=bool(kind.separator),
        type=click.UNPROCESSED,
        help=text,
    )


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    # Not at the top: 2 MiB of memory and 20 ms that only this needs.
    metadata = importlib.import_module("importlib.metadata")
    platform = importlib.import_module("platform")
    parts = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in ("uvloop", "httptools", "websockets"):
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            parts.append(f"no {name}")
    click.echo(f"bare-serve {__version__} ({', '.join(parts)})")
    ctx.exit()


_ACTIONS = (
    click.Option(
        ["--check"],
        is_flag=True,
        help="Refuse what a start would, load the application, say what it is, and exit; binds "
        "nothing and makes no log or pid file.",
    ),
    click.Option(
        ["--print-config"], is_flag=True, help="Show each setting, its value and its source."
    ),
    click.Option(
        ["--migrate"],
        metavar="FILE|COMMAND",
        expose_value=False,
        help="Print a bare-serve.toml made of what is set for gunicorn or uvicorn: a "
        "gunicorn.conf.py, a file with a command in it, or the command itself. Stands first.",
    ),
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Show the version and exit.",
    ),
)


def _line(**parameters: Any) -> Line:
    ctx = click.get_current_context()
    check, print_config = parameters.pop("check"), parameters.pop("print_config")
    asked = {
        name: value
        for name, value in parameters.items()
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    return Line(asked, check, print_config)


command = _Command(
    "bare-serve",
    callback=_line,
    params=[*map(_parameter, OPTIONS), *_ACTIONS],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="[OPTIONS]",
    help="Serve the WSGI or ASGI application APP, such as app:application; without APP, the one "
    "that is found in the current directory.",
    epilog=_EPILOG,
)


def split(args: Sequence[str]) -> Line | int:
    """Return what the line asks for, or the exit code if it was answered already.

    Raises:
        UsageError: with the words of click or our own.
    """
    try:
        args, remarks = translate(args)
        found: Line | int = command.main(args, prog_name="bare-serve", standalone_mode=False)
    except click.ClickException as error:
        raise UsageError(f"{error.format_message()}\nSee bare-serve --help.") from None
    except click.Abort:
        raise KeyboardInterrupt from None
    return found._replace(remarks=remarks) if isinstance(found, Line) else found
