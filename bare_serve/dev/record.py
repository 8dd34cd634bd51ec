"""The record of a failure, and its way through JSON, in which one process hands it to another.

What lives here: `Failure`, its parts, and how it becomes JSON of a bounded size. What must not: how
an exception becomes a record (failure.py), how a record looks (error_page.py, terminal.py).

What comes as JSON is checked, since it comes from a process that runs the application.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

APP: Final = "app"
"""Kinds of frames: the user's own code."""
LIBRARY: Final = "library"
PYTHON: Final = "python"
SERVER: Final = "server"
LEFT_OUT: Final = "left out"
"""In the place of frames that are too many; `line` says how many."""

MOST_JSON: Final = 60_000
"""Characters of a record as JSON."""


class Frame(NamedTuple):
    """One place on the way to an exception."""

    file: str
    line: int
    end_line: int
    column: int
    """Where in the line, in characters, from 0; -1 if that is not known."""
    end_column: int
    function: str
    """Empty for a place that is in no function: that of a SyntaxError."""
    kind: str
    package: str
    """For a library: its name."""
    first: int
    """The number of the first of `lines`."""
    lines: tuple[str, ...]
    values: tuple[tuple[str, str], ...]


class Link(NamedTuple):
    """One exception of a chain."""

    type: str
    message: str
    notes: tuple[str, ...]
    relation: str
    """What it is to the one before it in the record: "cause", "context"; empty for the first."""
    frames: tuple[Frame, ...]
    """The outermost first, as in Python's tracebacks."""
    members: tuple[tuple[Link, ...], ...]
    """The chains of an exception group."""


class Failure(NamedTuple):
    """What went wrong: one exception and what led to it, the last one first."""

    about: str
    """What the server says of it: what failed, and when; may be empty."""
    chain: tuple[Link, ...]

    @property
    def title(self) -> str:
        """Type and first line of the message of the exception that was raised last."""
        if not self.chain:
            return self.about
        link = self.chain[0]
        first = link.message.partition("\n")[0]
        return f"{link.type}: {first}" if first else link.type

    @property
    def place(self) -> Frame | None:
        """The user's line that failed: the innermost one of the last exception that has one."""
        for link in self.chain:
            for frame in reversed(link.frames):
                if frame.kind == APP:
                    return frame
        return None


def to_json(failure: Failure, most: int = MOST_JSON) -> str:
    """Return a record as JSON in ASCII, of at most `most` characters.

    What matters least is left out if it is too long: values, lines of libraries, then frames.
    """
    for less in (_whole, _without_values, _without_library_lines, _short, _shortest):
        data = json.dumps(less(failure))
        if len(data) <= most:
            return data
    return json.dumps(Failure(failure.title[:80], ()))


def _whole(failure: Failure) -> Failure:
    return failure


def _without_values(failure: Failure) -> Failure:
    return _with_frames(failure, lambda frame: frame._replace(values=()))


def _without_library_lines(failure: Failure) -> Failure:
    return _with_frames(
        failure, lambda frame: frame._replace(values=(), lines=frame.lines * (frame.kind == APP))
    )


def _short(failure: Failure) -> Failure:
    cut = _without_library_lines(failure)
    links = (_cut(link, 10, 1000)._replace(members=()) for link in cut.chain[:3])
    return Failure(cut.about[:1000], tuple(links))


def _shortest(failure: Failure) -> Failure:
    cut = _with_frames(failure, lambda frame: frame._replace(values=(), lines=(), first=0))
    links = (_cut(link, 3, 200)._replace(members=(), notes=()) for link in cut.chain[:1])
    return Failure(cut.about[:200], tuple(links))


def _cut(link: Link, frames: int, characters: int) -> Link:
    return link._replace(
        type=link.type[:200],
        message=link.message[:characters],
        notes=tuple(note[:characters] for note in link.notes[:2]),
        frames=link.frames[-frames:],
    )


def _with_frames(failure: Failure, change: Callable[[Frame], Frame]) -> Failure:
    def changed(link: Link) -> Link:
        return link._replace(
            frames=tuple(map(change, link.frames)),
            members=tuple(tuple(map(changed, chain)) for chain in link.members),
        )

    return failure._replace(chain=tuple(map(changed, failure.chain)))


def from_json(data: str) -> Failure | None:
    """Return the record that `to_json` has made JSON of; None for what is no record."""
    try:
        found = json.loads(data)
        about, chain = found
        return Failure(_text(about), _chain_from(chain))
    except (ValueError, TypeError, RecursionError):
        return None


def _chain_from(found: Any) -> tuple[Link, ...]:
    return tuple(map(_link_from, _list(found)))


def _link_from(found: Any) -> Link:
    kind, message, notes, relation, frames, members = _list(found)
    return Link(
        type=_text(kind),
        message=_text(message),
        notes=tuple(map(_text, _list(notes))),
        relation=_text(relation),
        frames=tuple(map(_frame_from, _list(frames))),
        members=tuple(map(_chain_from, _list(members))),
    )


def _frame_from(found: Any) -> Frame:
    file, line, end_line, column, end_column, function, kind, package, first, lines, shown = found
    return Frame(
        file=_text(file),
        line=_number(line),
        end_line=_number(end_line),
        column=_number(column),
        end_column=_number(end_column),
        function=_text(function),
        kind=_text(kind),
        package=_text(package),
        first=_number(first),
        lines=tuple(map(_text, _list(lines))),
        values=tuple((_text(name), _text(value)) for name, value in map(_list, _list(shown))),
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(value)


def _number(value: Any) -> int:
    if isinstance(value, int) and -1 <= value < 1 << 31:
        return value
    raise TypeError(value)


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise TypeError(value)


def relative(file: str) -> str:
    """Return a file's path as seen from the current directory, if it is in it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
