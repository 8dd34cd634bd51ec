"""Keys of a file of settings that are no keys of ours: all of them in one answer.

What lives here: the words. What must not: what a key of another server means (foreign.py), reading
files (sources.py), which imports this only for a file that has such keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bare_serve.config.foreign import by_key, for_files
from bare_serve.config.settings import BY_NAME
from bare_serve.errors import nearest


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
