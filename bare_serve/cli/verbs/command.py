"""What all verbs have in common: their command line, their errors and exit codes.

What lives here: from arguments to an exit code, with one sentence for each error. What must not:
any single verb.

Exit codes: 0 done, or all workers serve; 1 not so, 2 bad usage, 3 no server that can be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NoReturn

from bare_serve.cli.verbs import VERBS
from bare_serve.counts.snapshot import Unreadable
from bare_serve.logs import console

_WHICH = (
    "The server is found by looking through /proc. Where several run, give the pid of its master, "
    "or its pid file."
)


class NoServer(Exception):
    """No server can be looked at, or none that was meant; the text says why."""


class Refused(Exception):
    """The command cannot do what was asked; the text says why."""


class Misused(Exception):
    """The command line is wrong; the text says how."""


class _Unwritable(Exception):
    """Standard output takes nothing; the text says why."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Misused(f"{message}\nSee {self.prog} --help.")


def parser(verb: str, text: str, *, json: bool = True, first: str = "") -> argparse.ArgumentParser:
    """Return a parser with the arguments that name a server; verbs add their own.

    `first`: a number that stands before the pid, by this name.
    """
    made = _Parser(prog=f"bare-serve {verb}", description=text, epilog=_WHICH, allow_abbrev=False)
    if first:
        made.add_argument(first.lower(), type=int, metavar=first, help="The worker's number.")
    made.add_argument("pid", nargs="?", metavar="PID", help="The master's pid.")
    made.add_argument("--pidfile", metavar="FILE", help="A file that the master's pid is in.")
    if json:
        made.add_argument("--json", action="store_true", help="Print JSON.")
    return made


def run(arguments: Sequence[str]) -> int:
    """Run the verb that is the first argument; return the exit code."""
    verb = arguments[0]
    try:
        module: Any = import_module(f"bare_serve.cli.verbs.{VERBS[verb]}")
        _prepare_output()
        code: int = module.main(arguments)
        flush()
    except Misused as error:
        code = _say(error, 2)
    except Refused as error:
        code = _say(error, 1)
    except (NoServer, Unreadable) as error:
        code = _say(error, 3)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader has seen enough
        _write_nowhere()
        code = 1
    except _Unwritable as error:
        _write_nowhere()
        code = _say(error, 1)
    return code


def _prepare_output() -> None:
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the locale has no character for is shown by its number.
        sys.stdout.reconfigure(errors="backslashreplace")


def _write_nowhere() -> None:
    """Have what is still in the buffer go nowhere, or Python would complain when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the verb that is the first argument, and exit."""
    console.claim_standard_descriptors()  # or what is written there might go into a server's memory
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run(arguments))


def show(text: str) -> None:
    """Print lines."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Write to standard output."""
    with _telling():
        sys.stdout.write(text)


def flush() -> None:
    """Have all that was written be seen."""
    with _telling():
        sys.stdout.flush()


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _Unwritable(f"the output takes nothing: {error.strerror}.") from None


def _say(error: Exception, code: int) -> int:
    console.error(str(error))
    return code
