"""Lines written for gunicorn or uvicorn: their flags are told all at once, with the line of ours.

What lives here: `translate`, which reads such a line from end to end. What must not: what a flag
means (config/foreign.py), our own flags' values and mistakes (command.py).

A flag that stands for one of ours is taken for it; one that means nothing here is left out, with a
remark; one that has to be decided on ends the command, together with all others of its kind.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from bare_serve.config.foreign import BY_FLAG, SWITCH_VALUES, SWITCHES, VALUES, Foreign, is_target
from bare_serve.config.settings import BY_NAME, OPTIONS
from bare_serve.errors import UsageError

_ACTIONS: Final = ("--check", "--print-config", "--version", "--help", "-h")


class Translated(NamedTuple):
    """A line as click is to read it."""

    args: list[str]
    remarks: tuple[str, ...] = ()
    """What was left out, and why."""


class Word(NamedTuple):
    """A flag of a line, with its value, or a word that is none."""

    text: str
    """The flag; another word as it is."""
    value: str | None = None
    """The flag's value, where it has one."""
    written: tuple[str, ...] = ()
    """The words of the line that these were."""


def ours() -> dict[str, bool]:
    """Return our flags, and whether they take a value."""
    flags = dict.fromkeys(_ACTIONS, False)
    for option in OPTIONS:
        if option.name != "app":
            for flag in filter(None, (option.flag, option.short)):
                flags[flag] = not option.kind.switch
            if option.kind.switch and option.default is True:
                flags[f"--no-{option.key}"] = False
    return flags


def takes_value(flags: Mapping[str, bool], flag: str) -> bool:
    """Return whether a flag takes a value; False for one that is not known."""
    if flag in flags:
        return flags[flag]
    row = BY_FLAG.get(flag)
    return row is not None and not row.switch and row.value is None


def words(args: Sequence[str], flags: Mapping[str, bool]) -> Iterator[Word]:
    """Yield a line's flags with their values, and its other words."""
    rest = iter(args)
    for arg in rest:
        flag, equals, value = arg.partition("=")
        if arg == "--":
            yield Word("--", None, (arg, *rest))
        elif not arg.startswith("-") or arg == "-":
            yield Word(arg, None, (arg,))
        elif equals and arg.startswith("--"):
            yield Word(flag, value, (arg,))
        elif arg[:2] in flags.keys() | BY_FLAG.keys() and len(arg) > 2 and arg[1] != "-":
            if takes_value(flags, arg[:2]):
                yield Word(arg[:2], arg[2:], (arg,))
            else:
                yield Word(arg, None, (arg,))
        elif takes_value(flags, arg) and (text := next(rest, None)) is not None:
            yield Word(arg, text, (arg, text))
        else:
            yield Word(arg, None, (arg,))


def translate(args: Sequence[str], environ: Mapping[str, str] = os.environ) -> Translated:
    """Return a line in which no flag is another server's.

    Raises:
        UsageError: flags that have to be decided on, each with its answer, and what the line would
            be here; or one that says the same as another.
    """
    flags = ours()
    args, remarks = _without_switches(args)
    found = [*words(_without_values_of_switches(args), flags)]
    given = {word.text for word in found}
    line: list[str] = []
    answers: list[tuple[str, str]] = []
    variables: list[str] = []
    known: dict[str, str] = {}
    for word in found:
        row = None if word.text in flags else BY_FLAG.get(word.text)
        if word.text in ("-e", "--env") and word.value:
            variables.append(word.value)
        if word.text == "-c" and word.value and not word.value.endswith(".py"):
            line += ["--config", word.value]
        elif row is None:
            line += _with_our_value(word)
        elif row.option:
            line += _alias(word, row, flags, given, known)
        else:
            verdict = row.verdict(word.value or "")
            settled = row.unless in given or (row.unless and _has_variable(row.unless, environ))
            if verdict.idle or settled:
                why = verdict.text if verdict.idle else f"{row.unless} says it"
                remarks.append(f"{word.text} ({why})")
                continue
            answers.append((" ".join(word.written), verdict.text))
            instead = verdict.instead.split(" ") if verdict.instead else []
            # A value that is missing is missing there, too; and no flag of ours is said twice.
            if (word.value is not None or row.switch) and not {*instead[:1]} & {*line}:
                line += instead
    for flag, value in _values_of_switches(args):
        answers.append((f"{flag} {value}", f"write {flag} alone, for on, or leave it out"))
        if value == "off":
            line.remove(flag)
    if answers:
        raise UsageError(_answer(answers, remarks, [*variables, "bare-serve", *line]))
    return Translated(line, tuple(remarks))


def _without_switches(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the line without flags that take a value here and have none, and remarks on these."""
    left, remarks = [], []
    for arg, behind in zip(args, [*args[1:], "--"], strict=False):
        if arg in SWITCHES and (behind.startswith("--") or is_target(behind)):
            remarks.append(f"{arg} ({SWITCHES[arg]})")
        else:
            left.append(arg)
    return left, remarks


def _values_of_switches(args: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for pair in pairwise(args) if pair[1] in SWITCH_VALUES.get(pair[0], ())]


def _without_values_of_switches(args: Sequence[str]) -> list[str]:
    return [
        arg for before, arg in zip(("", *args), args, strict=False)
        if arg not in SWITCH_VALUES.get(before, ())
    ]  # fmt: skip


def _with_our_value(word: Word) -> tuple[str, ...]:
    """Return a word of ours, whose value may be theirs."""
    value = VALUES.get(word.text, {}).get((word.value or "").lower())
    return word.written if value is None else (word.text, value)


def _alias(
    word: Word, row: Foreign, flags: Mapping[str, bool], given: set[str], known: dict[str, str]
) -> list[str]:
    """Return a flag of ours in the place of theirs; `known`: theirs before, by ours."""
    option = BY_NAME[row.option]
    names = {option.flag, option.short, f"--no-{option.key}"} & given & flags.keys()
    before = known.setdefault(option.flag, word.text)
    if names or (before != word.text and not option.kind.separator):
        other = next(iter(sorted(names)), before)
        raise UsageError(f"{word.text} and {other} are the same; give only one of them")
    if row.value is not None:
        return [option.flag] if not flags[option.flag] else [option.flag, row.value]
    if word.value is None:
        return [option.flag]  # whose value is missing: click says so
    value = row.convert(word.value)
    return [f"{option.flag}={VALUES.get(option.flag, {}).get(value, value)}"]


def _has_variable(flag: str, environ: Mapping[str, str]) -> bool:
    option = next(option for option in OPTIONS if option.flag == flag)
    return bool(environ.get(option.variable) or environ.get(option.platform_variable))


def _answer(answers: list[tuple[str, str]], remarks: list[str], line: list[str]) -> str:
    width = min(max(len(written) for written, _ in answers), 32)
    several = len(answers) > 1
    told = ["these are options of other servers:" if several else "an option of another server:"]
    told += [f"  {written.ljust(width)}  {text}" for written, text in answers]
    if remarks:
        told.append(f"Left out, since they mean nothing here: {'; '.join(remarks)}")
    told += ["What remains, to be run once that is decided:", f"  {shlex.join(line)}"]
    return "\n".join(told)
