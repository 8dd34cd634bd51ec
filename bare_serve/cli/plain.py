"""Splits a plain command line without click, which most starts then do not import.

What lives here: `split`, and the table of flags it goes by. What must not: any error or help; a
line that is not plain is left to command.py, which knows them all.

click takes 25 ms of a start and 3 MiB of the master for as long as that lives, and all that most
lines need of it is a split. A line is plain if it has known flags in full, each value a word of its
own or behind `=`, and one target at most that has a colon, a point or a slash in it: a bare word
may be meant otherwise. The two ways must give the same for every line that both take: a test
compares them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from bare_serve.config.foreign import SWITCH_VALUES, SWITCHES, TABLE, VALUES, is_target
from bare_serve.config.settings import BY_NAME, OPTIONS

COMPLETION: Final = "_BARE_SERVE_COMPLETE"
"""The variable by which a shell asks click to complete a line."""
_CHECK, _PRINT_CONFIG = "--check", "--print-config"


class Line(NamedTuple):
    """What a command line asks for."""

    asked: dict[str, Any]
    """Names of options to raw values."""
    check: bool = False
    print_config: bool = False
    remarks: tuple[str, ...] = ()
    """Flags of other servers that were left out, and why."""


class _Flag(NamedTuple):
    """What one flag says."""

    option: str
    value: object = None
    """What the flag alone stands for; None: it takes a value."""
    many: bool = False
    """Whether it may be repeated."""
    convert: Callable[[str], str] = str
    foreign: bool = False
    """Whether it is another server's."""


def _flags() -> Iterator[tuple[str, _Flag]]:
    for option in OPTIONS:
        if option.name == "app":
            continue
        if option.kind.switch:
            yield option.flag, _Flag(option.name, True)
            if option.default is True:
                yield f"--no-{option.key}", _Flag(option.name, False)
        else:
            for flag in filter(None, (option.flag, option.short)):
                yield flag, _Flag(option.name, many=bool(option.kind.separator))
    ours = {flag for option in OPTIONS for flag in (option.flag, option.short)}
    for row in TABLE:
        if row.option:
            kind = BY_NAME[row.option].kind
            value = True if kind.switch else row.value
            for flag in row.flags:
                if flag not in ours:
                    meaning = _Flag(row.option, value, bool(kind.separator), row.convert)
                    yield flag, meaning._replace(foreign=True)


def _table() -> Mapping[str, _Flag]:
    """Return the flags by what they are written as, without those that mean two things."""
    found: dict[str, _Flag] = {}
    twice = set()
    for flag, meaning in _flags():
        if flag in found:
            twice.add(flag)
        found[flag] = meaning
    return {flag: meaning for flag, meaning in found.items() if flag not in twice}


def split(args: Sequence[str], environ: Mapping[str, str] = os.environ) -> Line | None:
    """Return what the line asks for; None if it is not plain."""
    if COMPLETION in environ:
        return None
    if any(value in SWITCH_VALUES.get(flag, ()) for flag, value in pairwise(args)):
        return None
    return _Splitter().split(iter(args))


def with_value_of_xray(args: Sequence[str]) -> list[str]:
    """Return the words of a command line in which --xray has its value behind a = sign.

    The value may be left out; so a word behind it that is no value of it is the application.
    """
    flag = BY_NAME["xray"].flag
    made: list[str] = []
    for arg in args:
        if made and made[-1] == flag:
            if arg in ("steps", "full", "off"):
                made[-1] = f"{flag}={arg}"
                continue
            made[-1] = f"{flag}=steps"
        made.append(arg)
    return [f"{arg}=steps" if arg == flag else arg for arg in made]


def without_changed(args: Sequence[str]) -> tuple[list[str], bool]:
    """Return a command line without the value of --print-config, and whether that was `changed`."""
    said = f"{_PRINT_CONFIG}=changed"
    made: list[str] = []
    for arg in args:
        if arg == "changed" and made and made[-1] == _PRINT_CONFIG:
            made[-1] = said
        else:
            made.append(arg)
    return [_PRINT_CONFIG if arg == said else arg for arg in made], said in made


class _Splitter:
    """One line on its way."""

    def __init__(self) -> None:
        self._table = _table()
        self._asked: dict[str, Any] = {}
        self._said: dict[str, str] = {}  # option -> the flag of another server; empty for ours

    def split(self, words: Iterator[str]) -> Line | None:
        target = ""
        actions = {_CHECK: False, _PRINT_CONFIG: False}
        for word in words:
            if word in actions:
                actions[word] = True
            elif word.startswith("-"):
                if not self._take(word, words):
                    return None
            elif target or not any(mark in word for mark in ":./"):
                return None
            else:
                target = word
        if target:
            self._asked["app"] = target
        return Line(self._asked, actions[_CHECK], actions[_PRINT_CONFIG])

    def _take(self, word: str, words: Iterator[str]) -> bool:
        """Take a flag, and its value if it has one; return whether that was plain."""
        written, equals, text = word.partition("=")
        flag = self._table.get(written)
        if flag is None or (equals and not written.startswith("--")):
            return False
        if flag.value is not None:
            return not equals and self._note(written, flag, flag.value)
        if not equals:
            text = next(words, "")
            if written in SWITCHES and is_target(text):
                return False
            if text.startswith("-") and text != "-":
                return False
        if text.lower() in VALUES.get(BY_NAME[flag.option].flag, ()):
            return False
        return text != "" and self._note(written, flag, flag.convert(text))

    def _note(self, written: str, flag: _Flag, value: object) -> bool:
        """Take the value of a flag; False if two flags that say the same are not the same flag."""
        said = written if flag.foreign else ""
        if self._said.setdefault(flag.option, said) != said:
            return False
        if flag.many and flag.value is None:
            value = (*self._asked.get(flag.option, ()), value)
        self._asked[flag.option] = value
        return True
