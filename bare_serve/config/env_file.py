"""The file of --env-file: NAME=value, by the rules of python-dotenv, which others read it with.

What lives here: text in, variables out, each with its line; docs/configuration.md has the syntax.
What must not: what the variables are good for (config/sources.py).

python-dotenv passes over what it does not understand, with a warning. Here that is refused, with
the line: a secret that is missing shows much later. And a value in single quotes is what it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bare_serve.errors import UsageError

_BLANK = re.compile(r"(?:\s*(?:#[^\n]*(?:\n|\Z))?)*+")
_NAME = re.compile(r"(?:export[^\S\n]+)?+(?:'([^'\n]+)'|([^=#\s'\"]+))[^\S\n]*=([^\S\n]*)")
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*+)"', re.DOTALL)
_SINGLE = re.compile(r"'((?:\\.|[^'\\])*+)'", re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"\s+#.*")
_REST = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_DOUBLE_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")


class Variable(NamedTuple):
    """What a name stands for, and the line on which that begins."""

    text: str
    line: int


def read(path: Path, environ: Mapping[str, str]) -> dict[str, Variable]:
    """Return the variables of the file, by name; ${NAME} is looked up in `environ` first.

    Raises:
        UsageError: it cannot be read, or says something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"--env-file: cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"--env-file: {path} is not UTF-8") from None
    try:
        return parse(text, environ)
    except _Wrong as wrong:
        raise UsageError(f"--env-file: {path}, line {wrong.line}: {wrong}") from None


class _Wrong(Exception):
    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def parse(text: str, environ: Mapping[str, str]) -> dict[str, Variable]:
    """Return the variables of a file's text."""
    found: dict[str, Variable] = {}
    position, line, counted = 0, 1, 0
    while (position := _end(_BLANK, text, position)) < len(text):
        line += text.count("\n", counted, position)
        counted = position
        name = _NAME.match(text, position)
        if name is None:
            raise _Wrong("not NAME=value", line)
        value, literal, position = _value(text, name, line)
        rest = _REST.match(text, position)
        if rest is None:
            raise _Wrong("something stands behind the value in quotes", line)
        position = rest.end()
        if not literal:
            value = _REFERENCE.sub(lambda match: _looked_up(match, found, environ), value)
        key = name[1] or name[2]
        if "\0" in key + value:
            raise _Wrong("a NUL, which no variable can have", line)
        found[key] = Variable(value, line)
    return found


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


def _value(text: str, name: re.Match[str], line: int) -> tuple[str, bool, int]:
    """Return the value behind the =, whether it is literal, and where it ends."""
    start = name.end()
    quote = text[start : start + 1]
    if quote == "#" and name[3]:
        return "", True, start  # behind a blank it begins a comment
    if quote not in ("'", '"'):
        bare = _BARE.match(text, start)
        assert bare is not None
        return _COMMENT.sub("", bare[0]).rstrip(), False, bare.end()
    match = (_DOUBLE if quote == '"' else _SINGLE).match(text, start)
    if match is None:
        raise _Wrong(f"the quote ({quote}) that begins the value is never closed", line)
    if quote == '"':
        plain = _DOUBLE_ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), match[1])
        return plain, False, match.end()
    return _SINGLE_ESCAPE.sub(r"\1", match[1]), True, match.end()


def _looked_up(
    match: re.Match[str], found: Mapping[str, Variable], environ: Mapping[str, str]
) -> str:
    """Return what a ${NAME} or ${NAME:-default} stands for."""
    name, default = match[1], match[2] or ""
    if name in environ:
        return environ[name]
    return found[name].text if name in found else default
