"""The command line: `bare-serve [APP]`; what it asks for is done here, and the process exits.

Help is made by help.py. A plain line is split by plain.py, any other one by command.py, with click.
`main` is the only place that exits. It turns every error made on purpose into one message and its
exit code: 0 stopped as asked, 1 a failure while running, 2 bad usage or settings, 3 the application
could not be loaded.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from bare_serve.cli import plain
from bare_serve.config import shown, sources
from bare_serve.config.settings import Settings
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.logs import console
from bare_serve.server import run as server

_MIGRATE: Final = "--migrate"
_HELPS: Final = ("-h", "--help")
_INTERRUPTED: Final = 128 + signal.SIGINT
"""As a shell says it of a command that Ctrl-C has ended."""
_PYTHON_FILE: Final = "gunicorn.conf.py"
"""Read by gunicorn where it stands in the current directory."""


def _run(args: Sequence[str]) -> int:
    if _MIGRATE in args:
        if args[0] != _MIGRATE:
            raise UsageError(f"{_MIGRATE} stands first, and all behind it is what is to be read")
        from bare_serve.cli import migrate

        _say(migrate.migrate(args[1:]), toml=True)
        return 0
    if any(word.startswith(_HELPS) for word in args):
        from bare_serve.cli import help  # noqa: A004 (its name everywhere)

        if (text := help.asked(args)) is not None:
            _say(text)
            return 0
    args = plain.with_value_of_xray(args)
    args, changed = plain.without_changed(args)
    line = plain.split(args)
    if line is None:
        from bare_serve.cli import command  # 25 ms and 3 MiB, for click

        found = command.split(args)
        if isinstance(found, int):
            return found
        line = found
    return _obey(line, changed)


def _obey(line: plain.Line, changed: bool) -> int:
    environ = {**os.environ}  # without what --env-file adds: it is to be read anew

    def read() -> Settings:
        return sources.load(line.asked, environ, sources.current_directory())

    chosen = read()
    remarks = [*_left_out(line), *_unread(chosen)]
    if line.print_config or line.check:
        for text in remarks:
            console.remark(text)
    if line.print_config:
        if chosen.log_format == "json":
            _say(json.dumps(shown.plain(chosen, changed), indent=2) + "\n")
        else:
            rows = shown.table(chosen, changed)
            _say(console.columns([("NAME", "VALUE", "SOURCE"), *rows], console.window(sys.stdout)))
        return 0
    if line.check:
        _say(console.facts(server.check(chosen), console.wants_colour(sys.stdout)) + "ok\n")
        return 0
    return server.run(chosen, reread=read, process_ends=True, remarks=remarks)


def _left_out(line: plain.Line) -> list[str]:
    if not line.remarks:
        return []
    return [f"Left out, since they mean nothing here: {'; '.join(line.remarks)}."]


def _unread(chosen: Settings) -> list[str]:
    """Return what is said of settings of other servers that are here and are not read."""
    others = [name for name in os.environ if name.startswith(("GUNICORN_", "UVICORN_"))]
    if not others and not Path(_PYTHON_FILE).exists():
        return []
    from bare_serve.cli import unread  # few have some

    return unread.remarks(others, _PYTHON_FILE, chosen.sources)


def _say(text: str, *, toml: bool = False) -> None:
    """Write to standard output; `toml`: as UTF-8, which such a file has to be, unless to people."""
    stdout = sys.stdout
    if stdout is None:
        return
    if isinstance(stdout, io.TextIOWrapper):
        as_file = toml and not console.is_terminal(stdout)
        # What the locale has no character for is shown by its number.
        stdout.reconfigure(encoding="utf-8" if as_file else None, errors="backslashreplace")
    stdout.write(text)


def _code(stop: SystemExit) -> int:
    """Return the exit code that the interpreter would end with; print a message as it would."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    console.error(str(stop.code))
    return 1


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see __main__.py
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _run(sys.argv[1:] if args is None else args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BareServeError as error:
        loading = error if isinstance(error, AppLoadError) else None
        if loading is not None and isinstance(loading.origin, KeyboardInterrupt):
            console.error(str(error))  # where it was is no fault of the application's
            code = _INTERRUPTED
        else:
            console.error(str(error), "" if loading is None else loading.details)
            code = error.exit_code
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("\n")  # behind the ^C of the terminal
        code = _INTERRUPTED
    except SystemExit as stop:  # it was asked to while it started, see Orderly
        code = _code(stop)
    except BrokenPipeError:
        # The reader has seen enough (bare-serve --help | head). Python would still complain when
        # it flushes at exit, so give it something to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    server.leave(code)
    sys.exit(code)
