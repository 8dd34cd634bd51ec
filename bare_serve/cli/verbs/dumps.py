"""Stacks as C code of Python's writes them, read and told.

What lives here: from the text of faulthandler to threads and frames, whose frame each is, and lines
that show the application's. What must not: processes.

The text comes from a process of foreign code: what is no line of a dump says nothing, and names are
made fit for a terminal.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bare_serve.version import PACKAGE

_HEAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-fA-F]{1,16})\b.*most recent call first")
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9}|\?\?\?) in (.*)')
_LIBRARY = re.compile(r"/lib/python3\.\d+/(?!(?:site|dist)-packages/)|^<frozen |^<string>$")


class Frame(NamedTuple):
    """One line of a stack."""

    file: str
    line: int
    """0 if it is not known."""
    function: str

    @property
    def is_servers(self) -> bool:
        """Whether it is this package's, by its file."""
        return self.file.startswith(PACKAGE) or "/bare_serve/" in self.file

    @property
    def is_librarys(self) -> bool:
        """Whether it is Python's own."""
        return _LIBRARY.search(self.file) is not None

    @property
    def is_applications(self) -> bool:
        """Whether it is neither the server's, nor Python's, nor an installed package's."""
        inside = "/site-packages/" in self.file or "/dist-packages/" in self.file
        return not (self.is_servers or inside or self.is_librarys)


class Thread(NamedTuple):
    """The stack of one thread."""

    ident: int
    frames: tuple[Frame, ...]
    """The innermost first."""

    @property
    def inner(self) -> tuple[Frame, ...]:
        """Those that the server has called: all if it has called none."""
        for index, frame in enumerate(self.frames):
            if frame.is_servers:
                return self.frames[:index]
        return self.frames

    @property
    def rank(self) -> int:
        """Smaller for what is shown first: 0 in the application, 2 in the server itself."""
        inner = self.inner
        if any(frame.is_applications for frame in inner):
            return 0
        return 2 if all(frame.is_librarys for frame in inner) else 1


def parse(text: str) -> list[Thread]:
    """Return the threads of a dump."""
    found: list[tuple[int, list[Frame]]] = []
    for line in text.splitlines():
        if head := _HEAD.match(line):
            found.append((int(head[1], 16), []))
        elif found and (frame := _FRAME.match(line)):
            number = int(frame[2]) if frame[2].isdigit() else 0
            found[-1][1].append(Frame(_printable(frame[1]), number, _printable(frame[3])))
    return [Thread(ident, tuple(frames)) for ident, frames in found]


def thread_lines(thread: Thread, *, everything: bool) -> list[str]:
    """Return the frames of a thread, the application's marked; the server's, and those that have
    called it, only if asked for."""
    inner = thread.inner
    shown = thread.frames if everything else inner
    text = []
    for index, frame in enumerate(shown):
        mark = ">" if index < len(inner) and frame.is_applications else " "
        text.append(f"   {mark} {frame.file}:{frame.line} in {frame.function}")
    if left := len(thread.frames) - len(shown):
        text.append(f"     ... {left} more, of the server")
    return text


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
