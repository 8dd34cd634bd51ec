"""The record of a failure as text: for the terminal, and for clients that ask for no HTML.

What lives here: a traceback in the order of Python's, the last call last, in which the user's own
frames are bright and those of libraries are folded. What must not: the record (record.py), HTML
(error_page.py).

Places are written as Python writes them, so that terminals and editors make links of them.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from bare_serve.dev.failure import describe
from bare_serve.dev.record import APP, LEFT_OUT, Failure, Frame, Link, relative

_BRIGHT: Final = "1"
_DIM: Final = "2"
_RED: Final = "1;31"
_MARK: Final = "31"
_RELATIONS: Final = {
    "cause": "The exception above was the direct cause of the one below:",
    "context": "While the exception above was handled, the one below was raised:",
}


def text(failure: Failure, *, colour: bool = False) -> str:
    """Return a record as lines; the last one is what was raised.

    Only printable characters of the application's come into it: none can move a cursor.
    """
    return "\n".join(_Writer(colour).failure(failure)) + "\n"


def of_exception(error: BaseException, colour: bool) -> str:
    """Return an exception as lines, for the log; as Python has them where it is too odd for us."""
    try:
        return text(describe(error), colour=colour)
    except Exception:  # noqa: BLE001 (a log without its traceback is worse than any other)
        return "".join(map(_plain_lines, traceback.format_exception(error)))


def _plain_lines(several: str) -> str:
    return "".join(f"{_plain(line)}\n" for line in several.splitlines())


class _Writer:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def _paint(self, shown: str, code: str) -> str:
        plain = _plain(shown)
        return f"\x1b[{code}m{plain}\x1b[0m" if self._colour and plain else plain

    def failure(self, failure: Failure) -> Iterator[str]:
        """Yield the lines of a whole record."""
        yield from self._chain(failure.chain)
        if failure.about:
            yield from (self._paint(line, _BRIGHT) for line in failure.about.splitlines())

    def _chain(self, chain: tuple[Link, ...]) -> Iterator[str]:
        for index, link in enumerate(reversed(chain)):
            later = chain[-index] if index else None
            if later is not None:
                yield ""
                yield self._paint(_RELATIONS.get(later.relation, ""), _DIM)
                yield ""
            yield from self._link(link)

    def _link(self, link: Link) -> Iterator[str]:
        frames = [frame for frame in link.frames if frame.function or frame.kind == LEFT_OUT]
        places = [frame for frame in link.frames if not frame.function and frame.kind != LEFT_OUT]
        if frames:
            yield self._paint("Traceback (most recent call last):", _DIM)
            yield from self._frames(frames)
        for place in places:
            yield from self._frame(place)
        first, *more = (link.message or "").splitlines() or [""]
        title = self._paint(link.type, _RED)
        yield f"{title}: {self._paint(first, _BRIGHT)}" if first else title
        for line in (*more, *(line for note in link.notes for line in note.splitlines())):
            yield _plain(line)
        for number, chain in enumerate(link.members, 1):
            yield self._paint(f"  --- {number} of {len(link.members)} ---", _DIM)
            yield from (f"  {line}".rstrip() for line in self._chain(chain))

    def _frames(self, frames: list[Frame]) -> Iterator[str]:
        for is_app, run in groupby(frames, lambda frame: frame.kind == APP):
            several = list(run)
            if is_app:
                for frame in several:
                    yield from self._frame(frame)
                continue
            # Where the last call is a library's, its line says what was wrong.
            last = several.pop() if several[-1] is frames[-1] else None
            if several:
                yield self._paint(f"  ... {folded(several)}", _DIM)
            if last is not None:
                yield from self._frame(last)

    def _frame(self, frame: Frame) -> Iterator[str]:
        if frame.kind == LEFT_OUT:
            yield self._paint(f"  ... {folded([frame])}", _DIM)
            return
        hue = _BRIGHT if frame.kind == APP else _DIM
        where = f'  File "{frame.file}", line {frame.line}'
        yield self._paint(f"{where}, in {frame.function}" if frame.function else where, hue)
        source = source_line(frame)
        if not source.strip():
            return
        bare = source.lstrip()
        yield "    " + self._paint(bare, hue)
        start, end = marked(frame)
        cut = len(source) - len(bare)
        # A SyntaxError may be about what is missing behind the last character.
        most = len(bare.rstrip()) + (not frame.function)
        start, end = max(start - cut, 0), min(end - cut, most)
        if 0 <= start < end and (end - start < len(bare.rstrip()) or not frame.function):
            before = "".join("\t" if char == "\t" else " " for char in bare[:start])
            yield "    " + before + self._paint("^" * (end - start), _MARK)


def folded(frames: list[Frame]) -> str:
    """Return what stands in the place of frames that are not shown."""
    count = sum(frame.line if frame.kind == LEFT_OUT else 1 for frame in frames)
    names = [*dict.fromkeys(frame.package for frame in frames if frame.package)]
    of = f" of {', '.join(names[:4])}{', ...' * (len(names) > 4)}" if names else ""
    return f"{count} frame{'s' * (count != 1)}{of}"


def source_line(frame: Frame) -> str:
    """Return the line that a frame is at; nothing if its text is not known."""
    index = frame.line - frame.first
    return frame.lines[index] if 0 <= index < len(frame.lines) else ""


def marked(frame: Frame) -> tuple[int, int]:
    """Return from where to where the line of a frame is marked; (-1, -1) for not at all."""
    line = source_line(frame)
    if frame.column < 0 or not line:
        return -1, -1
    end = frame.end_column if frame.end_line == frame.line else len(line)
    start = min(frame.column, len(line))
    return start, max(end, start + 1) if not frame.function else end


def place(frame: Frame) -> str:
    """Return a frame's place in words: file, line and function."""
    where = f"{relative(frame.file)}, line {frame.line}"
    return f"{where}, in {frame.function}" if frame.function else where


def _plain(line: str) -> str:
    """Return a line in which nothing ends it or moves a cursor; tabs stay."""
    if line.isprintable():
        return line
    return "".join(
        each if each.isprintable() or each == "\t" else ascii(each)[1:-1] for each in line
    )
