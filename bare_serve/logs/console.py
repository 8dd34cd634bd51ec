"""What a person sees on the console: the banner, errors, columns, and in which colours.

The banner is one line per fact. Everything of ours goes to standard error except what was asked for
(--check, --print-config, the access log), so that output can be piped. Colours only on a terminal,
never with NO_COLOR, always with FORCE_COLOR.

What must not be here: log lines (logs/error_log.py), settings; it is handed texts.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import IO

_NARROWEST = 12
"""Columns that no column of a table is narrowed below."""
_COLOURS = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36}


def wants_colour(stream: IO[str] | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether to colour what is written to `stream`."""
    if environ.get("NO_COLOR"):  # https://no-color.org: present and not empty
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def is_terminal(stream: IO[str] | None) -> bool:
    """Return whether `stream` leads to a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def is_unicode_terminal(stream: IO[str] | None) -> bool:
    """Return whether `stream` is a terminal that shows more than ASCII."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return is_terminal(stream) and encoding == "utf8"


def paint(text: str, colour: str, on: bool) -> str:
    """Return `text` in `colour` if `on`, else as it is."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if on else text


def facts(rows: Iterable[tuple[str, str]], colour: bool) -> str:
    """Return rows of (name, fact) as aligned lines; a name is not repeated."""
    lines = []
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    before = ""
    for name, fact in rows:
        shown = "" if name == before else name
        before = name
        value = paint(fact, "cyan", colour and "://" in fact)
        lines.append(f"  {paint(shown.ljust(width), 'dim', colour)}  {value}\n")
    return "".join(lines)


def window(stream: IO[str] | None) -> int:
    """Return how many columns the terminal has that `stream` leads to; 0 if there is none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(stream.fileno()).columns  # type: ignore[union-attr]
    return 0


def columns(rows: Iterable[tuple[str, ...]], width: int = 0) -> str:
    """Return rows as columns, each as wide as its widest entry.

    With a `width`, the widest columns are narrowed until all fit, and what is longer goes on in the
    next line, below itself.
    """
    rows = list(rows)
    widths = [max(len(entry) for entry in column) for column in zip(*rows, strict=True)]
    most = width - 2 * (len(widths) - 1)
    while width and sum(widths) > most and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines: list[str] = []
    for row in rows:
        folded = [_folded(entry, size) for entry, size in zip(row, widths, strict=True)]
        lines += [
            "  ".join(map(str.ljust, parts, widths)).rstrip()
            for parts in zip_longest(*folded, fillvalue="")
        ]
    return "".join(f"{line}\n" for line in lines)


def _folded(text: str, size: int) -> list[str]:
    """Return a text in lines of at most `size` characters, broken at blanks where there are any."""
    lines = []
    while len(text) > size:
        at = text.rfind(" ", 1, size + 1)
        lines.append(text[: at if at > 0 else size])
        text = text[at + 1 if at > 0 else size :]
    return [*lines, text]


def banner(title: str, rows: Iterable[tuple[str, str]], hint: str = "") -> None:
    """Write the start banner to standard error, in one piece."""
    colour = wants_colour(sys.stderr)
    last = paint(hint, "dim", colour) + "\n" if hint else ""
    say(paint(title, "bold", colour) + "\n" + facts(rows, colour) + last)


def error(message: str, details: str = "") -> None:
    """Write an error that ends the command, after the application's own traceback if any."""
    colour = wants_colour(sys.stderr)
    before = details.rstrip("\n") + "\n\n" if details.strip() else ""
    say(f"{before}bare-serve: {paint('error:', 'red', colour)} {message}\n")


def remark(message: str) -> None:
    """Write something that is of no great weight: dim where there are colours."""
    text = f"bare-serve: {message}"
    say(f"{paint(text, 'dim', wants_colour(sys.stderr))}\n")


def say(text: str) -> None:
    """Write to standard error as far as it can be written to."""
    # There is no other place to report it to: a full disk or a closed terminal must not
    # turn into the server's death.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def claim_standard_descriptors() -> None:
    """Open /dev/null wherever standard input, output or error was closed.

    Otherwise the next socket would get that number, and a client would read our log lines.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
