"""Keys of a file and variables that are none of ours: all of them in one answer.

What lives here: the words. What must not: what a key of another server means (foreign.py), reading
files and variables (sources.py), which imports this only where there are such keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from bare_serve.config.foreign import by_key, for_files
from bare_serve.config.options import PREFIX
from bare_serve.config.settings import BY_NAME
from bare_serve.errors import nearest

_FLAG: Final = re.compile(r"--([a-z][a-z-]*[a-z])( \d+)?")


def answer(where: str, unknown: Sequence[tuple[str, str, object]], known: Iterable[str]) -> str:
    """Return what is said of keys that are not known.

    Args:
        where: what they stand in, such as "the file".
        unknown: for each of them, its place, its name and its value.
        known: the names that there are.
    """
    known = [*known]
    told = [f"{place}: {_answer(where, key, raw, known)}" for place, key, raw in unknown]
    return told[0] if len(told) == 1 else "\n  ".join(("these keys cannot be used:", *told))


def answer_variables(unknown: Sequence[tuple[str, str, str]], known: Iterable[str]) -> str:
    """Return what is said of variables that have our prefix and are not known.

    Args:
        unknown: for each of them, the place that it stands in, if it is a file, its name and value.
        known: the names that there are.
    """
    known = [*known]
    told = [(place, f"{name}{_answer_variable(name, raw, known)}") for place, name, raw in unknown]
    if len(told) == 1:
        [(place, text)] = told
        return f"{place}unknown environment variable {text}"
    return "\n  ".join(("unknown environment variables:", *(f"{one}{text}" for one, text in told)))


def _answer_variable(name: str, raw: str, known: list[str]) -> str:
    key = name.removeprefix(PREFIX).lower()
    row = by_key(key)
    if row is None:
        return nearest(name, known)
    if row.option:
        return f": it is a setting of another server; set {BY_NAME[row.option].variable}"
    verdict = row.verdict(raw)
    then = "leave it out: " if verdict.idle else ""
    text = _FLAG.sub(_variable_of, verdict.text)
    return f": it is a setting of another server; {then}{text}"


def _variable_of(match: re.Match[str]) -> str:
    option = BY_NAME.get(match[1].replace("-", "_"))
    if option is None:
        return match[0]
    return option.variable + (f"={match[2].strip()}" if match[2] else "")


def _answer(where: str, key: str, raw: object, known: list[str]) -> str:
    row = by_key(key)
    ours = BY_NAME.get(key.replace("-", "_"))
    if ours is not None:
        return f"{key} is not said in a file; use {ours.flag}"
    if row is None:
        return f"{where} has no key {key!r}{nearest(key, known)}"
    if row.option:
        return f"{key} is a key of another server; write {BY_NAME[row.option].key}"
    value = str(raw).lower() if isinstance(raw, bool) else str(raw)
    verdict = row.verdict(value)
    then = "leave it out: " if verdict.idle else ""
    return f"{key} is a key of another server; {then}{for_files(verdict.text)}"
