"""The text of -h and --help: one screen, everything, or what there is on one topic.

What lives here: texts made of the table of options, as wide as the window. What must not: any
option (config/settings.py), and click: help costs no import of it. Flags are coloured only where
the output has colours.

Below 80 columns a description stands under its option; beside it, it would be a column of words.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

from bare_serve.cli.verbs import VERBS
from bare_serve.config.options import GROUPS, Option
from bare_serve.config.settings import BY_NAME, OPTIONS
from bare_serve.errors import UsageError
from bare_serve.logs.console import paint, wants_colour

FLAGS: Final = ("-h", "--help")
_MEANT: Final = (*FLAGS, "-help")
_NARROW, _WIDEST, _COLUMN = 80, 100, 34
_USAGE = "Usage: bare-serve [OPTIONS] [APP]"
_PURPOSE = (
    "Serve the WSGI or ASGI application APP, such as app:application; without APP, the one that "
    "is found in the current directory."
)
_EPILOG = (
    "Times are 10, 1.5, 500ms, 2m or off; sizes are 4096, 64KiB or 1MiB. Each option is also a key "
    "of [tool.bare-serve] in pyproject.toml and an environment variable: --log-level is log-level "
    "and BARE_SERVE_LOG_LEVEL. The command line is stronger than the environment, and that is "
    "stronger than the file. A server that runs is looked at by bare-serve status, top and stacks, "
    "and steered by reload, replace and stop; bare-serve status --help says more."
)
_EXAMPLES = (
    ("bare-serve", "serve the application found here"),
    ("bare-serve shop.web:app", "name it: module:attribute"),
    ("bare-serve --dev", "reload; errors in the browser"),
    ("bare-serve -w 4 -b 0.0.0.0:8000 shop.web:app", "four workers, any client"),
    ("bare-serve --check shop.web:app", "would it start?"),
    ("bare-serve status", "look at one that runs"),
)
_BRIEF = {
    "bind": "where to listen: HOST:PORT, :PORT, unix:PATH",
    "workers": "worker processes",
    "threads": "calls of a WSGI worker that may wait at once",
    "dev": "all that helps while you write code",
    "forwarded_allow_ips": "proxies that are believed",
    "ssl_certfile": "a certificate: speak HTTPS",
    "timeout_request": "the longest a request may take",
    "access_log": "a file, - for standard output, or off",
    "log_level": "debug, info, warning, error or critical",
}
"""Options that most people need, in fewer words than their help has."""
_TOPICS: Final = {
    "app": "Target", "static": "Static files", "log": "Logging", "logs": "Logging",
    "https": "TLS", "ssl": "TLS", "timeout": "Timeouts", "limit": "Limits", "worker": "Workers",
    "websocket": "WebSockets", "ws": "WebSockets", "ops": "Operations", "dev": "Development",
    "proxy": "Network", "config": "Settings",
}  # fmt: skip
"""Other words for groups."""


class Action(NamedTuple):
    """A flag that has something else done than serving."""

    names: str
    help: str


ACTIONS: Final = {
    "check": Action(
        "--check",
        "Refuse what a start would, load the application, say what it is and then ok, and exit; "
        "binds nothing and makes no log or pid file.",
    ),
    "print_config": Action(
        "--print-config [changed]",
        "Show each setting, its value and its source; changed: those that differ from the default.",
    ),
    "migrate": Action(
        "--migrate FILE|COMMAND",
        "Print a bare-serve.toml made of what is set for gunicorn or uvicorn: a "
        "gunicorn.conf.py, a file with a command in it, or the command itself. Stands first.",
    ),
    "version": Action("--version", "Show the version and exit."),
    "help": Action(
        "-h, --help [all|TOPIC]",
        "-h: the most needed on one screen; --help: everything; TOPIC: a group of options such as "
        "tls, logs or limits, or one option.",
    ),
}
_ACTIONS_TITLE: Final = "Instead of serving"


class _Page:
    """Makes the lines of one help text."""

    def __init__(self, width: int, colour: bool) -> None:
        self._narrow = width < _NARROW
        self._width = max(min(width, _WIDEST), 20)
        self._colour = colour

    def text(self, text: str) -> str:
        """Return a paragraph."""
        return textwrap.fill(text, self._width) + "\n"

    def indented(self, text: str) -> str:
        """Return a paragraph below a first line that is not indented."""
        return textwrap.fill(text, self._width, initial_indent="  ", subsequent_indent="  ") + "\n"

    def title(self, text: str) -> str:
        """Return the line above a list."""
        return paint(f"{text}:", "bold", self._colour) + "\n"

    def entries(self, rows: Sequence[tuple[str, str]], most: int = _COLUMN) -> str:
        """Return names and what they mean: beside each other, or one below the other."""
        column = 0
        if not self._narrow:
            column = min(max((len(name) for name, _ in rows), default=0), most) + 4
        return "".join(self._entry(name, meaning, column) for name, meaning in rows)

    def _entry(self, name: str, meaning: str, column: int) -> str:
        indent = " " * (column or 6)
        lines = textwrap.wrap(meaning, max(self._width - len(indent), 14), break_on_hyphens=False)
        shown = "  " + paint(name, "cyan", self._colour)
        if column and len(name) + 4 <= column and lines:
            shown += " " * (column - len(name) - 2) + lines.pop(0)
        return "".join(f"{line}\n" for line in [shown, *(indent + line for line in lines)])


def _names(option: Option) -> str:
    """Return how an option is written."""
    if option.name == "app":
        return "APP"
    if option.kind.switch:
        return f"{option.flag} / --no-{option.key}" if option.default is True else option.flag
    return f"{f'{option.short}, ' if option.short else ''}{option.flag} {option.kind.metavar}"


def _meaning(option: Option) -> str:
    """Return what an option means, and its default."""
    if option.kind.switch:
        return f"{option.help} [default: on]" if option.default is True else option.help
    if option.name == "app" or option.default in (None, "", (), Path()):
        return option.help
    return f"{option.help} [default: {option.kind.show(option.default)}]"


def _rows(options: Iterable[Option]) -> list[tuple[str, str]]:
    return [(_names(option), _meaning(option)) for option in options]


def _group(page: _Page, group: str) -> str:
    rows = _rows(option for option in OPTIONS if option.group == group)
    return page.title(group) + page.entries(rows)


def whole(width: int, colour: bool = False) -> str:
    """Return the help text with every option, in its groups; `width` in columns."""
    page = _Page(width, colour)
    parts = [f"{_USAGE}\n", page.indented(_PURPOSE), *(_group(page, group) for group in GROUPS)]
    parts.append(page.title(_ACTIONS_TITLE) + page.entries([*ACTIONS.values()]))
    parts.append(page.text(_EPILOG))
    return "\n".join(parts)


def short(width: int, colour: bool = False) -> str:
    """Return the help text of one screen, 80 columns by 24 lines; `width` in columns."""
    page = _Page(width, colour)
    rows = []
    for name, text in _BRIEF.items():
        written = _names(BY_NAME[name])
        rows.append((written if len(written) <= _COLUMN else BY_NAME[name].flag, text))
    rows.append((ACTIONS["check"].names, "say whether it would start, and exit"))
    return "\n".join(
        (
            f"{_USAGE}\n",
            page.title("Examples") + page.entries(_EXAMPLES, 46),
            page.title("Options that most people need") + page.entries(rows),
            page.text(
                "--help for all; --help TOPIC for one group: tls, logs, limits, timeouts, ..."
            ),
        )
    )


def topic(word: str, width: int, colour: bool = False) -> str:
    """Return what there is on a group, or on one option; `width` in columns.

    Raises:
        UsageError: there is no such topic.
    """
    page = _Page(width, colour)
    named = word.lower().lstrip("-").replace("_", "-").replace(" ", "-")
    groups = {group.lower().replace(" ", "-"): group for group in GROUPS}
    if group := groups.get(named) or groups.get(f"{named}s") or _TOPICS.get(named):
        return _group(page, group)
    options = {option.key: option for option in OPTIONS}
    options.update({f"no-{each.key}": each for each in OPTIONS if each.default is True})
    options.update({each.short[1:]: each for each in OPTIONS if each.short})
    if option := options.get(named):
        where = f"Key {option.key}, variable {option.variable}; group {option.group}."
        return page.entries([*_rows([option]), ("", where)])
    if action := ACTIONS.get(named.replace("-", "_")):
        return page.entries([action])
    if named in VERBS:
        raise UsageError(f"--help: {named} is a command of its own; see bare-serve {named} --help")
    known = [*groups, *options, *(name.replace("_", "-") for name in ACTIONS)]
    close = get_close_matches(named, known, 1, 0.75)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(
        f"--help: there is no topic {word!r}{hint}\n"
        f"The topics are {', '.join(groups)}, and the name of each option."
    )


def asked(args: Sequence[str]) -> str | None:
    """Return the help text that a command line asks for, for standard output; None if it does not.

    Raises:
        UsageError: it asks for a topic that there is not.
    """
    args = args[: args.index("--")] if "--" in args else args
    places = [at for at, word in enumerate(args) if word in _MEANT or word.startswith("--help=")]
    if not places:
        return None
    flag, equals, word = args[places[0]].partition("=")
    if not equals:
        word = args[places[0] + 1] if places[0] + 1 < len(args) else ""
        if any(mark in word for mark in ":./") or (word.startswith("-") and word[1:2] != "-"):
            word = ""  # the application, or another flag: help is meant all the same
    width, colour = _window(), wants_colour(sys.stdout)
    if word.startswith("--") and not _is_ours(word):
        word = ""  # a flag that is mistyped, or another server's: help is what is needed
    if word and word != "all" and word not in FLAGS:
        return topic(word, width, colour)
    return short(width, colour) if flag == "-h" and not word else whole(width, colour)


def _is_ours(flag: str) -> bool:
    """Return whether there is a topic by the name of a flag."""
    try:
        topic(flag, _WIDEST)
    except UsageError:
        return False
    return True


def _window() -> int:
    """Return the columns that there are; for a file or a pipe, as many as read well."""
    return shutil.get_terminal_size((_WIDEST, 24)).columns
