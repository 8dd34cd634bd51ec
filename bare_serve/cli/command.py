"""The command line as click knows it: `--version`, and every mistake.

click splits the line and nothing more: values are read by sources.load, so that a wrong one is
refused in the same words wherever it came from. It is imported for lines that plain.py does not
take. Nothing is served or exited here; help texts are in help.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from bare_serve.cli import help  # noqa: A004 (its name everywhere)
from bare_serve.cli.compat import ours, translate
from bare_serve.cli.plain import Line
from bare_serve.config.options import Option
from bare_serve.config.settings import OPTIONS
from bare_serve.errors import UsageError, did_you_mean, near
from bare_serve.version import __version__


class _Command(click.Command):
    """Has its help text made elsewhere."""

    def get_help(self, ctx: click.Context) -> str:
        return help.whole(100).rstrip("\n")


def _parameter(option: Option) -> click.Parameter:
    """Return the click parameter of one line of the table; values stay text."""
    if option.name == "app":
        return click.Argument(["app"], required=False, metavar="[APP]", type=click.UNPROCESSED)
    kind = option.kind
    declarations = [option.flag, *filter(None, [option.short])]
    if kind.switch:
        if option.default is True:
            declarations = [f"{option.flag}/--no-{option.key}"]
        return click.Option(
            [option.name, *declarations], is_flag=True, default=None, help=option.help
        )
    return click.Option(
        [option.name, *declarations],
        metavar=kind.metavar,
        multiple=bool(kind.separator),
        type=click.UNPROCESSED,
        help=option.help,  # shells show it as they complete a line
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


_TEXTS = {name: action.help for name, action in help.ACTIONS.items()}
_ACTIONS = (
    click.Option(["--check"], is_flag=True, help=_TEXTS["check"]),
    click.Option(["--print-config"], is_flag=True, help=_TEXTS["print_config"]),
    click.Option(["--migrate"], metavar="FILE|COMMAND", expose_value=False, help=_TEXTS["migrate"]),
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help=_TEXTS["version"],
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
    context_settings={"help_option_names": [*help.FLAGS]},
)


def split(args: Sequence[str]) -> Line | int:
    """Return what the line asks for, or the exit code if it was answered already.

    Raises:
        UsageError: with the words of click or our own.
    """
    try:
        args, remarks = translate(args)
        found: Line | int = command.main(args, prog_name="bare-serve", standalone_mode=False)
    except click.NoSuchOption as error:
        name = error.option_name
        begun = [flag for flag in ours() if len(name) > 3 and flag.startswith(name)]
        hint = did_you_mean(begun[:3] or near(name, ours(), 1), quote="")
        raise UsageError(f"there is no option {name}{hint}\nSee bare-serve --help.") from None
    except click.ClickException as error:
        raise UsageError(f"{error.format_message()}\nSee bare-serve --help.") from None
    except click.Abort:
        raise KeyboardInterrupt from None
    return found._replace(remarks=remarks) if isinstance(found, Line) else found
