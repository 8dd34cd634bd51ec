"""What the master and the watcher say to each other: one JSON object in each message.

The master says once what to watch (`Task`), and later which files workers have imported. The
watcher says what has changed, what it watches, and what the user has to know. No application has
their socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from bare_serve.dev.watching import Rules

LONGEST: Final = 1 << 16
"""Bytes of a message."""
_FULL: Final = 1 << 15
_MOST_NAMED: Final = 50
_FIGURES: Final = 16
"""Bytes of a checksum, with what stands around it."""


class Task(NamedTuple):
    """What a watcher is told at its start."""

    rules: Rules
    since: int
    """Files that were written later have changed, in nanoseconds since the epoch."""
    watchfiles: str = ""
    """Where that package is, if it is installed."""
    contents: Mapping[str, int] = {}
    """What a watcher before has seen in files that had changed; see `Changed.contents`."""

    def message(self) -> bytes:
        told = [[*self.rules], self.since, self.watchfiles, _latest(self.contents)]
        return json.dumps(told).encode()

    @classmethod
    def read(cls, message: bytes) -> Task:
        rules, since, watchfiles, contents = json.loads(message)
        return cls(Rules(*map(tuple, rules)), since, watchfiles, contents)


def _latest(contents: Mapping[str, int]) -> dict[str, int]:
    """Return the entries that came last, as many as a message has room for beside its rest."""
    found: dict[str, int] = {}
    size = 0
    for path, content in reversed([*contents.items()]):
        size += len(path) * 6 + _FIGURES
        if size > _FULL // 2:
            break
        found[path] = content
    return dict(reversed(found.items()))


def in_messages(files: Iterable[str]) -> Iterator[bytes]:
    """Yield messages that name all of these files."""
    part: list[str] = []
    size = 0
    for path in files:
        if part and size + len(path) * 6 > _FULL:
            yield json.dumps(part).encode()
            part, size = [], 0
        part.append(path)
        size += len(path) * 6
    if part:
        yield json.dumps(part).encode()


def read_files(message: bytes) -> list[str]:
    """Return the files that a later message of the master names."""
    return [str(path) for path in json.loads(message)]


class Changed(NamedTuple):
    """Files have changed."""

    files: tuple[str, ...]
    """The first of them."""
    total: int
    again: bool = False
    """They were written with the content that they had."""
    contents: tuple[int, ...] = ()
    """A checksum of each of these files; -1 for one that is gone, or too large to have one."""


class Watching(NamedTuple):
    """The watcher has begun, or looks at other files than before."""

    files: int
    alarm: str
    """What tells it of changes, beside its looks; empty for nothing."""


class Warned(NamedTuple):
    """The user has to do something."""

    text: str


Report = Changed | Watching | Warned
_KINDS: Final = {"changed": Changed, "watching": Watching, "warned": Warned}


def changed(files: list[str], contents: Mapping[str, int] = {}, *, again: bool = False) -> Changed:
    """Return the report of these files, with what is known of their contents."""
    named: list[str] = []
    size = 0
    for path in files[:_MOST_NAMED]:
        size += len(path) * 6
        if size < _FULL:
            named.append(path)
    seen = tuple(contents.get(path, -1) for path in named)
    return Changed(tuple(named), len(files), again, seen)


def encode(report: Report) -> bytes:
    """Return the message that says this."""
    return json.dumps([type(report).__name__.lower(), *report]).encode()


def decode(message: bytes) -> Report | None:
    """Return what the watcher said; None if that is nothing it would say."""
    try:
        kind, *values = json.loads(message)
        values = [tuple(each) if isinstance(each, list) else each for each in values]
        made: Any = _KINDS[kind](*values)
    except (ValueError, TypeError, KeyError):
        return None
    report: Report = made
    return report
