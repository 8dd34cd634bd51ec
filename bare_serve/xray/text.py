"""A record as the text that a terminal shows: one block, which is written at once.

What lives here: columns, marks and colours. What must not: what the steps say (show.py).
"""

from __future__ import annotations

from typing import Final

from bare_serve.xray.trace import ADVICE, APP, IN, OUT, WRONG, Block, Step

_ARROWS: Final = {IN: "→", APP: "←", OUT: "⇒", WRONG: "✗", ADVICE: "!"}
MARKS: Final = frozenset(_ARROWS)
_COLOURS: Final = {IN: 34, APP: 32, OUT: 36, WRONG: 31, ADVICE: 33}
_NAME: Final = 16
_INDENT: Final = " " * (9 + 2 + 1 + _NAME)


_WIDTH: Final = 112
"""Characters of a line behind its name, as far as words can be parted."""


def render(block: Block, *, colour: bool = False, arrows: bool = False) -> str:
    """Return the text of a block; it ends with an empty line."""
    title = _paint(_plain(block.title), 1, colour)
    lines = ["   ".join((title, *map(_plain, block.facts)))]
    lines += [_step(step, colour, arrows) for step in block.steps]
    lines += [f"         {_plain(line)}".rstrip() for line in block.layers]
    return "\n".join(lines) + "\n\n"


def _step(step: Step, colour: bool, arrows: bool) -> str:
    mark = _ARROWS[step.mark] if arrows else step.mark
    mark = _paint(mark + " " * ((1 if arrows else 2) - len(mark)), _COLOURS[step.mark], colour)
    lines = [part for line in step.text.split("\n") for part in _wrapped(line)]
    text = f"\n{_INDENT}".join(lines)
    return f"{step.at * 1000:8.2f} {mark} {_plain(step.name).ljust(_NAME)}{text}".rstrip()


def _wrapped(line: str) -> list[str]:
    """Return a line in pieces of about `_WIDTH` characters; fields stay whole if they can."""
    pieces: list[str] = []
    line = _plain(line)
    while len(line) > _WIDTH:
        cut = line.rfind("  ", _WIDTH // 3, _WIDTH)
        cut = cut if cut > 0 else line.rfind(" ", _WIDTH // 3, _WIDTH)
        if cut <= 0:
            break
        pieces.append(line[:cut].rstrip())
        line = line[cut:].lstrip()
    return [*pieces, line]


def _plain(line: str) -> str:
    """Return a line in which nothing ends it or moves a cursor, whoever its words are from."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def _paint(text: str, code: int, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
