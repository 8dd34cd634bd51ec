"""An exception as a record of plain data: what an error page and a terminal show of it.

What lives here: `describe`, from an exception to a `Failure`. What must not: the record and its
JSON (record.py), how a record looks (error_page.py, terminal.py), how a value is shown (values.py).

A record is bounded, whatever the exception holds: chains, frames, lines and variables.
"""

from __future__ import annotations

import linecache
import os
import time
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final

from bare_serve.app.tracebacks import theirs
from bare_serve.dev import values
from bare_serve.dev.record import (
    APP,
    LEFT_OUT,
    LIBRARY,
    PYTHON,
    SERVER,
    Failure,
    Frame,
    Link,
    from_json,
    to_json,
)
from bare_serve.errors import ResponseError, did_you_mean, near
from bare_serve.version import PACKAGE
from bare_serve.xray import redact

__all__ = ["Failure", "describe", "from_json", "to_json"]

_MOST_LINKS: Final = 8
_MOST_MEMBERS: Final = 8
_MOST_DEPTH: Final = 3
_FIRST_FRAMES: Final = 20
_LAST_FRAMES: Final = 40
_FIRST_REPEATS: Final = 2
"""Of a function that calls itself from one line; the innermost is shown as well."""
_AROUND: Final = 5
"""Lines before and behind the one that failed."""
_WIDEST: Final = 300
_MOST_MESSAGE: Final = 4000
_MOST_VALUES: Final = 24
_FRAMES_WITH_VALUES: Final = 8
_PATIENCE: Final = 0.5
"""Seconds that the values of one record may take to be shown; then there are no more."""

_PLAIN = (str, bytes, int, float, list, tuple, dict, set)
"""What is shown of the variables of a module: no classes, no functions, no objects."""

_Place = tuple[FrameType, int, int]
"""A frame, its line, and the number of its instruction."""

_STDLIB = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 (as code objects have it)
_INSTALLED = ("site-packages", "dist-packages")


def describe(error: BaseException, about: str = "") -> Failure:
    """Return the record of an exception.

    `about` is what the server says of it. An error of the server's that stands for one of the
    application's, by an attribute `origin`, says so itself.
    """
    origin = getattr(error, "origin", None)
    if isinstance(origin, BaseException):
        return _Describer().describe(origin, about or str(error))
    return _Describer().describe(error, about)


class _Describer:
    """Makes one record; knows how much there is already."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._until = time.monotonic() + _PATIENCE
        self._with_values = _FRAMES_WITH_VALUES

    def describe(self, error: BaseException, about: str) -> Failure:
        return Failure(redact.text(about[:_MOST_MESSAGE]), self._chain(error, 0))

    def _chain(self, error: BaseException, depth: int) -> tuple[Link, ...]:
        links: list[Link] = []
        current: BaseException | None = error
        relation = ""
        while current is not None and id(current) not in self._seen and len(links) < _MOST_LINKS:
            self._seen.add(id(current))
            links.append(self._link(current, relation, depth))
            if current.__cause__ is not None:
                current, relation = current.__cause__, "cause"
            elif not current.__suppress_context__:
                current, relation = current.__context__, "context"
            else:
                current = None
        return tuple(links)

    def _link(self, error: BaseException, relation: str, depth: int) -> Link:
        tb = theirs(error.__traceback__)
        # One is a judgement of the server's on what was returned; code of the other never ran.
        ours = None if isinstance(error, (ResponseError, SyntaxError)) else error.__traceback__
        frames = tuple(self._frames(tb or ours))
        message = _message(error)
        if isinstance(error, SyntaxError):
            message = error.msg or ""
            frames += tuple(_place_of_syntax(error))
        members: tuple[tuple[Link, ...], ...] = ()
        if isinstance(error, BaseExceptionGroup) and depth < _MOST_DEPTH:
            some = error.exceptions[:_MOST_MEMBERS]
            members = tuple(self._chain(each, depth + 1) for each in some)
        kind = type(error)
        home = kind.__module__
        plain = home in ("builtins", "__main__")
        return Link(
            type=kind.__qualname__ if plain else f"{home}.{kind.__qualname__}",
            message=redact.text(message[:_MOST_MESSAGE]),
            notes=tuple(redact.text(note[:_MOST_MESSAGE]) for note in _notes(error)),
            relation=relation,
            frames=frames,
            members=members,
        )

    def _frames(self, tb: TracebackType | None) -> list[Frame]:
        places = _without_repeats(place for place in _walk(tb) if not _is_import(place[0]))
        middle = places[_FIRST_FRAMES:-_LAST_FRAMES]
        if len(middle) > 1:
            count = sum(place if isinstance(place, int) else 1 for place in middle)
            places[_FIRST_FRAMES:-_LAST_FRAMES] = [count]
        # From the innermost on, since those matter most where only some can have their values.
        found = [
            _left_out(place) if isinstance(place, int) else self._frame(*place)
            for place in reversed(places)
        ]
        return found[::-1]

    def _frame(self, frame: FrameType, line: int, instruction: int) -> Frame:
        code = frame.f_code
        kind, package = _kind(code.co_filename)
        position = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
        first, lines = _source(code.co_filename, line, frame.f_globals)
        end_line, column, end_column = _columns(position, line, first, lines)
        shown: tuple[tuple[str, str], ...] = ()
        if kind == APP and self._with_values:
            self._with_values -= 1
            shown = tuple(self._values(frame))
        return Frame(
            file=code.co_filename,
            line=line,
            end_line=end_line,
            column=column,
            end_column=end_column,
            function=code.co_qualname,
            kind=kind,
            package=package,
            first=first,
            lines=lines,
            values=shown,
        )

    def _values(self, frame: FrameType) -> Iterator[tuple[str, str]]:
        try:
            held = dict(frame.f_locals)
        except Exception:  # noqa: BLE001 (the namespace of a class may be any mapping)
            return
        is_module = frame.f_code.co_name == "<module>"
        count = 0
        for name, value in held.items():
            if name.startswith("__") or isinstance(value, ModuleType):
                continue
            if is_module and not isinstance(value, _PLAIN):
                continue
            if count == _MOST_VALUES or time.monotonic() > self._until:
                yield "...", f"{len(held) - count} more"
                return
            count += 1
            yield name[:80], values.show(name, value)


def _left_out(count: int) -> Frame:
    return Frame("", count, count, -1, -1, "", LEFT_OUT, "", 0, (), ())


def _without_repeats(places: Iterable[_Place]) -> list[_Place | int]:
    """Return places; of a function that calls itself over and over only some, and in the place of
    the others how many they are."""
    found: list[_Place | int] = []
    for _, run in groupby(places, lambda place: (place[0].f_code, place[1])):
        same = list(run)
        middle = same[_FIRST_REPEATS:-1]
        if len(middle) > 1:
            found += [*same[:_FIRST_REPEATS], len(middle), same[-1]]
        else:
            found += same
    return found


def _walk(tb: TracebackType | None) -> Iterator[_Place]:
    while tb is not None:
        # A line number may be absent, and Python then says None.
        line: int | None = tb.tb_lineno
        yield tb.tb_frame, line or tb.tb_frame.f_code.co_firstlineno, tb.tb_lasti
        tb = tb.tb_next


def _is_import(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<frozen importlib")


def _message(error: BaseException) -> str:
    """Return the message, with the name that was probably meant."""
    try:
        return str(error) + did_you_mean(_names_meant(error))
    except BaseException:  # noqa: BLE001 (whatever the exception does when it is looked at)
        return "<the message cannot be shown>"


def _names_meant(error: BaseException) -> list[str]:
    if isinstance(error, NameError) and error.__traceback__ is not None:
        *_, (frame, _, _) = _walk(error.__traceback__)
        known = [*frame.f_locals, *frame.f_globals, *frame.f_builtins]
    elif isinstance(error, AttributeError) and error.obj is not None:
        known = dir(error.obj)
    else:
        return []
    return near(error.name, [name for name in known if name != error.name], 1) if error.name else []


def _notes(error: BaseException) -> list[str]:
    try:
        notes = getattr(error, "__notes__", None)
        return [str(note) for note in notes[:8]] if isinstance(notes, list) else []
    except BaseException:  # noqa: BLE001 (likewise)
        return ["<the notes cannot be shown>"]


def _place_of_syntax(error: SyntaxError) -> Iterator[Frame]:
    """Yield the place that a SyntaxError is about, which is no frame: the code did not run."""
    if error.lineno is None:
        return
    file, line = error.filename or "<unknown>", error.lineno
    kind, package = _kind(file)
    first, lines = _source(file, line, {})
    if not lines and error.text:
        first, lines = line, (error.text.rstrip("\r\n"),)
    # Of a SyntaxError offsets are characters, and begin with 1.
    column = error.offset - 1 if error.offset else -1
    end_line = max(error.end_lineno or line, line)
    end = error.end_offset - 1 if error.end_offset and error.end_offset > 0 else column + 1
    end = end if end_line > line else max(end, column + 1)
    yield Frame(file, line, end_line, column, end, "", kind, package, first, lines, ())


def _kind(file: str) -> tuple[str, str]:
    """Return what kind of code is in a file, and for a library its name."""
    if file.startswith(PACKAGE):
        return SERVER, "bare-serve"
    for folder in _INSTALLED:
        _, found, rest = file.partition(f"{os.sep}{folder}{os.sep}")
        if found:
            return LIBRARY, rest.partition(os.sep)[0].removesuffix(".py")
    if file.startswith((_STDLIB, "<frozen ")) or file == "<string>":
        return PYTHON, "Python"
    return APP, ""


def _source(file: str, line: int, names: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Return the lines around one, and the number of the first."""
    try:
        linecache.checkcache(file)
        every = linecache.getlines(file, names)
    except Exception:  # noqa: BLE001 (a loader of the application's may give the text)
        return 0, ()
    if not 0 < line <= len(every):
        return 0, ()
    first = max(line - _AROUND, 1)
    return first, tuple(text.rstrip("\r\n")[:_WIDEST] for text in every[first - 1 : line + _AROUND])


def _columns(
    position: Iterable[int | None], line: int, first: int, lines: tuple[str, ...]
) -> tuple[int, int, int]:
    """Return the end of what failed: line and columns, in characters; -1 for columns not known."""
    start, end, column, end_column = position
    if None in (start, end, column, end_column) or not lines or start != line:
        return line, -1, -1
    assert end is not None
    assert column is not None
    assert end_column is not None
    text = lines[line - first]
    last = lines[end - first] if 0 <= end - first < len(lines) else text
    return end, _characters(text, column), _characters(last, end_column)


def _characters(text: str, count: int) -> int:
    """Return how many characters so many bytes of UTF-8 are."""
    return len(text.encode("utf-8", "replace")[:count].decode("utf-8", "replace"))
